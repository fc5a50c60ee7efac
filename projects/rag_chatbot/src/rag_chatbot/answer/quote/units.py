"""Quotable units: the sentences, list items, table rows and code that an answer may quote.

    unit = split(passage)[0]
    passage[unit.start : unit.end]      # the quote, unchanged
    displayed(passage, unit, "markdown")  # the same for reading

Units come from the lines of the passage. Which of them answer a question is decided in `choose`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rag_chatbot.read import markdown_lines
from rag_chatbot.read.language import (
    ASSEMBLED,
    CELLS,
    CJK,
    SEPARATOR,
    plain,
    sentence_spans,
)
from rag_chatbot.read.markdown_lines import Line, is_item, is_row, is_row_rule, read_lines

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
        \.\.\s+_.*|\.\.\s+[\w-]+::.*|:[\w-]+:\s*\S*|    # reStructuredText directives, options
        \{%.*%\}|\{\{.*\}\}|:::.*|!!!.*|\?\?\?.*|       # templates and admonition openers
        import\s.*from\s+['"].*|---|\+\+\+|\+|
        \[{1,2}[a-zA-Z][\w,.="\ -]*\]{1,2}|    # AsciiDoc: [verse], [[anchor]]
        (?:ifn?def|endif|ifeval|include)::.*\[.*\]  # … and its directives
    )\s*$""",
    re.VERBOSE,
)
_ADMONITION = re.compile(
    r"^\s*\.\.\s+(?:note|warning|tip|hint|important|caution|attention|danger|seealso)::\s+(?=\S)"
)
# How a sentence begins that cannot be understood alone ("It is 5."), and up to three words.
_REFERS = re.compile(
    r"\W*(?:it|its|they|their|them|this|that|these|those|there|such|both|otherwise|then|so|if not"
    r"|e\.g|for example|for instance|the (?:default|value|minimum|maximum|limit)|default|yes|no"
    r"|not)\b|\W*(?:\S+\s+){0,2}\S+$",
    re.IGNORECASE,
)
_FENCED = re.compile(
    r"^[ \t]*(?:```|~~~)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_WORD = re.compile(r"\S+")
_SIGN = re.compile(rf"[{CJK}]")
# The term of a definition list of AsciiDoc, as in the sources of manual pages ("--quiet::"), or of
# a glossary in plain text (":yak shaving:").
_TERM = re.compile(r"[ \t]*\S.{0,100}?(?<!:)(?:::|;;)$|:\w[^:\n]{0,80}:$")
_ITEM_TERM = re.compile(r"[-*•][ \t]+(\S.{0,80}?):[ \t]")  # of a short definition in HTML
_ROWS = frozenset({"csv", "spreadsheet"})  # formats of which every line is a table row
_CODE = frozenset({"code", "json", "jsonl"})  # … or code


@dataclass(frozen=True)
class Unit:
    """`passage[start:end]`.

    `context` is the text that announces it or the header of its table; `term` is what it defines.
    """

    start: int
    end: int
    kind: Kind
    context: str = ""
    term: str = ""


def words(text: str) -> int:
    """The number of words of a text; two Chinese, Japanese or Korean signs count as one."""
    return len(text.split()) + len(_SIGN.findall(text)) // 2


def heading_of(text: str, kind: str, names: Sequence[str]) -> Unit | None:
    """The heading with which a passage begins, one of `names`; None if it begins otherwise."""
    line = next(iter(read_lines(text)), Line(0, 0, ""))
    name = plain(line.text, kind).strip("#=~ ")
    return Unit(line.start, line.end, "heading") if name and name in names else None


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
    text = re.sub(r"^(?:-{4,}|\.{4,})\n", "", text, flags=re.MULTILINE)  # a listing of AsciiDoc
    text = re.sub(r"(?<=\S)(?:::|;;)[ \t]*\n\s*", ": ", text)  # … and a term
    text = re.sub(r"^:(\w[^:\n]*:)\n\s*", r"\1 ", text, flags=re.MULTILINE)  # … of a glossary
    text = re.sub(r"(?<=\S)[ \t]*\n[ \t]*(?!\s|[-*+•|]|\(?\w{1,3}[.)]\s)", " ", text)
    return re.sub(r"(?<=\S)[ \t]{2,}", " ", text)


def split(text: str, kind: str = "markdown", heading: str = "") -> list[Unit]:
    """The units of a passage, in order; headings, rules, markup and empty lines are left out.

    `kind` is the format of its document, see `read.TYPES`. The last part of `heading` is the header
    of a table whose middle the passage is, or a term that the passage defines.
    """
    lines = read_lines(text)
    units: list[Unit] = []
    if kind in _CODE:
        return _joined(text, _code(text, lines, ""))
    last = heading.rsplit(SEPARATOR, 1)[-1]
    header = last if CELLS in last else ""
    if kind in _ROWS:
        return _csv_rows(lines, header)

    # Of an odd number of fences, the first one with nothing below it closes code in whose middle the
    # passage begins.
    fences = [i for i, line in enumerate(lines) if markdown_lines.fence_mark(line.text)]
    i = 0
    if len(fences) % 2 and not "".join(line.text for line in lines[fences[0] + 1 : fences[0] + 2]):
        i = fences[0] + 1
        units = _code(text, lines[: fences[0]], "")
    lead = ""  # a sentence that ends with a colon, while the blocks that it announces follow
    while i < len(lines):
        # 1. Read one block: a paragraph, an item, a table or code.
        next_line, block = _read_block(text, lines, i, lead, header)
        units.extend(block)

        # 2. Remember the sentence that announces the next block.
        if block and block[-1].kind == "sentence":
            tail = text[block[-1].start : block[-1].end]
            lead = tail if tail.rstrip("*_ ").endswith(":") else ""
        elif not block and lines[i].text and not _NOISE.match(lines[i].text):
            lead = ""  # a heading or a rule
        i = next_line

    # 3. Join announcements with short code, and cut what is too long.
    units = _joined(text, units)

    # 4. Note the terms of definitions.
    if last.endswith(":"):
        return [replace(unit, term=unit.term or last[:-1]) for unit in units]
    terms = ((unit, _ITEM_TERM.match(text, unit.start, unit.end)) for unit in units)
    return [replace(unit, term=match[1]) if match else unit for unit, match in terms]


def _read_block(
    text: str, lines: list[Line], i: int, lead: str, header: str
) -> tuple[int, list[Unit]]:
    """The number of the line after the block that begins at line `i`, and the block's units."""
    line = lines[i]
    if not line.text:
        return i + 1, []
    if mark := markdown_lines.fence_mark(line.text):
        return _fenced_code(text, lines, i, lead, mark)
    if end := _end_of_listing(lines, i):
        return end + 1, _code(text, lines[i + 1 : end], lead)
    below = lines[i + 1].text if i + 1 < len(lines) else ""
    if note := _ADMONITION.match(line.text):
        rest = Line(line.start + note.end(), line.end, line.text[note.end() :])
        return _paragraph(text, [*lines[:i], rest, *lines[i + 1 :]], i)
    is_term = bool(_TERM.match(line.text))
    if not is_term and (
        markdown_lines.heading(line.text) or _NOISE.match(line.text) or _is_rule(line.text)
    ):
        return i + 1, []
    if _is_rule(below) and len(line.text.strip()) < 100:
        return i + 2, []
    if is_row(line.text):
        return _table(lines, i, header)
    if is_item(line.text):
        return _item(text, lines, i, lead)
    if is_term:
        return _definition(text, lines, i)
    if re.match(r"^(?: {4}|\t)", line.text) and (i == 0 or not lines[i - 1].text):
        return _indented_code(text, lines, i, lead)
    return _paragraph(text, lines, i)


def _opens(lines: list[Line], i: int) -> bool:
    """Whether line `i` begins a new block, which ends the paragraph before it."""
    line = lines[i].text
    return bool(
        not line
        or markdown_lines.fence_mark(line)
        or markdown_lines.heading(line)
        or is_item(line)
        or is_row(line)
        or _NOISE.match(line)
        or _is_rule(line)
        or _TERM.match(line)
    )


def _is_rule(line: str) -> bool:
    """Whether the line is `---` or the like. In a chunk it may be indented, unlike in a file."""
    return markdown_lines.rule_sign(line.strip()) is not None


def _paragraph(text: str, lines: list[Line], i: int) -> tuple[int, list[Unit]]:
    j = i + 1
    while j < len(lines) and not _opens(lines, j):
        j += 1
    return j, [
        Unit(a, b, "sentence") for a, b in _sentences(text, lines[i].start, lines[j - 1].end)
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


def _item(text: str, lines: list[Line], i: int, lead: str) -> tuple[int, list[Unit]]:
    j = i + 1
    while j < len(lines) and not _opens(lines, j):
        j += 1
    start, end = _trimmed(text, lines[i].start, lines[j - 1].end)
    if words(text[start:end]) <= LEAD_WORDS:
        return j, [Unit(start, end, "item", lead)]
    spans = list(sentence_spans(text, start, end))
    first = text[spans[0][0] : spans[0][1]]
    return j, [Unit(a, b, "item", lead if a == start else first) for a, b in spans]


def _definition(text: str, lines: list[Line], i: int) -> tuple[int, list[Unit]]:
    """Terms and the paragraph below them: the first sentence has the terms, the others refer."""
    first = i + 1
    while first < len(lines) and (not lines[first].text or _TERM.match(lines[first].text)):
        first += 1
    if first == len(lines):
        return first, [Unit(*_trimmed(text, lines[i].start, lines[first - 1].end), "item")]
    j, sentences = _paragraph(text, lines, first)
    term = ", ".join(line.text.strip(" \t:;") for line in lines[i:first] if line.text)
    head = Unit(*_trimmed(text, lines[i].start, sentences[0].end), "item")
    return j, [
        replace(head, term=term),
        *(replace(sentence, term=term) for sentence in sentences[1:]),
    ]


def _end_of_listing(lines: list[Line], i: int) -> int:
    """The line that closes a listing of AsciiDoc, between `----` or `....`; 0 if none begins."""
    line = lines[i].text
    if not re.fullmatch(r"-{4,}|\.{4,}", line):
        return 0
    if i and lines[i - 1].text and not _NOISE.match(lines[i - 1].text):
        return 0  # the underline of a heading
    return next((j for j in range(i + 1, len(lines)) if lines[j].text == line), 0)


def _table(lines: list[Line], i: int, heading: str) -> tuple[int, list[Unit]]:
    j = i
    while j < len(lines) and (is_row(lines[j].text) or is_row_rule(lines[j].text)):
        j += 1
    rows = [line for line in lines[i:j] if not is_row_rule(line.text)]
    ruled = any(is_row_rule(line.text) for line in lines[i : min(j, i + 2)])
    header = CELLS.join(_cells(rows[0].text)) if ruled and rows else heading
    body = rows[1:] if ruled else rows
    return j, [_row(line, header) for line in body]


def _csv_rows(lines: list[Line], header: str) -> list[Unit]:
    """The lines of a CSV file as rows. Without `header`, the first line is the header."""
    rows = [line for line in lines if line.text]
    if not header and rows:
        header = CELLS.join(_cells(rows.pop(0).text))
    return [_row(line, header) for line in rows]


def _row(line: Line, header: str) -> Unit:
    """A table row, which defines what its first cell names."""
    indent = len(line.text) - len(line.text.lstrip())
    term = next(iter(_cells(line.text)), "")
    return Unit(line.start + indent, line.end, "row", header, term)


def _cells(row: str) -> list[str]:
    """The cells of a table row between bars, or of a line of CSV."""
    row = row.strip()
    if row.startswith("|"):
        return [cell.strip() for cell in re.split(r"(?<=[ \t])\|(?=[ \t]|$)", row[1:])][:-1]
    delimiter = max("\t;,", key=row.count)
    return [cell.strip() for cell in next(csv.reader([row], delimiter=delimiter), [])]


def _fenced_code(
    text: str, lines: list[Line], i: int, lead: str, mark: str
) -> tuple[int, list[Unit]]:
    j = i + 1
    while j < len(lines) and not markdown_lines.closes_fence(lines[j].text, mark):
        j += 1
    closed = j < len(lines)
    if closed and words(text[lines[i].start : lines[j].end]) <= CODE_WORDS:
        start, end = _trimmed(text, lines[i].start, lines[j].end)
        return j + 1, [Unit(start, end, "code", lead)] if j > i + 1 else []
    return j + closed, _code(text, lines[i + 1 : j], lead)


def _indented_code(text: str, lines: list[Line], i: int, lead: str) -> tuple[int, list[Unit]]:
    j = i + 1
    while j < len(lines) and (not lines[j].text or re.match(r"^(?: {2,}|\t)", lines[j].text)):
        j += 1
    return j, _code(text, lines[i:j], lead, prose=True)


def _is_prose(text: str) -> bool:
    """Whether an indented text reads as sentences, as in a note, rather than as code."""
    tokens = text.split()
    plain_words = sum(bool(re.fullmatch(r"[\"'(]?[A-Za-z'’-]+[.,;:!?)\"']*", w)) for w in tokens)
    ends = text.rstrip("*_`) ").endswith((".", "!", "?", ":"))
    return ends and len(tokens) >= 6 and plain_words > 0.7 * len(tokens)


def _code(text: str, lines: list[Line], lead: str, *, prose: bool = False) -> list[Unit]:
    """Code split at its blank lines, and at every line where that is not short enough.

    With `prose`, parts that read as sentences become sentences.
    """
    units: list[Unit] = []
    group: list[Line] = []
    for line in [*lines, Line(0, 0, "")]:
        if line.text:
            group.append(line)
            continue
        if group and prose and _is_prose(text[group[0].start : group[-1].end]):
            spans = _sentences(text, group[0].start, group[-1].end)
            units += [Unit(a, b, "sentence", lead) for a, b in spans]
        elif group and words(text[group[0].start : group[-1].end]) <= CODE_WORDS:
            start, end = _trimmed(text, group[0].start, group[-1].end)
            units.append(Unit(start, end, "code", lead))
        else:
            units += [Unit(*_trimmed(text, x.start, x.end), "code", lead) for x in group]
        group = []
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
