"""The examples in the docstrings of seedbed run, and print what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

import seedbed

PACKAGE = Path(str(seedbed.__file__)).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted and not result.failed
