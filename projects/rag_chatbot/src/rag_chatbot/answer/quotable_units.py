"""Cuts a passage into the units that an answer may quote: sentences, list items, table rows, code.

Knows Markdown, reStructuredText and plain text by their lines; knows nothing of questions.
Every unit is a span, so `passage[unit.start:unit.end]` is the quote, unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["sentence", "item", "row", "code"]

CODE_WORDS = 45  # a longer code block is cut at its blank lines, then at its lines
LONG_WORDS = 60  # a longer unit is cut, at a clause if there is one
SHORT_WORDS = 7  # a sentence so short ("The default is 5.") stays with the one before it
LEAD_WORDS = 40  # a sentence ending in ":" is joined with what it announces up to this size

_FENCE = re.compile(r"^\s*(```|~~~)")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s")
_RULE = re.compile(r"^\s*([=\-~^\"'*+#_.:`])\1{2,}\s*$")
_ITEM = re.compile(r"^\s*(?:[-*+•]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+\S")
_ROW = re.compile(r"^\s*\|.*\|\s*$")
_ROW_RULE = re.compile(r"^\s*[|+][\s|:+=\-]+[|+]\s*$")
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
_END = re.compile(r"[.!?][\"')\]*_`]*(?=\s)|[。！？]")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Fig|fig|No|no|Dr|Mr|Ms|St|approx|resp|incl|ca|al|[A-Za-z])|^\d+)\.$"
)
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Unit:
    """A span of the passage, and the words before it that say what it is about."""

    start: int
    end: int
    kind: Kind
    context: str = ""


@dataclass(frozen=True)
class _Line:
    start: int
    end: int
    text: str


def _lines(text: str) -> list[_Line]:
    lines, at = [], 0
    for raw in text.splitlines(keepends=True):
        lines.append(_Line(at, at + len(raw.rstrip()), raw.rstrip()))
        at += len(raw)
    return lines


def words(text: str) -> int:
    return len(text.split())


def sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of the sentences of `text[start:end]`."""
    at = start
    for match in _END.finditer(text, start, end):
        if _ABBREVIATION.search(text[at : match.start() + 1].split(maxsplit=10**6)[-1:][0] or " "):
            continue
        following = text[match.end() : end].lstrip()[:1]
        if following.islower():
            continue
        yield _strip(text, at, match.end())
        at = match.end()
    if text[at:end].strip():
        yield _strip(text, at, end)


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def split(text: str) -> list[Unit]:
    """The units of a passage, in order; headings, rules, markup and empty lines are none."""
    lines = _lines(text)
    found: list[Unit] = []
    lead, i = "", 0
    while i < len(lines):
        line = lines[i]
        last, units = _take(text, lines, i, lead)
        found.extend(units)
        if units:
            tail = text[units[-1].start : units[-1].end]
            if units[-1].kind == "sentence":
                lead = tail if tail.rstrip("*_ ").endswith(":") else ""
        elif line.text and not _NOISE.match(line.text):
            lead = ""
        i = last
    return _joined(text, found)


def _take(text: str, lines: list[_Line], i: int, lead: str) -> tuple[int, list[Unit]]:
    """Read the block that opens at line `i`: the line after it, and its units."""
    line = lines[i]
    if not line.text:
        return i + 1, []
    if _FENCE.match(line.text):
        return _fence(text, lines, i, lead)
    below = lines[i + 1].text if i + 1 < len(lines) else ""
    if mark := _ADMONITION.match(line.text):
        rest = _Line(line.start + mark.end(), line.end, line.text[mark.end() :])
        return _paragraph(text, [*lines[:i], rest, *lines[i + 1 :]], i)
    if _HEADING.match(line.text) or _NOISE.match(line.text) or _RULE.match(line.text):
        return i + 1, []
    if _RULE.match(below) and len(below.strip()) >= 3 and len(line.text.strip()) < 100:
        return i + 2, []
    if _ROW.match(line.text):
        return _table(lines, i)
    if _ITEM.match(line.text):
        return _item(text, lines, i, lead)
    if re.match(r"^(?: {4}|\t)", line.text) and (i == 0 or not lines[i - 1].text):
        return _indented(text, lines, i, lead)
    return _paragraph(text, lines, i)


def _opens(lines: list[_Line], i: int) -> bool:
    """Whether line `i` begins a block of its own, so that the paragraph before it ends."""
    line = lines[i].text
    return bool(
        not line
        or _FENCE.match(line)
        or _HEADING.match(line)
        or _ITEM.match(line)
        or _ROW.match(line)
        or _NOISE.match(line)
        or _RULE.match(line)
    )


def _paragraph(text: str, lines: list[_Line], i: int) -> tuple[int, list[Unit]]:
    j = i + 1
    while j < len(lines) and not _opens(lines, j):
        j += 1
    return j, [Unit(a, b, "sentence") for a, b in _told(text, lines[i].start, lines[j - 1].end)]


