"""Checks of exercise 2: how `_pack` joins units into chunks."""

from collections.abc import Sequence

from rag_chatbot.read.chunk import Piece, _pack, _Unit
from rag_chatbot.read.language import SEPARATOR

MAX_TOKENS = 50


def units(sizes: Sequence[int], headers: Sequence[str] = ()) -> list[_Unit]:
    """Units of these sizes, ten characters apart."""
    headers = [*headers, *[""] * len(sizes)]
    return [_Unit(10 * i, 10 * i + 8, n, headers[i]) for i, n in enumerate(sizes)]


def expect_sizes(expected: Sequence[int], sizes: Sequence[int]) -> None:
    """The tokens of each chunk; a unit belongs to the chunk in whose span it is."""
    pieces = _pack(units(sizes), "Guide", None, MAX_TOKENS)
    actual = [
        sum(unit.tokens for unit in units(sizes) if piece.start <= unit.start < piece.end)
        for piece in pieces
    ]
    case = f"units of {list(sizes)} tokens, at most {MAX_TOKENS} per chunk: expected chunks of"
    assert actual == expected, f"{case} {expected} tokens, got {actual}"


def check_1_the_target_is_the_total_divided_by_the_fewest_chunks() -> None:
    expect_sizes([30, 30], [10] * 6)
    expect_sizes([50, 50], [10] * 10)
    expect_sizes([34, 33, 34], [33, 1, 33, 34])  # a target of 33.67
    expect_sizes([0], [0])


def check_2_a_chunk_ends_at_the_target_and_before_a_unit_that_would_exceed_the_limit() -> None:
    expect_sizes([40, 40, 40, 20], [20] * 7)
    expect_sizes([35, 25], [10, 25, 10, 5, 10])
    expect_sizes([30, 30], [15] * 4)
    expect_sizes([51], [51])


def check_3_a_chunk_has_the_span_of_its_units_and_the_header_of_the_first() -> None:
    both = f"Guide{SEPARATOR}option"
    for path, headers, expected in (
        ("Guide", ["option"] * 4, [both, both]),
        ("Guide", ["", "option", "option", ""], ["Guide", both]),
        ("", ["", "", "option", ""], ["", "option"]),
    ):
        actual = _pack(units([25] * 4, headers), path, 3, MAX_TOKENS)
        spans = [(0, 18), (20, 38)]
        pieces = [Piece(*span, text, 3) for span, text in zip(spans, expected, strict=True)]
        case = f"path {path!r}, two units per chunk with the headers {headers}"
        assert actual == pieces, f"{case}: expected {pieces}, got {actual}"
