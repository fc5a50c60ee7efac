"""Cut a document into chunks: spans of its text that follow its structure.

A chunk never crosses a heading or a page. Blocks stay whole where they fit, sentences and table
rows always where they can. Also here: what is embedded for a chunk, and how markup is taken off.
This module knows neither file formats nor where chunks are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rag_chatbot.read.document import Block, Document

TokenCounter = Callable[[Sequence[str]], Sequence[int]]
SEPARATOR = " › "
CHARS_PER_TOKEN = 8  # more than any prose has; keeps a line of base64 from becoming one chunk


_WORD = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Piece:
    """`document.text[start:end]`, the path of headings above it, and its page, counted from 1."""

    start: int
    end: int
    heading: str
    page: int | None = None


@dataclass(frozen=True, slots=True)
class _Unit:
    start: int
    end: int
    tokens: int
    header: str = ""


def counter(embeddings: Any) -> TokenCounter:
    """Counts tokens of many texts as `embeddings` does, or estimates them by words."""
    if hasattr(embeddings, "token_counts"):
        return embeddings.token_counts  # type: ignore[no-any-return]
    if hasattr(embeddings, "count_tokens"):
        return lambda texts: [embeddings.count_tokens(text) for text in texts]
    return lambda texts: [estimate_tokens(text) for text in texts]


def estimate_tokens(text: str) -> int:
    """About 1.3 tokens a word and one for each sign, as English subword tokenizers give."""
    return int(1.3 * len(re.findall(r"\w+", text))) + len(re.findall(r"[^\w\s]", text))


def chunk(document: Document, max_tokens: int, count_tokens: TokenCounter) -> list[Piece]:
    """Pieces in order. `count_tokens` takes many texts at once; see `counter`."""
    text = document.text
    limit = max_tokens * CHARS_PER_TOKEN
    short = [b for b in document.blocks if b.kind != "heading" and b.end - b.start <= limit]
    counts = dict(
        zip(short, _count(text, [(b.start, b.end) for b in short], count_tokens), strict=True)
    )
    pieces: list[Piece] = []
    for path, page, blocks in _sections(document):
        units: list[_Unit] = []
        for block in blocks:
            tokens = counts.get(block, max_tokens + 1)
            if tokens <= max_tokens or block.kind == "heading":
                units.append(_Unit(block.start, block.end, tokens))
            else:
                units += _split(text, block, max_tokens, count_tokens)
        pieces += _pack(units, path, page, max_tokens)
    return pieces


def _count(text: str, spans: list[tuple[int, int]], count: TokenCounter) -> list[int]:
    """Tokens of each span, and never fewer than its length allows: to a tokenizer that knows whole
    words only, a line of base64 is one unknown token."""
    counts = count([text[a:b] for a, b in spans])
    return [max(n, (b - a) // CHARS_PER_TOKEN) for n, (a, b) in zip(counts, spans, strict=True)]


def _sections(document: Document) -> Iterator[tuple[str, int | None, list[Block]]]:
    """Runs of blocks under one heading and on one page, with the heading path.

    A heading that nothing stands under is a block of its own section, so that it can be found.
    """
    stack: list[tuple[int, str]] = []
    run: list[Block] = []
    lone: Block | None = None

    def path() -> str:
        names = [name for _, name in stack]
        if names and names[0] == document.title:
            names = names[1:]
        return SEPARATOR.join(names)

    for block in document.blocks:
        if not _WORD.search(document.text, block.start, block.end):
            continue  # a rule, a row of signs
        if block.kind == "heading":
            if run:
                yield path(), run[0].page, run
            elif lone and block.level <= lone.level:
                yield path(), lone.page, [lone]
            run, lone = [], block
            while stack and stack[-1][0] >= block.level:
                stack.pop()
            name = plain(document.text[block.start : block.end])[:120]
            stack.append((block.level, name))
            continue
        if run and block.page != run[0].page:
            yield path(), run[0].page, run
            run = []
        run.append(block)
        lone = None
    if run:
        yield path(), run[0].page, run
    elif lone:
        yield path(), lone.page, [lone]


def _pack(units: list[_Unit], path: str, page: int | None, max_tokens: int) -> list[Piece]:
    """Join neighbours up to the limit, in parts of about equal size rather than full and a rest."""
    total = sum(unit.tokens for unit in units)
    target = total / max(1, -(-total // max_tokens))
    pieces: list[Piece] = []
    held: list[_Unit] = []
    size = 0
    for unit in [*units, None]:
        if held and (unit is None or size + unit.tokens > max_tokens or size >= target):
            header = held[0].header
            heading = SEPARATOR.join(part for part in (path, header) if part)
            pieces.append(Piece(held[0].start, held[-1].end, heading, page))
            held, size = [], 0
        if unit is not None:
            held.append(unit)
            size += unit.tokens
    return pieces


def _split(text: str, block: Block, max_tokens: int, count: TokenCounter) -> list[_Unit]:
    """A block that does not fit: into rows, lines or sentences, and those that are too long into
    runs of words."""
    part, offset = text[block.start : block.end], block.start
    header = ""
    if block.kind == "paragraph":
        spans = sentences(part)
    elif block.kind == "table":
        spans = _rows(part)
        header = table_header(part[slice(*spans[0])]) if spans else ""
    else:
        spans = _lines(part)
    limit = max_tokens * CHARS_PER_TOKEN
    spans = [
        s
        for span in spans
        for s in ([span] if span[1] - span[0] <= limit else _windows(part, *span, max_tokens * 3))
    ]
    units: list[_Unit] = []
    for at, ((start, end), tokens) in enumerate(
        zip(spans, _count(part, spans, count), strict=True)
    ):
        for a, b, size in _fit(part, start, end, tokens, max_tokens, count):
            units.append(_Unit(offset + a, offset + b, size, header if at else ""))
    return units


def _fit(
    text: str, start: int, end: int, tokens: int, max_tokens: int, count: TokenCounter
) -> list[tuple[int, int, int]]:
    if tokens <= max_tokens or end - start <= 16:
        return [(start, end, tokens)]
    size = max(16, (end - start) * max_tokens * 9 // (tokens * 10))
    spans = _windows(text, start, end, size)
    return [
        fitted
        for (a, b), n in zip(spans, _count(text, spans, count), strict=True)
        for fitted in (
            _fit(text, a, b, n, max_tokens, count) if b - a < end - start else [(a, b, n)]
        )
    ]


def _windows(text: str, start: int, end: int, size: int) -> list[tuple[int, int]]:
    """Runs of at most `size` characters, cut at a space where there is one in the last quarter."""
    spans = []
    while end - start > size:
        cut = max(
            text.rfind(" ", start + size * 3 // 4, start + size + 1),
            text.rfind("\n", start + size * 3 // 4, start + size + 1),
        )
        stop = cut if cut > 0 else start + size
        spans.append((start, stop))
        start = stop + (cut > 0)
    if end > start:
        spans.append((start, end))
    return spans


def _lines(text: str) -> list[tuple[int, int]]:
    return [m.span() for m in re.finditer(r"[^\n]*\S[^\n]*", text)]


def _rows(text: str) -> list[tuple[int, int]]:
    """Lines, except that a quoted field of a CSV row may hold newlines (twenty at most)."""
    rows: list[tuple[int, int]] = []
    start, odd, held = -1, False, 0
    for a, b in _lines(text):
        if start < 0:
            start, held = a, 0
        odd ^= bool(text.count('"', a, b) % 2)
        held += 1
        if not odd or held >= 20:
            rows.append((start, b))
            start, odd = -1, False
    if start >= 0:
        rows.append((start, len(text.rstrip())))
    return rows


def table_header(row: str) -> str:
    """The first row of a table as words: it goes with every part of the table that is cut off."""
    cells = [cell.strip(' "*`') for cell in re.split(r"[|\t;,]", row.strip().strip("|"))]
    return " · ".join(cell for cell in cells if cell)[:200]


_END = re.compile(
    r"[.!?…]+[\"'”’»)\]*_`]*(?=\s)|[。！？]+[」』”]?|\n[ \t]*\n"
    r"|\n(?=[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t])"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|Dr|Mr|Mrs|Ms|Prof|St|No|Nos|Fig|Figs|Eq|Sec|Ch|Vol|pp|al|ca|approx|"
    r"resp|Inc|Ltd|Co|Jr|Sr|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)|(?:^|[\s(])[A-Za-z])\.$"
)


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of sentences, without the space around them. List items count as sentences."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        if match[0][0] == ".":
            following = text[end : end + 40].lstrip()
            if following[:1].islower() or _ABBREVIATION.search(text[max(start, end - 12) : end]):
                continue
        _add(spans, text, start, end)
        start = end
    _add(spans, text, start, len(text))
    return spans


def _add(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    part = text[start:end]
    left = start + len(part) - len(part.lstrip())
    right = start + len(part.rstrip())
    if right > left:
        spans.append((left, right))


# What must be in the text for it to be worth looking, what is taken off, what stays.
_MARKUP = tuple(
    (needle, re.compile(pattern, re.MULTILINE), by)
    for needle, pattern, by in (
        ("](", r"!\[([^\]\n]{0,300})\]\([^)\n]{0,500}\)", r"\1"),  # images
        ("]", r"\[([^\]\n]{1,500})\](?:\([^)\n]{0,500}\)|\[[^\]\n]{0,100}\])", r"\1"),  # links
        ("<", r"<((?:https?|mailto):[^>\s]{1,500})>", r"\1"),
        (
            ":`",
            r":[a-z][a-z0-9:_+.-]{0,40}:`([^`<\n]{1,200}?)(?: ?<[^>\n]{0,300}>)?`",
            r"\1",
        ),  # roles
        ("<", r"</?[a-zA-Z][^<>\n]{0,300}>|<!--.{0,500}?-->", ""),
        ("#", r"^[ \t]{0,3}#{1,6}[ \t]+", ""),
        (">", r"^[ \t]*(?:>[ \t]?)+", ""),
        ("```", r"^[ \t]*`{3,}.*$", ""),
        ("~~~", r"^[ \t]*~{3,}.*$", ""),
        ("--", r"^[ \t]*[|+]?[-=:+| ]{3,}$", ""),  # rules and lines of tables
        ("==", r"^[ \t]*[|+]?[-=:+| ]{3,}$", ""),
        ("**", r"\*\*(?=\S)(.{1,400}?\S|\S)\*\*", r"\1"),
        ("__", r"__(?=\S)(.{1,400}?\S|\S)__", r"\1"),
        ("*", r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,400})\*(?![\w*])", r"\1"),
        ("_", r"(?<![\w_])_(?=[^\s_])([^_\n]{1,400})_(?![\w_])", r"\1"),
        ("`", r"`{1,2}([^`\n]{1,300})`{1,2}_{0,2}", r"\1"),
        ("|", r"^[ \t]*\|[ \t]?|[ \t]*\|[ \t]*$", ""),
        ("\n\n\n", r"\n{3,}", "\n\n"),
    )
)


def plain(text: str) -> str:
    """Markup (Markdown, reStructuredText, stray tags) taken off, for reading and for embedding."""
    for needle, pattern, by in _MARKUP:
        if needle in text:
            text = pattern.sub(by, text)
    return text.strip()


def context(title: str, heading: str) -> str:
    """Title and heading path as one line, without saying the same twice."""
    if not title or heading == title or heading.startswith(title + SEPARATOR):
        return heading
    return f"{title}{SEPARATOR}{heading}" if heading else title


def embedding_text(title: str, heading: str, text: str) -> str:
    """What is embedded and indexed for a chunk: its context in one line, then its words."""
    return f"{context(title, heading)}\n{plain(text)}".strip()
