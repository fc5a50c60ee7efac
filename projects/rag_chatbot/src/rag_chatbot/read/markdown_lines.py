"""Recognise what a line of Markdown is: heading, fence, list item, table row or rule.

    >>> [line.text for line in read_lines("# Title\\n\\n- one  ")]
    ['# Title', '', '- one']
    >>> is_item("- one"), is_row("| a | b |"), fence_mark("```python")
    (True, True, '```')

The one grammar of the package. `text.py` finds the blocks of a whole file with it, and
`answer/quote/units.py` the units of one chunk, which may begin in the middle of a block. How
lines form blocks is up to them. Most of it holds for reStructuredText and plain text too.

Every pattern looks at a single line of limited length and does not backtrack over it, so a hostile
file cannot make reading slow.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LINE_CHARS = 1000  # of a longer line only the beginning is looked at

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t\xa0]+(.*?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"[ \t]*(?:>[ \t]*)*(`{3,}|~{3,})")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\(?(?:\d{1,3}|[a-z]|#)[.)])[ \t]+\S")
_ROW = re.compile(r"[ \t]*\|.*\|$")
_ROW_RULE = re.compile(r"(?=[^|+]*[|+])[ \t]*[|+:=-][-=+|: \t]{2,}$")
_RULE = re.compile(r"([=\-~^\"'*+#_.:`<>])\1{2,}$")


class Line(NamedTuple):
    """`text[start:end]` of a document, without newline and trailing space.

    `text` is its beginning, at most `LINE_CHARS` characters; empty for a blank line.
    """

    start: int
    end: int
    text: str


def read_lines(text: str, start: int = 0) -> list[Line]:
    """The lines of `text` from offset `start` on, blank ones included."""
    lines = []
    while start < len(text):
        newline = text.find("\n", start)
        stop = len(text) if newline < 0 else newline
        line = text[start:stop].rstrip()
        lines.append(Line(start, start + len(line), line[:LINE_CHARS]))
        start = stop + 1
    return lines


def heading(line: str) -> re.Match[str] | None:
    """Matches `## Title ##`: group 1 has one `#` per level, group 2 is the title."""
    match = _HEADING.match(line)
    return match if match and match[2] else None


def fence_mark(line: str) -> str | None:
    """The backticks or tildes that open or close a code block, also inside a block quote."""
    match = _FENCE.match(line)
    return match[1] if match else None


def closes_fence(line: str, mark: str) -> bool:
    """Whether `line` closes the code block that `mark` opened: the same sign, at least as often."""
    stripped = line.strip().lstrip("> ")
    return stripped.startswith(mark) and not stripped.strip(mark[0])


def is_item(line: str) -> bool:
    """Whether a list item begins: `- a`, `* a`, `1. a`, `(2) a`, `b) a`."""
    return bool(_ITEM.match(line))


def is_row(line: str) -> bool:
    """Whether the line is a table row between pipes, `| a | b |`."""
    return bool(_ROW.match(line))


def is_row_rule(line: str) -> bool:
    """Whether the line is the one below a table's header, `|---|:-:|`, or a border, `+---+`."""
    return bool(_ROW_RULE.match(line))


def rule_sign(line: str) -> str | None:
    """The sign of which the whole line is made, three or more: `---`, `====`, `~~~~`."""
    match = _RULE.match(line)
    return match[1] if match else None
