"""The examples in docstrings give the results that they show."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {ROOT: "tools/*.py", ROOT / "shared/src": "**/*.py"}
FILES |= dict.fromkeys(ROOT.glob("projects/*/src"), "**/*.py")
MODULES = sorted(
    ".".join(path.relative_to(source).with_suffix("").parts)
    for source, pattern in FILES.items()
    for path in source.glob(pattern)
    if ">>> " in path.read_text("utf-8")
)

# Module → an optional package that its example needs; a lifted project may lack it.
NEEDS = {
    "seedbed.database.sql_engine": "sqlalchemy",
    "seedbed.models.remote.prices": "genai_prices",
    "seedbed.safety.patterns": "re2",
    "seedbed.structured.constrain": "jsonschema",
    "seedbed.structured.regex": "re2",
    "seedbed.structured.schema_compiler": "jsonschema",
    "seedbed.structured.schemas": "jsonschema",
    "seedbed.structured.validator": "jsonschema",
}


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if module in NEEDS:
        pytest.importorskip(NEEDS[module])
    monkeypatch.chdir(tmp_path)  # away from any .env
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0