def _told(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Spans of sentences; a very short one says too little alone and stays with the one before."""
    spans: list[tuple[int, int]] = []
    for a, b in sentences(text, start, end):
        if (
            spans
            and words(text[a:b]) <= SHORT_WORDS
            and words(text[spans[-1][0] : b]) <= LEAD_WORDS
        ):
            spans[-1] = (spans[-1][0], b)
        else:
            spans.append((a, b))
    return spans


def _item(text: str, lines: list[_Line], i: int, lead: str) -> tuple[int, list[Unit]]:
    j = i + 1
    while j < len(lines) and not _opens(lines, j):
        j += 1
    start, end = _strip(text, lines[i].start, lines[j - 1].end)
    if words(text[start:end]) <= LEAD_WORDS:
        return j, [Unit(start, end, "item", lead)]
    spans = list(sentences(text, start, end))
    first = text[spans[0][0] : spans[0][1]]
    return j, [Unit(a, b, "item", lead if a == start else first) for a, b in spans]


def _table(lines: list[_Line], i: int) -> tuple[int, list[Unit]]:
    j = i
    while j < len(lines) and (_ROW.match(lines[j].text) or _ROW_RULE.match(lines[j].text)):
        j += 1
    rows = [line for line in lines[i:j] if not _ROW_RULE.match(line.text)]
    ruled = any(_ROW_RULE.match(line.text) for line in lines[i : min(j, i + 2)])
    header = rows[0].text if ruled and rows else ""
    body = rows[1:] if header else rows
    indent = [len(r.text) - len(r.text.lstrip()) for r in body]
    return j, [
        Unit(r.start + pad, r.end, "row", header) for r, pad in zip(body, indent, strict=True)
    ]


def _fence(text: str, lines: list[_Line], i: int, lead: str) -> tuple[int, list[Unit]]:
    j = i + 1
    while j < len(lines) and not _FENCE.match(lines[j].text):
        j += 1
    closed = j < len(lines)
    if closed and words(text[lines[i].start : lines[j].end]) <= CODE_WORDS:
        start, end = _strip(text, lines[i].start, lines[j].end)
        return j + 1, [Unit(start, end, "code", lead)] if j > i + 1 else []
    return j + closed, _code(text, lines[i + 1 : j], lead)


def _indented(text: str, lines: list[_Line], i: int, lead: str) -> tuple[int, list[Unit]]:
    j = i + 1
    while j < len(lines) and (not lines[j].text or re.match(r"^(?: {2,}|\t)", lines[j].text)):
        j += 1
    return j, _code(text, lines[i:j], lead, prose=True)


def _prose(text: str) -> bool:
    """Whether an indented text reads as sentences, as in a note, rather than as code."""
    found = text.split()
    plain_words = sum(bool(re.fullmatch(r"[\"'(]?[A-Za-z'’-]+[.,;:!?)\"']*", w)) for w in found)
    ends = text.rstrip("*_`) ").endswith((".", "!", "?", ":"))
    return ends and len(found) >= 6 and plain_words > 0.7 * len(found)


def _code(text: str, lines: list[_Line], lead: str, *, prose: bool = False) -> list[Unit]:
    """Code by its blank lines; what is still too long, by its lines. `prose`: some may be text."""
    units: list[Unit] = []
    group: list[_Line] = []
    for line in [*lines, _Line(0, 0, "")]:
        if line.text:
            group.append(line)
            continue
        if group and prose and _prose(text[group[0].start : group[-1].end]):
            spans = _told(text, group[0].start, group[-1].end)
            units += [Unit(a, b, "sentence", lead) for a, b in spans]
        elif group and words(text[group[0].start : group[-1].end]) <= CODE_WORDS:
            start, end = _strip(text, group[0].start, group[-1].end)
            units.append(Unit(start, end, "code", lead))
        else:
            units += [Unit(*_strip(text, x.start, x.end), "code", lead) for x in group]
        group = []
    return units


def _joined(text: str, units: list[Unit]) -> list[Unit]:
    """A sentence that ends in ":" and the code it announces become one unit, where short."""
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
    """The unit in parts of at most LONG_WORDS words, cut at a line, a clause or a word."""
    start = unit.start
    while words(text[start : unit.end]) > LONG_WORDS:
        ends = [m.end() for m in _WORD.finditer(text, start, unit.end)][:LONG_WORDS]
        breaks = [e for e in ends if text[e] == "\n" or text[e - 1] in ",;:—)"]
        at = next((e for e in reversed(breaks) if e - start > (ends[-1] - start) // 3), ends[-1])
        yield Unit(*_strip(text, start, at), unit.kind, unit.context)
        start = _strip(text, at, unit.end)[0]
    yield Unit(start, unit.end, unit.kind, unit.context)
