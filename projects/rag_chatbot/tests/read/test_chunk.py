"""Chunks follow the structure of a document and hold its text without loss."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_chatbot.read import Block, Document, parse
from rag_chatbot.read.chunk import Piece, chunk, counter, estimate_tokens, plain

COUNT = counter(object())


def cut(text: str, size: int = 40) -> tuple[Document, list[Piece]]:
    document = parse(Path("a.md"), text.encode())
    return document, chunk(document, size, COUNT)


def test_chunk_has_heading_path_and_never_crosses_headings() -> None:
    _, pieces = cut(
        "# Guide\n\nIntro.\n\n## Install\n\nFirst.\n\n### Linux\n\napt.\n\n## Use\n\nRun.\n"
    )
    assert [p.heading for p in pieces] == ["", "Install", "Install › Linux", "Use"]
    document, pieces = cut("# Guide\n\n## Is it offline? Yes.\n\n## Is it free? Yes.\n")
    chunks = [document.text[p.start : p.end] for p in pieces]
    assert chunks == ["Is it offline? Yes.", "Is it free? Yes."]


def test_chunk_cuts_long_paragraphs_between_sentences_into_even_parts() -> None:
    document, pieces = cut("The quick brown fox jumps over the lazy dog today. " * 9, size=45)
    chunks = [document.text[p.start : p.end] for p in pieces]
    assert len(chunks) == 3
    assert all(part.endswith("today.") for part in chunks)
    assert max(map(len, chunks)) < 2 * min(map(len, chunks))


def test_chunk_of_cut_table_has_its_header_as_heading() -> None:
    rows = "\n".join(f"| city {n} | {n * 1000} people |" for n in range(20))
    _, pieces = cut(f"# Towns\n\n| name | size |\n|---|---|\n{rows}\n")
    assert len(pieces) > 2
    assert pieces[0].heading == ""
    assert all(p.heading == "name · size" for p in pieces[1:])


def test_chunk_never_crosses_pages() -> None:
    document = Document(
        "One.\n\nTwo.\n", (Block("paragraph", 0, 4, 0, 1), Block("paragraph", 6, 10, 0, 2)), "t"
    )
    assert [p.page for p in chunk(document, 40, COUNT)] == [1, 2]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.text(st.sampled_from('ab.!? \n#|-`*>1,"é漢\t'), max_size=600),
    st.sampled_from(["a.md", "a.txt", "a.rst", "a.py", "a.csv"]),
)
def test_chunks_cover_all_letters_without_overlap(text: str, name: str) -> None:
    document = parse(Path(name), (text + "\nend").encode())
    pieces = chunk(document, 32, COUNT)
    covered = set()
    for piece in pieces:
        span = set(range(piece.start, piece.end))
        assert span and not span & covered
        covered |= span
    headings = {i for b in document.blocks if b.kind == "heading" for i in range(b.start, b.end)}
    lost = [c for i, c in enumerate(document.text) if c in "abé漢" and i not in covered | headings]
    assert not [c for c in lost if c.isalnum()]
    assert pieces == sorted(pieces, key=lambda p: p.start)
    assert all(estimate_tokens(document.text[p.start : p.end]) <= 48 for p in pieces)


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        ("See [the docs](http://x/y) **now**, `a_b`, *so* on.", "See the docs now, a_b, so on."),
        ("## Head\n\n> quoted\n\n```sh\nls\n```", "Head\n\nquoted\n\nls"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n\n1 | 2"),
    ],
)
def test_plain_removes_markup(markup: str, words: str) -> None:
    assert plain(markup) == words


LITERAL = [
    "copy <source> <target>",
    "define __zeta__() and __init__()",
    "all *.py or *.txt files",
    "Dict<String, List<Int>>",
    "Jane <jane@example.com>",
    "2*3*4 and snake_case_name",
]


@pytest.mark.parametrize("text", LITERAL)
def test_plain_keeps_literal_signs(text: str) -> None:
    for kind in ("html", "pdf", "docx", "text", "csv", "code"):
        assert plain(text, kind) == text
    if text != "Jane <jane@example.com>":  # an address in Markdown
        assert plain(text) == text
    assert plain(f"Run `{text}` **now**.") == f"Run {text} now."
    assert plain(f"```\n{text}\n# *not* a heading\n```") == f"{text}\n# *not* a heading"
