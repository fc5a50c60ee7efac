"""Quotable units: the sentences, list items, table rows and code that an answer may quote.

    unit = split(passage)[0]
    passage[unit.start : unit.end]      # the quote, unchanged

Units come from the lines of Markdown, reStructuredText and plain text. Which of them answer a
question is decided in `select`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rag_chatbot.read import markdown_lines
from rag_chatbot.read.language import sentence_spans
from rag_chatbot.read.markdown_lines import Line, is_item, is_row, is_row_rule, read_lines

Kind = Literal["sentence", "item", "row", "code"]

# All in words, chosen on the shipped questions.
CODE_WORDS = 45  # longer code is cut at its blank lines, then at its lines
LONG_WORDS = 60  # a longer unit is cut, at a clause where possible
SHORT_WORDS = 7  # a sentence up to this length ("The default is 5.") stays with the previous one
LEAD_WORDS = 40  # a sentence ending in ":" is joined with what it announces up to this length

_NOISE = re.compile(
    r"""^\s*(?:
        <!--.*-->|</?[a-zA-Z][^>]*>|          # comments and lone tags
        (?:\[?!\[[^\]]*\]\([^)]*\)\]?(?:\([^)]*\))?\s*)+|  # pictures and badges
        \[[^\]]+\]:\s*\S+.*|                  # link definitions
        \.\.\s+_.*|\.\.\s+[\w-]+::.*|:[\w-]+:\s*\S*|    # reStructuredText directives, options
        \{%.*%\}|\{\{.*\}\}|:::.*|!!!.*|\?\?\?.*|       # templates and admonition openers
        import\s.*from\s+['"].*|---|\+\+\+
    )\s*$""",
    re.VERBOSE,
)
_ADMONITION = re.compile(
    r"^\s*\.\.\s+(?:note|warning|tip|hint|important|caution|attention|danger|seealso)::\s+(?=\S)"
)
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Unit:
    """`passage[start:end]`; `context` is the text that announces it or the header of its table."""

    start: int
    end: int
    kind: Kind
    context: str = ""


def words(text: str) -> int:
    """The number of words of a text."""
    return len(text.split())


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def split(text: str) -> list[Unit]:
    """The units of a passage, in order; headings, rules, markup and empty lines are left out."""
    lines = read_lines(text)
    units: list[Unit] = []
    lead = ""  # a sentence that ends with a colon, while the blocks that it announces follow
    i = 0
    while i < len(lines):
        # 1. Read one block: a paragraph, an item, a table or code.
        next_line, block = _read_block(text, lines, i, lead)
        units.extend(block)

        # 2. Remember the sentence that announces the next block.
        if block and block[-1].kind == "sentence":
            tail = text[block[-1].start : block[-1].end]
            lead = tail if tail.rstrip("*_ ").endswith(":") else ""
        elif not block and lines[i].text and not _NOISE.match(lines[i].text):
            lead = ""  # a heading or a rule
        i = next_line

    # 3. Join announcements with short code, and cut what is too long.
    return _joined(text, units)


def _read_block(text: str, lines: list[Line], i: int, lead: str) -> tuple[int, list[Unit]]:
    """The number of the line after the block that begins at line `i`, and the block's units."""
    line = lines[i]
    if not line.text:
        return i + 1, []
    if mark := markdown_lines.fence_mark(line.text):
        return _fenced_code(text, lines, i, lead, mark)
    below = lines[i + 1].text if i + 1 < len(lines) else ""
    if note := _ADMONITION.match(line.text):
        rest = Line(line.start + note.end(), line.end, line.text[note.end() :])
        return _paragraph(text, [*lines[:i], rest, *lines[i + 1 :]], i)
    if markdown_lines.heading(line.text) or _NOISE.match(line.text) or _is_rule(line.text):
        return i + 1, []
    if _is_rule(below) and len(line.text.strip()) < 100:
        return i + 2, []
    if is_row(line.text):
        return _table(lines, i)
    if is_item(line.text):
        return _item(text, lines, i, lead)
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
    """Spans of sentences; a very short one is joined to the previous one, which explains it."""
    spans: list[tuple[int, int]] = []
    for a, b in sentence_spans(text, start, end):
        if (
            spans
            and words(text[a:b]) <= SHORT_WORDS
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


def _table(lines: list[Line], i: int) -> tuple[int, list[Unit]]:
    j = i
    while j < len(lines) and (is_row(lines[j].text) or is_row_rule(lines[j].text)):
        j += 1
    rows = [line for line in lines[i:j] if not is_row_rule(line.text)]
    ruled = any(is_row_rule(line.text) for line in lines[i : min(j, i + 2)])
    header = rows[0].text if ruled and rows else ""
    body = rows[1:] if header else rows
    indent = [len(r.text) - len(r.text.lstrip()) for r in body]
    return j, [
        Unit(r.start + pad, r.end, "row", header) for r, pad in zip(body, indent, strict=True)
    ]


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
            out[-1] = Unit(before.start, unit.end, before.kind, before.context)
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
        yield Unit(*_trimmed(text, start, at), unit.kind, unit.context)
        start = _trimmed(text, at, unit.end)[0]
    yield Unit(start, unit.end, unit.kind, unit.context)
