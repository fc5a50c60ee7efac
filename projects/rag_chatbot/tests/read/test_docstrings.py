"""The examples in docstrings of the reading modules, run as doctests."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("module", ["chunk", "decode", "markdown_lines", "sentences"])
def test_docstring_examples_give_what_they_show(module: str) -> None:
    results = doctest.testmod(import_module(f"rag_chatbot.read.{module}"))
    assert results.attempted > 0
    assert results.failed == 0
