"""Quotable units: the sentences, list items, table rows and code that an answer may quote.

    unit = split(passage)[0]
    passage[unit.start : unit.end]      # the quote, unchanged
    displayed(passage, unit, "markdown")  # the same for reading

Units come from the blocks of the passage. Which of them answer a question is decided in `choose`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rag_chatbot.read.blocks import is_row_rule, read_leaves
from rag_chatbot.read.language import (
    ASSEMBLED,
    CELLS,
    CJK,
    SEPARATOR,
    plain,
    sentence_spans,
)

Kind = Literal["sentence", "item", "row", "code", "heading"]

# All in words, chosen on the shipped questions.
CODE_WORDS = 45  # longer code is cut at its blank lines, then at its lines
LONG_WORDS = 60  # a longer unit is cut, at a clause where possible
SHORT_WORDS = 7  # a sentence up to this length that refers to the previous one stays with it
LEAD_WORDS = 40  # a sentence ending in ":" is joined with what it announces up to this length

_NOISE = re.compile(
    r"""^\s*(?:
        <!--.*-->|</?[a-zA-Z][^>]*>|          # comments and lone tags
        (?:\[?!\[[^\]]*\]\([^)]*\)\]?(?:\([^)]*\))?\s*)+|  # pictures and badges
        \[[^\]]+\]:\s*\S+.*|                  # link definitions
        \{%.*%\}|\{\{.*\}\}|:::.*|!!!.*|\?\?\?.*|       # templates and admonition openers
        import\s.*from\s+['"].*|---|\+\+\+|\+
    )\s*$""",
    re.VERBOSE,
)
# How a sentence begins that cannot be understood alone ("It is 5."), and up to three words.
_REFERS = re.compile(
    r"\W*(?:it|its|they|their|them|this|that|these|those|there|such|both|otherwise|then|so|if not"
    r"|e\.g|for example|for instance|the (?:default|value|minimum|maximum|limit)|default|yes|no"
    r"|not)\b|\W*(?:\S+\s+){0,2}\S+$",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^[ \t]*(?:>[ \t]*)*(?:`{3,}|~{3,})[^\n]*$", re.MULTILINE)
_FENCED = re.compile(
    r"^[ \t]*(?:```|~~~)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_WORD = re.compile(r"\S+")
_SIGN = re.compile(rf"[{CJK}]")
_ROWS = frozenset({"csv", "spreadsheet"})  # formats of which every line is a table row
_CODE = frozenset({"code", "json", "jsonl"})  # … or code


@dataclass(frozen=True)
class Unit:
    """A part of a passage that may be quoted: `passage[start:end]`.

    `context` is the text that announces it, or the header of its table.
    """

    start: int
    end: int
    kind: Kind
    context: str = ""


def words(text: str) -> int:
    """The number of words of a text; two Chinese, Japanese or Korean signs count as one."""
    return len(text.split()) + len(_SIGN.findall(text)) // 2


def heading_of(text: str, kind: str, names: Sequence[str]) -> Unit | None:
    """The heading with which a passage begins, one of `names`; None if it begins otherwise."""
    first = text.partition("\n")[0].rstrip()
    name = plain(first, kind).strip("#=~ ")
    return Unit(0, len(first), "heading") if name and name in names else None


def cell_values(text: str, unit: Unit) -> list[str]:
    """The cells of a table row, without the names of their columns."""
    return _cells(text[unit.start : unit.end])


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def displayed(text: str, unit: Unit, kind: str) -> str:
    """A unit for reading: without markup, code between fences, a table row as a sentence.

    >>> table = "| Name | Size |\\n|---|---|\\n| int | 4 bytes |"
    >>> displayed(table, split(table)[0], "markdown")
    'Name: int; Size: 4 bytes'
    """
    quote = text[unit.start : unit.end]
    if unit.kind == "row":
        return "\n".join(_row_sentence(row, unit.context, kind) for row in quote.splitlines())
    if unit.kind == "code":
        return quote if _FENCED.search(quote) else f"```\n{quote}\n```"
    unwrapped = str if kind in ASSEMBLED else _unwrapped
    parts, at = [], 0
    for code in _FENCED.finditer(quote):
        parts.append(unwrapped(plain(quote[at : code.start()], kind)))
        parts.append(f"```\n{code[1].rstrip()}\n```")
        at = code.end()
    parts.append(unwrapped(plain(quote[at:], kind)))
    return "\n".join(part for part in parts if part)


def _row_sentence(row: str, header: str, kind: str) -> str:
    """`Name: int; Size: 4 bytes`; the cells alone where they do not match the header."""
    cells = [plain(cell, kind) for cell in _cells(row)]
    names = [plain(name, kind) for name in header.split(CELLS)]
    if not header or len(names) != len(cells):
        return "; ".join(cell for cell in cells if cell).replace(":; ", ": ", 1)
    pairs = zip(names, cells, strict=True)
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


def _unwrapped(text: str) -> str:
    """Lines that were broken for width joined again; items, rows and paragraphs keep theirs."""
    text = re.sub(r"(?<=\S)[ \t]*\n[ \t]*(?!\s|[-*+•|]|\(?\w{1,3}[.)]\s)", " ", text)
    return re.sub(r"(?<=\S)[ \t]{2,}", " ", text)


def split(text: str, kind: str = "markdown", heading: str = "") -> list[Unit]:
    """The units of a passage, in order; headings, rules, markup and empty lines are left out.

    `kind` is the format of its document, see `read.TYPES`. The last part of `heading` is the header
    of a table whose middle the passage is.
    """
    last = heading.rsplit(SEPARATOR, 1)[-1]
    header = last if CELLS in last else ""
    if kind in _CODE:
        return _joined(text, _code(text, 0, len(text), ""))
    if kind in _ROWS:
        return _rows(text, 0, len(text), header, ruled=not header)

    # Of an odd number of fences, the first one with nothing below it closes code in whose middle
    # the passage begins.
    units: list[Unit] = []
    start = 0
    fences = list(_FENCE.finditer(text))
    if len(fences) % 2 and re.match(r"\n?[ \t]*(?:\n|\Z)", text[fences[0].end() :]):
        start = fences[0].end()
        units = _code(text, 0, fences[0].start(), "")
    lead = ""  # a sentence that ends with a colon, while the blocks that it announces follow
    for block in read_leaves(text[start:], kind):
        # 1. Read one block: a paragraph, an item, a table or code.
        first, end = start + block.start, start + block.end
        if block.kind == "heading":
            lead = ""
            continue
        if block.kind == "table":
            found = _table(text, first, end, header)
        elif block.kind == "code":
            found = _block_of_code(text, first, end, lead)
        elif block.kind == "list":
            found = _item(text, first, end, lead)
        else:
            found = _paragraph(text, first, end)
        units += found

        # 2. Remember the sentence that announces the next block.
        if found and found[-1].kind == "sentence":
            tail = text[found[-1].start : found[-1].end]
            lead = tail if tail.rstrip("*_ ").endswith(":") else ""

    # 3. Join announcements with short code, and cut what is too long.
    return _joined(text, units)


def _paragraph(text: str, start: int, end: int) -> list[Unit]:
    """The sentences of a paragraph, between lines of markup."""
    runs: list[tuple[int, int]] = []
    for line in re.finditer(r"[^\n]+", text[start:end]):
        if _NOISE.match(line[0]):
            runs.append((end, end))
        elif runs and runs[-1][0] < end:
            runs[-1] = (runs[-1][0], start + line.end())
        else:
            runs.append((start + line.start(), start + line.end()))
    return [
        Unit(a, b, "sentence") for first, last in runs for a, b in _sentences(text, first, last)
    ]


def _sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Spans of sentences; a short one that refers to the previous one is joined to it."""
    spans: list[tuple[int, int]] = []
    for a, b in sentence_spans(text, start, end):
        if (
            spans
            and words(text[a:b]) <= SHORT_WORDS
            and _REFERS.match(text, a, b)
            and not _SIGN.search(text, a, b)
            and words(text[spans[-1][0] : b]) <= LEAD_WORDS
        ):
            spans[-1] = (spans[-1][0], b)
        else:
            spans.append((a, b))
    return spans


