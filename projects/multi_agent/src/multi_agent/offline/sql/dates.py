"""Reads the periods of a question: "in May 2025", "since 3 May 2024", "between 2023 and 2024".

>>> from multi_agent.offline.english import tokenize
>>> read_period(tokenize("until the second quarter of 2024"))
(Period(first=None, after=datetime.date(2024, 7, 1)), 6)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from multi_agent.offline.english import MONTH, Token, month_number

_YEAR = r"(?P<y>(?:1[5-9]|20)\d\d)"
_MONTH = rf"(?P<m>{MONTH})"
_DAY = r"(?:the )?(?P<d>\d\d?)(?:st|nd|rd|th)?"
_QUARTERS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "q1": 1, "q2": 2, "q3": 3, "q4": 4}
_FORMS = [
    re.compile(form + r"(?= |$)")
    for form in (
        r"(?P<iso>\d{4}-\d\d-\d\d)",
        rf"{_DAY} (?:of )?{_MONTH}(?: ,)?(?: {_YEAR})?",
        rf"{_MONTH} {_DAY}(?: ,)?(?: {_YEAR})?",
        rf"{_MONTH}(?: of)?(?: {_YEAR})?",
        rf"(?:the )?(?P<q>{'|'.join(_QUARTERS)})(?: quarter)?(?: of)? {_YEAR}",
        rf"(?:the year )?{_YEAR}",
    )
]
_PAIR = re.compile(r"(?:between (?=.* and )|from (?=.* (?:to|until|till) ))")
_BOUND = re.compile(
    r"(?:(?P<since>since|starting(?: in| from)?|as of) )?(?:(?P<until>until|till|up to|through) )?"
    r"(?:(?P<before>before|prior to) )?(?:(?P<after>after|later than) )?"
    r"(?:(?:in|on|during|within|throughout|of|for|from) )?"
)
_LONGEST = 16  # tokens of a period


@dataclass(frozen=True)
class Period:
    """From its first day until before `after`; None: open."""

    first: date | None
    after: date | None


def read_period(tokens: Sequence[Token]) -> tuple[Period, int] | None:
    """The period that the tokens begin with, and its count of tokens."""
    text = " ".join(token.text for token in tokens[:_LONGEST])
    # 1. Two ends: the first one may leave its year to the second.
    if _PAIR.match(text):
        _, *words = text.split()
        joins = [at for at, word in enumerate(words) if word in ("and", "to", "until", "till")]
        for at in joins:
            last, size = _read_date(" ".join(words[at + 1 :])) or (None, 0)
            first = last and _read_date(" ".join(words[:at]), last)
            if last and first and first[1] == at:
                return Period(first[0].first, last.after), at + size + 2
    # 2. One end, or a period of its own
    bound = _BOUND.match(text)
    skipped = len(bound[0].split()) if bound else 0
    found = _read_date(" ".join(text.split()[skipped:]))
    if found is None:
        return None
    period, size = found[0], found[1] + skipped
    ends = {
        "since": Period(period.first, None),
        "until": Period(None, period.after),
        "before": Period(None, period.first),
        "after": Period(period.after, None),
    }
    return ends.get((bound and bound.lastgroup) or "", period), size


def _read_date(text: str, end: Period | None = None) -> tuple[Period, int] | None:
    """A day, a month, a quarter or a year; `end` is the period it is the start of."""
    for form in _FORMS:
        if match := form.match(text):
            part = {name: value for name, value in match.groupdict().items() if value}
            if end and end.after:
                part.setdefault("y", str((end.after - timedelta(days=1)).year))
            if period := _period(part):
                return period, len(match[0].split())
    return None


def _period(part: dict[str, str]) -> Period | None:
    year, month = int(part.get("y", 0)), month_number(part.get("m", ""))
    if "iso" in part or "d" in part:
        try:
            first = date.fromisoformat(
                part.get("iso") or f"{year:04}-{month:02}-{int(part['d']):02}"
            )
        except ValueError:  # 30 February, or a day without a year
            return None
        return Period(first, first + timedelta(days=1))
    if not year:
        return None
    if "q" in part:
        return _months(year, 3 * _QUARTERS[part["q"]] - 2, 3)
    return _months(year, month, 1) if month else _months(year, 1, 12)


def _months(year: int, month: int, count: int) -> Period:
    end = year * 12 + month - 1 + count
    return Period(date(year, month, 1), date(end // 12, end % 12 + 1, 1))
