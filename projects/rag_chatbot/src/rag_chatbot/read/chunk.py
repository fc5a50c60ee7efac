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
# Maximum characters counted as one token. Prose has 4 to 5; a tokenizer that maps unknown words to
# one token would make a single chunk of a long line of base64.
CHARS_PER_TOKEN = 8

_WORD = re.compile(r"\w")
_LINE = re.compile(r"[^\n]*\S[^\n]*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk, or a part of one: `document.text[start:end]`, and how many tokens that has.

    `heading` is the path of headings above it; in a table, column names follow. `page` is from 1.
    The first chunk below a heading begins with that heading, and its body text at `body`. `cuts` is
    a bit mask: 1 if it begins inside a sentence or row that was too long, 2 if it ends inside one.
    """

    start: int
    end: int
    heading: str
    page: int | None = None
    tokens: int = 0
    body: int = 0
    cuts: int = 0


def counter(embeddings: Any) -> TokenCounter:
    """Counts tokens with the tokenizer of `embeddings`; estimates them if it has none."""
    return getattr(embeddings, "token_counts", lambda texts: list(map(estimate_tokens, texts)))


def estimate_tokens(text: str) -> int:
    """About 1.3 tokens per word and one per symbol, as with subword tokenizers on English."""
    return int(1.3 * len(re.findall(r"\w+", text))) + len(re.findall(r"[^\w\s]", text))


def chunk(document: Document, max_tokens: int, count_tokens: TokenCounter) -> list[Piece]:
    """Cut a document into pieces of at most `max_tokens`, in text order.

    `count_tokens` takes many texts at once, see `counter`. A heading counts as a piece only if
    nothing follows it; otherwise it is part of the path `Piece.heading`.
    """
    pieces: list[Piece] = []
    # 1. Go through the sections: runs of blocks under one heading, on one page.
    for path, blocks, above in _sections(document):
        # 2. Divide blocks that are too long, and join neighbours into chunks of about equal size.
        parts = [
            part
            for block in blocks
            for part in _parts(document.text, block, path, max_tokens, count_tokens)
        ]
        packed = _pack(parts, max_tokens)
        # 3. Add the heading to the first chunk: it may have a date or a version worth quoting.
        if above and packed:
            packed[0] = replace(packed[0], start=above.start, body=packed[0].start)
        pieces += packed
    return pieces


def _sections(document: Document) -> Iterator[tuple[str, list[Block], Block | None]]:
    """Yield (heading path, blocks, heading) for each run of blocks on one page.

    The heading is None where other text or a page break is between it and the run.

    A heading that nothing follows is a section by itself, so that search can find it. The title of
    the document is left out of the path.
    """
    sections: list[tuple[str, Block | None, list[Block]]] = []
    stack: list[tuple[int, str]] = []  # level and name of each heading above
    path = ""
    for block in document.blocks:
        if not _WORD.search(document.text, block.start, block.end):
            continue  # a rule or a row of symbols
        if block.kind == "heading":
            while stack and stack[-1][0] >= block.level:
                stack.pop()
            name = plain(document.text[block.start : block.end], document.type)[:HEADING_CHARS]
            stack.append((block.level, name))
            names = [name for _, name in stack]
            path = SEPARATOR.join(names[1:] if names[0] == document.title else names)
            sections.append((path, block, []))
            continue
        if not sections or (sections[-1][2] and sections[-1][2][0].page != block.page):
            sections.append((path, None, []))
        sections[-1][2].append(block)
    for n, (path, heading, run) in enumerate(sections):
        if run:
            yield path, run, heading if heading and heading.page == run[0].page else None
        elif heading:
            below = sections[n + 1][1] if n + 1 < len(sections) else None
            if below is None or below.level <= heading.level:
                yield path, [heading], None


def _parts(text: str, block: Block, path: str, max_tokens: int, count: TokenCounter) -> list[Piece]:
    """A block as one piece if it fits, else its sentences, rows or lines, divided to fit."""
    spans = [(block.start, block.end)]
    if block.kind == "heading":
        return [Piece(*spans[0], path, block.page)]
    header = ""
    if _count(text, spans, max_tokens, count)[0] > max_tokens:
        if block.kind in ("paragraph", "list"):
            spans = list(sentence_spans(text, block.start, block.end))
        else:
            spans = [line.span() for line in _LINE.finditer(text, block.start, block.end)]
        if block.kind == "table":
            header = _table_header(text, spans)
    later_path = SEPARATOR.join(part for part in (path, header) if part)
    starts, ends = {start for start, _ in spans}, {end for _, end in spans}
    pieces = []
    for n, (a, b, tokens) in enumerate(_divide(text, spans, max_tokens, count)):
        cuts = (a not in starts) + 2 * (b not in ends)
        pieces.append(Piece(a, b, later_path if n else path, block.page, tokens, cuts=cuts))
    return pieces


def _divide(
    text: str, spans: list[tuple[int, int]], max_tokens: int, count: TokenCounter
) -> Iterator[tuple[int, int, int]]:
    """(start, end, tokens) of the spans. Too long ones are halved, at a space if possible."""
    counts = _count(text, spans, max_tokens, count)
    for (start, end), tokens in zip(spans, counts, strict=True):
        if tokens <= max_tokens or end - start <= 16:
            yield start, end, tokens
            continue
        middle = (start + end) // 2
        space = max(text.rfind(blank, (start + middle) // 2, middle) for blank in " \n")
        cut = space if space > 0 else middle
        halves = [(start, cut), (cut + (space > 0), end)]
        yield from _divide(text, halves, max_tokens, count)


def _count(
    text: str, spans: list[tuple[int, int]], max_tokens: int, count: TokenCounter
) -> list[int]:
    """Tokens of each span, at least one per CHARS_PER_TOKEN characters.

    Spans that are too long in any case count as `max_tokens + 1`.
    """
    short = [(a, b) for a, b in spans if b - a <= max_tokens * CHARS_PER_TOKEN]
    counts = dict(zip(short, count([text[a:b] for a, b in short]), strict=True))
    return [max(counts.get((a, b), max_tokens + 1), (b - a) // CHARS_PER_TOKEN) for a, b in spans]


def _pack(parts: list[Piece], max_tokens: int) -> list[Piece]:
    """Join neighbours up to the limit, into pieces of about equal size."""
    total = sum(part.tokens for part in parts)
    target = total / max(1, -(-total // max_tokens))
    pieces: list[Piece] = []
    for part in parts:
        size = pieces[-1].tokens if pieces else 0
        if not pieces or size + part.tokens > max_tokens or size >= target:
            pieces.append(part)
        else:
            cuts = pieces[-1].cuts & 1 | part.cuts & 2
            pieces[-1] = replace(pieces[-1], end=part.end, tokens=size + part.tokens, cuts=cuts)
    return pieces


def _table_header(text: str, rows: list[tuple[int, int]]) -> str:
    """The cells of the header row, which become the heading of the table's later chunks.

    A table between bars has one if a rule follows its first row; CSV always has one.
    """
    first, second = (text[slice(*row)] for row in (*rows[:2], (0, 0))[:2])
    if "|" in first and not is_row_rule(second):
        return ""
    cells = [cell.strip(' "*`') for cell in re.split(r"[|\t;,]", first.strip().strip("|"))]
    return CELLS.join(cell for cell in cells if cell)[:TABLE_HEADER_CHARS]
