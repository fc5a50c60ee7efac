"""Blocked terms: the file that lists them, and how they match."""

from pathlib import Path

import pytest

from llm_service.gateway.guard.terms import read_terms, terms_pattern
from seedbed.errors import ConfigError


def test_terms_pattern_matches_whole_words_in_any_case() -> None:
    terms = ["bad word", "acme", ""]
    match = terms_pattern(terms).search("A Bad\n Word here")
    assert match is not None and match.span() == (2, 11)
    assert terms_pattern(terms).search("ACME!") is not None
    assert terms_pattern(terms).search("acmeist, badword") is None
    assert terms_pattern([]).search("acme") is None
    assert terms_pattern(["c++", "(x)"]).search("c++ (x)") is not None


def test_read_terms_skips_comments_and_rejects_unreadable_files(tmp_path: Path) -> None:
    path = tmp_path / "terms.txt"
    path.write_text("# list\n\nacme\n bad word \n", encoding="utf-8")
    assert read_terms(path) == ("acme", "bad word")
    path.write_bytes(b"\xff\xfe")
    for unreadable in (path, tmp_path / "absent"):
        with pytest.raises(ConfigError, match="Cannot read the list"):
            read_terms(unreadable)
