"""Blocked terms: the file that lists them, and how they match."""

from pathlib import Path

import pytest

from llm_service.gateway.guard.terms import Terms, read_terms
from seedbed.errors import ConfigError


def test_terms_match_whole_words_in_any_case() -> None:
    terms = Terms(["bad word", "acme", "", "c++"])
    assert terms.search("A Bad\n Word here") == 2
    assert terms.search("Say ACME!") == 4
    assert terms.search("is c++ (x)") == 3
    assert terms.search("acmeist, badword") is None
    assert not Terms([" "]) and Terms([]).search("acme") is None


def test_read_terms_skips_comments_and_rejects_unreadable_files(tmp_path: Path) -> None:
    path = tmp_path / "terms.txt"
    path.write_text("# list\n\nacme\n bad word \n", encoding="utf-8")
    assert read_terms(path) == ("acme", "bad word")
    path.write_bytes(b"\xff\xfe")
    for unreadable in (path, tmp_path / "absent"):
        with pytest.raises(ConfigError, match="Cannot read the list"):
            read_terms(unreadable)