def _item(text: str, start: int, end: int, lead: str) -> list[Unit]:
    start, end = _trimmed(text, start, end)
    if words(text[start:end]) <= LEAD_WORDS:
        return [Unit(start, end, "item", lead)]
    spans = list(sentence_spans(text, start, end))
    first = text[spans[0][0] : spans[0][1]]
    return [Unit(a, b, "item", lead if a == start else first) for a, b in spans]


def _table(text: str, start: int, end: int, heading: str) -> list[Unit]:
    lines = text[start:end].split("\n")
    ruled = any(is_row_rule(line) for line in lines[:2])
    return _rows(text, start, end, "" if ruled else heading, ruled=ruled)


def _rows(text: str, start: int, end: int, header: str, *, ruled: bool) -> list[Unit]:
    """The lines of a table as rows. Where it is `ruled`, the first one is the header."""
    lines = [
        _trimmed(text, start + line.start(), start + line.end())
        for line in re.finditer(r"[^\n]*\S[^\n]*", text[start:end])
        if not is_row_rule(line[0])
    ]
    if ruled and lines:
        header = CELLS.join(_cells(text[slice(*lines.pop(0))]))
    return [Unit(first, last, "row", header) for first, last in lines]


def _cells(row: str) -> list[str]:
    """The cells of a table row between bars, or of a line of CSV."""
    row = row.strip()
    if row.startswith("|"):
        return [cell.strip() for cell in re.split(r"(?<=[ \t])\|(?=[ \t]|$)", row[1:])][:-1]
    delimiter = max("\t;,", key=row.count)
    return [cell.strip() for cell in next(csv.reader([row], delimiter=delimiter), [])]


