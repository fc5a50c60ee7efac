"""Patterns of strangers: linear time, named constructs, limits."""

from __future__ import annotations

import pytest

from seedbed.errors import BadInput
from seedbed.safety.patterns import MAX_LENGTH, compile_untrusted


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|a)*b", "^(a?){30}a{30}!"])
def test_ambiguous_pattern_takes_linear_time(pattern: str) -> None:
    assert compile_untrusted(pattern).search("a" * 10_000 + "?") is None


def test_search_finds_a_part_as_json_schema_demands() -> None:
    match = compile_untrusted(r"[A-Z]{2}-\d+").search("Order é AB-77!")
    assert (match[0], match.start(), match.end()) == ("AB-77", 8, 13)
    assert compile_untrusted("^a$").search("a\n") is None  # "$" as in ECMAScript
    assert compile_untrusted(r"^[\u00e0-\u00ff]$").search("é")
    assert compile_untrusted("b$").search("\ud800b")


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(?=a)", "invalid perl operator"),
        (r"(a)\1", "invalid escape sequence"),
        ("a++", "bad repetition operator"),
        ("(a)(?(1)b|c)", "invalid perl operator"),
        ("((a{99}){99}){99}", "invalid repetition size"),
        (r"(\p{L}{900}|\p{N}{900})", "too large"),
        ("(", "missing )"),
        ("\ud800", "half a surrogate pair"),
        ("a" * (MAX_LENGTH + 1), "1,001 characters; the maximum is 1,000"),
    ],
)
def test_pattern_that_is_refused_is_an_error_of_one_line(pattern: str, problem: str) -> None:
    with pytest.raises(BadInput) as raised:
        compile_untrusted(pattern)
    assert problem in str(raised.value) and "\n" not in str(raised.value)
