"""Cut a document into chunks: spans of its text that follow its structure.

    pieces = chunk(document, 128, counter(embeddings))
    document.text[pieces[0].start : pieces[0].end], pieces[0].heading

A chunk never crosses a heading or a page. Blocks stay whole if they fit, and so do sentences and
table rows. File formats are left to the parsers, storage to `store/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rag_chatbot.read.blocks import is_row_rule
from rag_chatbot.read.document import Block, Document
from rag_chatbot.read.language import CELLS, SEPARATOR, plain, sentence_spans

TokenCounter = Callable[[Sequence[str]], Sequence[int]]  # texts → number of tokens of each
HEADING_CHARS = 120  # a longer heading is cut in the path
TABLE_HEADER_CHARS = 200
HEADINGS_IN_CODE = frozenset({"code", "json", "jsonl"})  # names and keys: not lines of their own
# Most characters counted as one token. Prose has 4 to 5; a tokenizer that maps unknown words to one
# token would make a single chunk of a long line of base64.
CHARS_PER_TOKEN = 8

_WORD = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk: `document.text[start:end]`, the path of headings above it, and its page from 1.

    The first chunk below a heading begins with that heading, and its text proper at `body`.
    """

    start: int
    end: int
    heading: str
    page: int | None = None
    body: int = 0


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is not divided any further: a block, sentence, row or line.

    `header`: the column names of the table that it belongs to.
    """

    start: int
    end: int
    tokens: int
    header: str = ""


def counter(embeddings: Any) -> TokenCounter:
    """Counts tokens with the tokenizer of `embeddings`; estimates them if it has none."""
    if hasattr(embeddings, "token_counts"):
        return embeddings.token_counts  # type: ignore[no-any-return]
    if hasattr(embeddings, "count_tokens"):
        return lambda texts: [embeddings.count_tokens(text) for text in texts]
    return lambda texts: [estimate_tokens(text) for text in texts]


def estimate_tokens(text: str) -> int:
    """About 1.3 tokens per word and one per sign, as with subword tokenizers on English."""
    return int(1.3 * len(re.findall(r"\w+", text))) + len(re.findall(r"[^\w\s]", text))


def chunk(document: Document, max_tokens: int, count_tokens: TokenCounter) -> list[Piece]:
    """Cut a document into pieces of at most `max_tokens`, in order of the text.

    `count_tokens` takes many texts at once, see `counter`. A heading counts as a piece only if
    nothing follows it; otherwise it is part of the path `Piece.heading`.
    """
    text = document.text
    limit = max_tokens * CHARS_PER_TOKEN
    # 1. Count the tokens of all blocks that may fit, in one call.
    short = [b for b in document.blocks if b.kind != "heading" and b.end - b.start <= limit]
    counts = dict(
        zip(short, _count(text, [(b.start, b.end) for b in short], count_tokens), strict=True)
    )
    pieces: list[Piece] = []
    # 2. Go through the sections: runs of blocks under one heading, on one page.
    for path, page, blocks, above in _sections(document):
        # 3. Divide blocks that are too long.
        units: list[_Unit] = []
        for block in blocks:
            tokens = counts.get(block, max_tokens + 1)
            if tokens <= max_tokens or block.kind == "heading":
                units.append(_Unit(block.start, block.end, tokens))
            else:
                units += _split(text, block, max_tokens, count_tokens)
        # 4. Join neighbours into pieces of about equal size.
        packed = _pack(units, path, page, max_tokens)
        # 5. A heading goes with the first of them: it may have a date or a version to quote.
        if above and packed and document.type not in HEADINGS_IN_CODE:
            packed[0] = replace(packed[0], start=above.start, body=packed[0].start)
        pieces += packed
    return pieces


def _count(text: str, spans: list[tuple[int, int]], count: TokenCounter) -> list[int]:
    """Tokens of each span, at least one per CHARS_PER_TOKEN characters."""
    counts = count([text[a:b] for a, b in spans])
    return [max(n, (b - a) // CHARS_PER_TOKEN) for n, (a, b) in zip(counts, spans, strict=True)]


def _sections(
    document: Document,
) -> Iterator[tuple[str, int | None, list[Block], Block | None]]:
    """Yield (heading path, page, blocks, heading) for each run of blocks on one page.

    The heading is None where other text or a page break is between it and the run.

    A heading that nothing follows is a section by itself, so that search can find it. The title of
    the document is left out of the path.
    """
    stack: list[tuple[int, str]] = []
    run: list[Block] = []
    lone: Block | None = None
    above: Block | None = None

    def path() -> str:
        names = [name for _, name in stack]
        if names and names[0] == document.title:
            names = names[1:]
        return SEPARATOR.join(names)

    for block in document.blocks:
        if not _WORD.search(document.text, block.start, block.end):
            continue  # a rule or a row of signs
        is_heading = block.kind == "heading"
        if run and (is_heading or block.page != run[0].page):
            yield path(), run[0].page, run, above
            run, above = [], None
        elif lone and is_heading and block.level <= lone.level:
            yield path(), lone.page, [lone], None
        if is_heading:
            while stack and stack[-1][0] >= block.level:
                stack.pop()
            lone = block
            name = plain(document.text[block.start : block.end], document.type)[:HEADING_CHARS]
            stack.append((block.level, name))
        else:
            if lone and lone.page == block.page:
                above = lone
            run.append(block)
            lone = None
    if run:
        yield path(), run[0].page, run, above
    elif lone:
        yield path(), lone.page, [lone], None


def _pack(units: list[_Unit], path: str, page: int | None, max_tokens: int) -> list[Piece]:
    """Join neighbours up to the limit, into pieces of about equal size."""
    total = sum(unit.tokens for unit in units)
    target = total / max(1, -(-total // max_tokens))
    pieces: list[Piece] = []
    waiting: list[_Unit] = []
    size = 0
    for unit in [*units, None]:
        if waiting and (unit is None or size + unit.tokens > max_tokens or size >= target):
            header = waiting[0].header
            heading = SEPARATOR.join(part for part in (path, header) if part)
            pieces.append(Piece(waiting[0].start, waiting[-1].end, heading, page))
            waiting, size = [], 0
        if unit is not None:
            waiting.append(unit)
            size += unit.tokens
    return pieces


def _split(text: str, block: Block, max_tokens: int, count: TokenCounter) -> list[_Unit]:
    """Divide a block that does not fit into sentences, rows or lines.

    Those that are still too long are divided into runs of words.
    """
    part, offset = text[block.start : block.end], block.start
    header = ""
    if block.kind == "paragraph":
        spans = list(sentence_spans(part))
    elif block.kind == "table":
        spans = _lines(part)
        header = _table_header(part, spans)
    else:
        spans = _lines(part)
    limit = max_tokens * CHARS_PER_TOKEN
    spans = [
        window
        for start, end in spans
        for window in (
            [(start, end)] if end - start <= limit else _windows(part, start, end, max_tokens * 3)
        )
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
    """(start, end, tokens) of the parts of a span, each of them at most `max_tokens` long."""
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
    """Spans of at most `size` characters, cut at a space if the last quarter contains one."""
    spans = []
    while end - start > size:
        last_quarter = start + size * 3 // 4, start + size + 1
        cut = max(text.rfind(" ", *last_quarter), text.rfind("\n", *last_quarter))
        stop = cut if cut > 0 else start + size
        spans.append((start, stop))
        start = stop + (cut > 0)
    if end > start:
        spans.append((start, end))
    return spans


def _lines(text: str) -> list[tuple[int, int]]:
    """Spans of the lines that are not blank."""
    return [m.span() for m in re.finditer(r"[^\n]*\S[^\n]*", text)]


def _table_header(table: str, rows: list[tuple[int, int]]) -> str:
    """The cells of the header row, which become the heading of the table's later chunks.

    A table between bars has one if a rule follows its first row; CSV always has one.
    """
    first, second = (table[slice(*row)] for row in (*rows[:2], (0, 0))[:2])
    if "|" in first and not is_row_rule(second):
        return ""
    cells = [cell.strip(' "*`') for cell in re.split(r"[|\t;,]", first.strip().strip("|"))]
    return CELLS.join(cell for cell in cells if cell)[:TABLE_HEADER_CHARS]
