"""Checks of exercise 2: how `_pack` joins pieces into chunks."""

from collections.abc import Sequence

from rag_chatbot.read.chunk import Piece, _pack

MAX_TOKENS = 50


def pieces(sizes: Sequence[int], headings: Sequence[str] = ()) -> list[Piece]:
    """Pieces of these sizes on page 3, ten characters apart."""
    headings = [*headings, *["Guide"] * len(sizes)]
    return [Piece(10 * i, 10 * i + 8, headings[i], 3, n) for i, n in enumerate(sizes)]


def expect_sizes(expected: Sequence[int], sizes: Sequence[int]) -> None:
    """The tokens of each chunk; a piece belongs to the chunk in whose span it is."""
    chunks = _pack(pieces(sizes), MAX_TOKENS)
    actual = [
        sum(piece.tokens for piece in pieces(sizes) if chunk.start <= piece.start < chunk.end)
        for chunk in chunks
    ]
    case = f"pieces of {list(sizes)} tokens, at most {MAX_TOKENS} per chunk: expected chunks of"
    assert actual == expected, f"{case} {expected} tokens, got {actual}"


def check_1_the_target_is_the_total_divided_by_the_fewest_chunks() -> None:
    expect_sizes([30, 30], [10] * 6)
    expect_sizes([50, 50], [10] * 10)
    expect_sizes([34, 33, 34], [33, 1, 33, 34])  # a target of 33.67
    expect_sizes([0], [0])


def check_2_a_chunk_ends_at_the_target_and_before_a_piece_that_would_exceed_the_limit() -> None:
    expect_sizes([40, 40, 40, 20], [20] * 7)
    expect_sizes([35, 25], [10, 25, 10, 5, 10])
    expect_sizes([30, 30], [15] * 4)
    expect_sizes([51], [51])


def check_3_a_chunk_is_its_first_piece_up_to_the_end_of_its_last_one() -> None:
    headings = ["Guide", "Guide › option", "Guide › option", "Guide"]
    actual = _pack(pieces([25] * 4, headings), MAX_TOKENS)
    expected = [Piece(0, 18, "Guide", 3, 50), Piece(20, 38, "Guide › option", 3, 50)]
    case = f"two pieces per chunk with the headings {headings}"
    assert actual == expected, f"{case}: expected {expected}, got {actual}"
