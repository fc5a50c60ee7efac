"""Completes a short follow-up from the task before it, by rule.

complete("How many orders were placed in 2025?", "And in 2024?")
# 'How many orders were placed in 2024?'
"""

from __future__ import annotations

import re

_START = re.compile(r"(?i)\s*(?:(?:and|now)\b\s*)?(?:(?:what|how) about\b|the same for\b)?\s*")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_PREPOSITION = r"(?:\b(in|for|of|on|at|from|by|to|with)\s+)?"
# The first kind that matches a place in the text counts.
_PART = re.compile(
    _PREPOSITION + rf"(?:(?P<month>\b(?:{_MONTHS})\b)|(?P<quarter>\bQ[1-4]\b)"
    r"|(?P<percent>\d[\d.,]*\s*(?:%|percent))|(?P<year>\b(?:19|20)\d\d\b)"
    r"|(?P<number>\b\d+(?:[.,]\d+)*\b)|(?P<name>\b[A-ZÄÖÜ][\w-]*(?:\s+[A-ZÄÖÜ][\w-]*)*))"
)
_TIMES = ("month", "quarter", "year")


def complete(last: str, task: str) -> str:
    """The last task with the parts that a follow-up changes; `task` itself if that is uncertain.

    >>> complete("How many customers are in Hamburg?", "What about Berlin?")
    'How many customers are in Berlin?'
    >>> complete("How many customers are in Hamburg?", "And the orders?")
    'And the orders?'
    """
    start = _START.match(task)
    rest = task[start.end() :].strip(" ?.!") if start else ""
    parts = list(_PART.finditer(rest))
    if not start or not start[0].strip() or not parts or _PART.sub("", rest).strip(" ,"):
        return task
    for part in parts:
        kind, preposition = part.lastgroup or "", part[1]
        # From the second word on: the first has a capital letter without being a name.
        spans = [
            m for m in _PART.finditer(last, len((last.split() or [""])[0])) if m.lastgroup == kind
        ]
        if preposition and len(spans) > 1:
            spans = [m for m in spans if m[1] == preposition]
        if len(spans) == 1:
            begin, end = spans[0].span(kind)
            last = last[:begin] + part[kind] + last[end:]
        elif not spans and kind in _TIMES and preposition:
            end = len(last.rstrip(" ?.!"))
            last = f"{last[:end]} {part[0]}{last[end:]}"
        else:
            return task
    return last
