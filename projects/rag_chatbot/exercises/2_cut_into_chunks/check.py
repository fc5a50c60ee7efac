"""Checks of exercise 2: chunks of real Markdown, through the public functions."""

from pathlib import Path

from rag_chatbot.read import parse
from rag_chatbot.read.chunk import chunk

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")


def sizes_of(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def paragraph(words: int, number: int) -> str:
    return " ".join(f"{WORDS[i % 10]}{number}" for i in range(words))


def cut(markdown: str, max_tokens: int) -> tuple[str, list]:
    document = parse(Path("page.md"), markdown.encode())
    return document.text, chunk(document, max_tokens, sizes_of)


def check_nothing_is_lost_and_nothing_twice() -> None:
    parts = [paragraph(20, n) for n in range(7)]
    text, pieces = cut("\n\n".join(parts), 50)
    found = " ".join(text[p.start : p.end] for p in pieces).split()
    assert found == " ".join(parts).split(), "the chunks, put together, are not the document"


def check_no_chunk_is_too_long() -> None:
    text, pieces = cut("\n\n".join(paragraph(30, n) for n in range(6)), 50)
    longest = max(len(text[p.start : p.end].split()) for p in pieces)
    assert longest <= 50, f"a chunk has {longest} tokens; 50 are allowed"


def check_neighbours_are_joined() -> None:
    _, pieces = cut("\n\n".join(paragraph(10, n) for n in range(4)), 50)
    assert len(pieces) == 1, f"40 tokens fit into one chunk of 50, yet there are {len(pieces)}"


def check_chunks_are_about_equal() -> None:
    text, pieces = cut("\n\n".join(paragraph(10, n) for n in range(6)), 50)
    sizes = [len(text[p.start : p.end].split()) for p in pieces]
    assert sizes == [30, 30], f"60 tokens in chunks of at most 50 should be 30 and 30, not {sizes}"


def check_the_heading_path() -> None:
    _, pieces = cut(f"# Guide\n\n## Install\n\n### Linux\n\n{paragraph(10, 1)}", 50)
    assert pieces[-1].heading == "Install › Linux", f"heading is {pieces[-1].heading!r}"


def check_a_table_row_keeps_its_header() -> None:
    rows = "\n".join(f"| --flag{n} | {paragraph(12, n)} |" for n in range(8))
    _, pieces = cut(f"# Options\n\n| option | meaning |\n|---|---|\n{rows}", 40)
    assert len(pieces) > 1, "the table should not fit into one chunk"
    assert "meaning" in pieces[-1].heading, f"the last rows lost their header: {pieces[-1]}"
