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
    case = f"units of {list(sizes)} tokens, at most {MAX_TOKENS} per chunk: expected chunks of"
    assert isinstance(pieces, list), f"{case} {expected}, got {pieces!r}"
    actual = [
        sum(unit.tokens for unit in units(sizes) if piece.start <= unit.start < piece.end)
        for piece in pieces
    ]
    assert actual == expected, f"{case} {expected} tokens, got {actual}"


def expect_headings(expected: Sequence[str], headers: Sequence[str], path: str = "Guide") -> None:
    """The headings of chunks with two units of 25 tokens each."""
    pieces = _pack(units([25] * len(headers), headers), path, None, MAX_TOKENS)
    actual = [piece.heading for piece in pieces]
    case = f"path {path!r}, two units per chunk with the headers {list(headers)}"
    assert actual == expected, f"{case}: expected headings {expected}, got {actual}"


def check_1_the_target_is_the_total_divided_by_the_fewest_chunks() -> None:
    expect_sizes([30, 30], [10] * 6)
    expect_sizes([50, 50], [10] * 10)
    expect_sizes([40], [10] * 4)
    expect_sizes([34, 33, 34], [33, 1, 33, 34])  # a target of 33.67


def check_1_a_section_without_tokens_is_one_chunk() -> None:
    expect_sizes([0], [0])


def check_2_a_chunk_is_closed_before_a_unit_that_would_exceed_the_limit() -> None:
    expect_sizes([40, 40, 40, 20], [20] * 7)
    expect_sizes([30] * 6, [30] * 6)
    expect_sizes([51], [51])


def check_2_a_chunk_is_closed_when_it_has_reached_the_target() -> None:
    expect_sizes([35, 25], [10, 25, 10, 5, 10])
    expect_sizes([30, 30], [15] * 4)


def check_2_no_unit_is_lost() -> None:
    for count in range(1, 30):
        sizes = [7 + 5 * (n % 4) for n in range(count)]
        pieces = _pack(units(sizes), "", None, MAX_TOKENS)
        covered = [u for u in units(sizes) for p in pieces if p.start <= u.start < p.end]
        actual = [unit.tokens for unit in covered]
        assert actual == sizes, f"expected the units {sizes} in the chunks, got {actual}"


def check_3_a_chunk_begins_with_its_first_unit_and_ends_with_its_last() -> None:
    actual = _pack(units([25] * 4), "Guide", 3, MAX_TOKENS)
    expected = [Piece(0, 18, "Guide", 3), Piece(20, 38, "Guide", 3)]
    assert actual == expected, f"expected {expected}, got {actual}"


def check_3_the_heading_is_the_path_and_the_header_of_the_first_unit() -> None:
    both = f"Guide{SEPARATOR}option"
    expect_headings([both, both], ["option"] * 4)
    expect_headings(["Guide", both], ["", "", "option", "option"])
    expect_headings(["Guide"], ["", "option"])
    expect_headings([both], ["option", ""])


def check_3_an_empty_path_or_header_leaves_no_separator() -> None:
    expect_headings(["option"], ["option"] * 2, path="")
    expect_headings([""], ["", ""], path="")


def check_3_the_page_is_kept() -> None:
    actual = [piece.page for piece in _pack(units([40, 40]), "", 7, MAX_TOKENS)]
    assert actual == [7, 7], f"page 7: expected pages [7, 7], got {actual}"