def _block_of_code(text: str, start: int, end: int, lead: str) -> list[Unit]:
    """Code, with its fences where it is short."""
    if words(text[start:end]) <= CODE_WORDS:
        return [Unit(*_trimmed(text, start, end), "code", lead)]
    fences = list(_FENCE.finditer(text, start, end))
    if fences and not text[start : fences[0].start()].strip():
        start = fences[0].end()
        end = fences[-1].start() if len(fences) > 1 else end
    return _code(text, start, end, lead)


def _code(text: str, start: int, end: int, lead: str) -> list[Unit]:
    """Code split at its blank lines, and at every line where that is not short enough."""
    units: list[Unit] = []
    for part in re.finditer(r"[^\n]*\S[^\n]*(?:\n[^\n]*\S[^\n]*)*", text[start:end]):
        spans = [part.span()]
        if words(part[0]) > CODE_WORDS:
            lines = re.finditer(r"[^\n]+", part[0])
            spans = [(part.start() + m.start(), part.start() + m.end()) for m in lines]
        units += [Unit(*_trimmed(text, start + a, start + b), "code", lead) for a, b in spans]
    return units


def _joined(text: str, units: list[Unit]) -> list[Unit]:
    """Units with short code joined to the sentence that announces it, and long ones cut."""
    out: list[Unit] = []
    for unit in units:
        before = out[-1] if out else None
        if (
            before is not None
            and before.kind in ("sentence", "item")
            and unit.kind == "code"
            and text[before.start : before.end].rstrip("*_ ").endswith(":")
            and words(text[before.start : unit.end]) <= LEAD_WORDS + CODE_WORDS // 2
        ):
            out[-1] = replace(before, end=unit.end)
        else:
            out.append(unit)
    parts = [part for unit in out for part in _cut(text, unit)]
    return [u for u in parts if re.search(r"\w", text[u.start : u.end])]


def _cut(text: str, unit: Unit) -> Iterator[Unit]:
    """Parts of a unit of at most LONG_WORDS words, cut after a line, a clause or a word."""
    start = unit.start
    while words(text[start : unit.end]) > LONG_WORDS:
        ends = [m.end() for m in _WORD.finditer(text, start, unit.end)][:LONG_WORDS]
        breaks = [e for e in ends if text[e] == "\n" or text[e - 1] in ",;:—)"]
        at = next((e for e in reversed(breaks) if e - start > (ends[-1] - start) // 3), ends[-1])
        first, last = _trimmed(text, start, at)
        yield replace(unit, start=first, end=last)
        start = _trimmed(text, at, unit.end)[0]
    yield replace(unit, start=start)
