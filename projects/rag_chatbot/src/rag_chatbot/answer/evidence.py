"""Spans of documents as evidence, and the draft of an answer that cites them: for both modes.

[span] = locate("logs are kept  14 DAYS", chunk)    # the sentence of the chunk that has it
span.quote                                          # "Logs are kept 14 days."
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rag_chatbot.read.blocks import is_row_rule, read_leaves
from rag_chatbot.read.language import CELLS, SEPARATOR, sentence_spans

if TYPE_CHECKING:
    from rag_chatbot.store.records import Chunk

Kind = Literal["sentence", "row", "code", "heading"]

SHORT_CODE = 45  # words; longer code is split at its blank lines
_ROWS = frozenset({"csv", "spreadsheet"})  # formats of which every line is a table row
_CODE = frozenset({"code", "json", "jsonl"})  # … or code
_LINES = re.compile(r"[^\n]*\S[^\n]*")
_PARTS = re.compile(r"[^\n]*\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")  # lines without a blank one among them
_FENCE = re.compile(r"^[ \t]*(?:>[ \t]*)*(?:`{3,}|~{3,})[^\n]*$", re.MULTILINE)


@dataclass(frozen=True)
class Span:
    """A sentence, table row, heading or piece of code of a document: `text[start:end]` of it.

    `context` is the header of a row's table, or the sentence that announces an item or code.
    """

    chunk: Chunk
    start: int
    end: int
    kind: Kind = "sentence"
    context: str = ""

    @property
    def quote(self) -> str:
        """The text of the span, verbatim."""
        return self.chunk.text[self.start - self.chunk.start : self.end - self.chunk.start]


@dataclass
class Draft:
    """An answer, or an empty text: `cited[n - 1]` is the span of the mark `[n]` in it.

    `failure` is why the text is empty, unless the documents just don't contain the answer.
    """

    text: str = ""
    cited: list[Span] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    failure: str = ""

    def add(self, sentence: str, spans: Sequence[Span], doubtful: bool) -> str:
        """Append a sentence with its marks, `[1]` or `[1]?`; returns what was appended."""
        self.cited += [span for span in spans if span not in self.cited]
        marks = "".join(f" [{self.cited.index(span) + 1}]" for span in spans)
        piece = f"{' ' if self.text else ''}{sentence}{marks}{'?' if doubtful else ''}"
        self.text += piece
        return piece


def sentences(chunk: Chunk) -> list[Span]:
    """The spans of a chunk in order, without those that its edges cut off."""
    spans = []
    for start, end, kind, context in _parts(chunk):
        part = chunk.text[start:end]
        if re.search(r"\w", part):
            first = chunk.start + end - len(part.lstrip())
            last = chunk.start + start + len(part.rstrip())
            spans.append(Span(chunk, first, last, kind, context))
    return spans[chunk.cuts & 1 : len(spans) - (chunk.cuts >> 1)]


def locate(quote: str, chunk: Chunk) -> list[Span]:
    """The sentences of a chunk that a quote is made of, in order; none if the chunk lacks it.

    White space, case, punctuation and Markdown's marks may differ, words may not.
    """
    words = re.findall(r"[^\W_]+", quote)
    if len("".join(words)) < 3:
        return []
    pattern = r"(?<![^\W_])" + r"[\W_]{0,20}".join(map(re.escape, words)) + r"(?![^\W_])"
    match = re.search(pattern, chunk.text, re.IGNORECASE)
    if match is None:
        return []
    start, end = chunk.start + match.start(), chunk.start + match.end()
    return [span for span in sentences(chunk) if span.start < end and start < span.end]


def cells(row: str) -> list[str]:
    """The cells of a table row between bars, or of a line of CSV.

    >>> cells("| int | 4 bytes |"), cells('"lamp, red",49')
    (['int', '4 bytes'], ['lamp, red', '49'])
    """
    row = row.strip()
    if row.startswith("|"):
        return [cell.strip() for cell in re.split(r"(?<=[ \t])\|(?=[ \t]|$)", row[1:])][:-1]
    delimiter = max("\t;,", key=row.count)
    return [cell.strip() for cell in next(csv.reader([row], delimiter=delimiter), [])]


def _parts(chunk: Chunk) -> Iterator[tuple[int, int, Kind, str]]:
    """Start, end, kind and context of each span."""
    text = chunk.text
    last_heading = chunk.heading.rsplit(SEPARATOR, 1)[-1]
    header = last_heading if CELLS in last_heading else ""  # of a table that began in another chunk
    if chunk.type in _CODE:
        yield from _code(text, 0, len(text), "")
    elif chunk.type in _ROWS:
        yield from _rows(text, 0, len(text), header, ruled=not header)
    else:
        # If the number of fences is odd and a blank line follows the first, the chunk begins in
        # the middle of code that this fence closes.
        fences = list(_FENCE.finditer(text))
        begin = 0
        if len(fences) % 2 and re.match(r"\n?[ \t]*(?:\n|\Z)", text[fences[0].end() :]):
            begin = fences[0].end()
            yield from _code(text, 0, fences[0].start(), "")
        lead = ""  # a sentence that ends with a colon, while what it announces follows
        for block in read_leaves(text[begin:], chunk.type):
            start, end = begin + block.start, begin + block.end
            if block.kind == "table":
                ruled = any(map(is_row_rule, text[start:end].split("\n")[:2]))
                yield from _rows(text, start, end, "" if ruled else header, ruled=ruled)
            elif block.kind == "code":
                yield from _code(text, start, end, lead)
            elif block.kind == "heading":
                lead = ""
                yield start, end, "heading", ""
            else:
                context = lead if block.kind == "list" else ""
                for first, last in sentence_spans(text, start, end):
                    yield first, last, "sentence", context
                    tail = text[first:last]
                    if tail.endswith(":"):
                        lead = tail
                    elif block.kind != "list":
                        lead = ""


def _rows(
    text: str, start: int, end: int, header: str, *, ruled: bool
) -> Iterator[tuple[int, int, Kind, str]]:
    """The lines of a table. Where it is `ruled`, the first one is the header."""
    lines = [m for m in _LINES.finditer(text, start, end) if not is_row_rule(m[0])]
    if ruled and lines:
        header = CELLS.join(cells(lines.pop(0)[0]))
    yield from ((*line.span(), "row", header) for line in lines)


def _code(text: str, start: int, end: int, lead: str) -> Iterator[tuple[int, int, Kind, str]]:
    """Code with its fences, or its parts between blank lines where it is long."""
    if len(text[start:end].split()) <= SHORT_CODE:
        yield start, end, "code", lead
        return
    fences = list(_FENCE.finditer(text, start, end))
    if fences and not text[start : fences[0].start()].strip():
        start = fences[0].end()
        end = fences[-1].start() if len(fences) > 1 else end
    yield from ((*part.span(), "code", lead) for part in _PARTS.finditer(text, start, end))
