"""Link the words of a question to operators, tables, columns, values, numbers and dates.

    links = link(tokenize("orders over 50 euros in May 2025"), schema, values)

A link lists all its readings; `interpret` decides among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any

from multi_agent.offline.sql.schema import Column, Schema, Table
from multi_agent.offline.sql.value_index import Value, ValueIndex
from multi_agent.offline.sql.words import RATIOS, UNITS, Word, lexicon, tokenize

_MONTHS = "january february march april may june july august september october november december"
_MONTH = {name[:n]: i for i, name in enumerate(_MONTHS.split(), 1) for n in (3, len(name))}
_SMALL = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {name: float(n) for n, name in enumerate(_SMALL.split())} | {"once": 1.0, "twice": 2.0}
_KINDS = {"date": 0, "operator": 1, "value": 2, "item": 3, "number": 4, "unit": 5}
_SCALES = {"thousand": 1e3, "k": 1e3, "million": 1e6, "billion": 1e9}
_FILLERS = ("of", "the")


@dataclass
class Link:
    """A phrase of the question, `words[start:end]`, with what it may stand for."""

    start: int
    end: int
    text: str
    operators: frozenset[str] = frozenset()
    tables: list[tuple[float, Table]] = field(default_factory=list)
    columns: list[tuple[float, Column]] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    number: float | None = None
    unit: str = ""
    dates: tuple[date, date] | None = None
    """First day, and the day after the last."""
    hint: str = ""
    """Of superlatives and adjectives: direction or operator, and words of the column."""
    role: str = ""
    """What the phrase was used for; empty: not used yet."""

    @property
    def table(self) -> Table | None:
        """The table that the phrase names best."""
        return self.tables[0][1] if self.tables else None

    @property
    def kind(self) -> str:
        if self.operators or self.hint:
            return "operator"
        if self.dates:
            return "date"
        if self.number is not None:
            return "number"
        if self.unit:
            return "unit"
        return "value" if self.values and not self.tables and not self.columns else "item"


def link(
    words: Sequence[Word], schema: Schema, values: ValueIndex, today: date | None = None
) -> list[Link]:
    """The links of a question, in order and without overlaps; longer ones win."""
    today = today or date.today()
    candidates: list[Link] = []
    for start in range(len(words)):
        plain = [*_date(words, start, today), *_phrases(words, start), *_number(words, start)]
        named = _names(words, start, schema)
        size, matches = values.matches(words, start, look_up=not plain and not named)
        if matches:
            text = _text(words, start, start + size)
            one = named.setdefault(size, Link(start, start + size, text))
            one.values = matches
            literal = text in {v.value.lower() + end for v in matches for end in ("", "s")}
            if _is_event(words, start, one, literal):
                one.values = []
            if one.tables and one.tables[0][0] < 0.7 and literal:
                one.tables = []  # "conservator", not "conservation jobs"
        candidates += [*plain, *named.values()]
    candidates.sort(key=lambda one: (one.start - one.end, _rank(one), one.start))
    links: list[Link] = []
    for one in candidates:
        if all(one.end <= other.start or one.start >= other.end for other in links):
            links.append(one)
    return sorted(links, key=lambda one: one.start)


def _is_event(words: Sequence[Word], start: int, one: Link, literal: bool) -> bool:
    """Whether a verb names the date of an event, "tickets OPENED in May", not the status "open"."""
    dated = any(column.kind == "date" for _, column in one.columns)
    asked = any(word.text in ("did", "do", "does") for word in words[:start])
    infinitive = asked and one.end - start == 1 and not words[start].text.endswith("ed")
    return dated and (not literal or infinitive)


def _rank(one: Link) -> int:
    """Order among phrases of the same length: a column's full name of several words comes first."""
    full = one.end - one.start > 1 and one.kind == "item" and one.columns[:1]
    return -1 if full and full[0][0] == 1 else _KINDS[one.kind]


def _text(words: Sequence[Word], start: int, end: int) -> str:
    return " ".join(word.text for word in words[start:end])


@cache
def _operators() -> dict[tuple[str, ...], tuple[frozenset[str], str]]:
    """By phrase: the names of its operators, and the hint of adjectives."""
    table: dict[tuple[str, ...], tuple[set[str], str]] = {}
    for name, phrases in lexicon()["operators"].items():
        for phrase in phrases:
            table.setdefault(_key(phrase), (set(), ""))[0].add(name)
    for name in ("superlatives", "comparatives", "adjectives"):
        for phrase, hint in lexicon()[name].items():
            operators, _ = table.get(_key(phrase), (set(), ""))
            table[_key(phrase)] = (operators | {name}, hint)
    return {key: (frozenset(operators), hint) for key, (operators, hint) in table.items()}


@cache
def _key(phrase: str) -> tuple[str, ...]:
    return tuple(phrase.split()) if phrase in "<=>=%" else tuple(w.text for w in tokenize(phrase))


def _phrases(words: Sequence[Word], start: int) -> Iterator[Link]:
    for end in range(min(len(words), start + 4), start, -1):
        entry = _operators().get(tuple(word.text for word in words[start:end]))
        before = words[start - 1].text if start else ""
        unit = before.isdigit() or before in (",", "in")
        if entry and not (unit and end == start + 1 and words[start].text in RATIOS):
            text = _text(words, start, end)
            yield Link(start, end, text, operators=entry[0], hint=entry[1])
            return


def _number(words: Sequence[Word], start: int) -> Iterator[Link]:
    text = words[start].text
    if text in UNITS:
        yield Link(start, start + 1, text, unit=text)
    number = _NUMBERS.get(text)
    if re.fullmatch(r"\d[\d,]*(\.\d+)?", text):
        number = float(text.replace(",", ""))
    elif re.fullmatch(r"\d+k", text):
        number = float(text[:-1]) * 1000
    if number is not None:
        end = start + 1
        if end < len(words) and words[end].text in _SCALES:
            number, end = number * _SCALES[words[end].text], end + 1
        yield Link(start, end, _text(words, start, end), number=number)


def _day(year: int, month: int, day: int) -> tuple[date, date] | None:
    try:
        first = date(year, month, day)
    except ValueError:
        return None
    return first, first + timedelta(days=1)


def _months(year: int, month: int, count: int) -> tuple[date, date]:
    end = year * 12 + month - 1 + count
    return date(year, month, 1), date(end // 12, end % 12 + 1, 1)


_YEAR = r"(?P<y>(?:1[5-9]|20)\d\d)"
_M = rf"(?P<m>{'|'.join(sorted(_MONTH, key=len, reverse=True))})"
_D = r"(?P<d>\d\d?)(?:st|nd|rd|th)?"
_LATER = rf"(?= (?:and|to|until|till|through) .*?\b{_YEAR})"  # "between 1 May and 3 June 2025"
_ORDINAL = r"(?P<n>1|2|3|4|first|second|third|fourth|last)(?:st|nd|rd|th)?"
_DATES = [
    (name, re.compile(pattern + r"(?!\S)"))
    for name, pattern in {
        "iso": r"(?P<iso>\d{4}-\d\d-\d\d)",
        "day": rf"(?:the )?{_D} (?:of )?{_M} ,? ?{_YEAR}",
        "us day": rf"{_M} (?:the )?{_D} ?,? {_YEAR}",
        "month": rf"(?:the (?:start|beginning) of )?{_M} (?:of )?{_YEAR}",
        "no year day": rf"(?:the )?(?:{_D} (?:of )?{_M}){_LATER}",
        "no year us day": rf"{_M} (?:the )?{_D}{_LATER}",
        "no year month": rf"{_M}{_LATER}",
        "quarter": rf"(?:the )?(?:q ?(?P<q>[1-4])|{_ORDINAL} quarter) ?(?:of )?{_YEAR}",
        "half": rf"(?:the )?(?:{_ORDINAL} half) ?(?:of )?{_YEAR}",
        "decade": r"(?:the )?(?P<dec>(?:1[5-9]|20)\d0)s",
        "year": rf"(?:the year |the (?:start|beginning) of )?{_YEAR}",
        "relative": r"(?P<rel>today|yesterday|(?:this|last|the last|the past) (?:month|year|week))",
    }.items()
]


def _date(words: Sequence[Word], start: int, today: date) -> Iterator[Link]:
    text = _text(words, start, min(len(words), start + 7))
    for name, pattern in _DATES:
        if match := pattern.match(text):
            span = _span(name, {k: v for k, v in match.groupdict().items() if v}, today)
            if span:
                size = len(match[0].strip(" ,").split())
                number = float(match["y"]) if name == "year" and size == 1 else None
                yield Link(start, start + size, match[0], dates=span, number=number)
                return


def _span(name: str, part: dict[str, str], today: date) -> tuple[date, date] | None:
    year = int(part.get("y", 0))
    month = _MONTH.get(part.get("m", ""), 0)
    number = {"first": 1, "second": 2, "third": 3, "fourth": 4}.get(part.get("n", ""), 0)
    number = number or int(part["n"] if part.get("n", "").isdigit() else part.get("q", 0))
    match name:
        case "iso":
            return _day(*map(int, part["iso"].split("-")))
        case "day" | "us day" | "no year day" | "no year us day":
            return _day(year, month, int(part["d"]))
        case "month" | "no year month":
            return _months(year, month, 1)
        case "quarter" if number:
            return _months(year, 3 * number - 2, 3)
        case "half":
            return _months(year, 1 if number == 1 else 7, 6)
        case "decade":
            return date(int(part["dec"]), 1, 1), date(int(part["dec"]) + 10, 1, 1)
        case "year":
            return date(year, 1, 1), date(year + 1, 1, 1)
    return _relative(part["rel"], today) if name == "relative" else None


def _relative(text: str, today: date) -> tuple[date, date]:
    back = text.startswith(("last", "the")) or text == "yesterday"
    if text.endswith("year"):
        return date(today.year - back, 1, 1), date(today.year - back + 1, 1, 1)
    if text.endswith("month"):
        months = today.year * 12 + today.month - 1 - back
        return _months(months // 12, months % 12 + 1, 1)
    if text.endswith("week"):
        monday = today - timedelta(days=today.weekday() + 7 * back)
        return monday, monday + timedelta(days=7)
    day = today - timedelta(days=back)
    return day, day + timedelta(days=1)


def _names(words: Sequence[Word], start: int, schema: Schema) -> dict[int, Link]:
    """The tables and columns whose words begin at `start`, by the length of the phrase."""
    scored: dict[int, Link] = {}
    for item, parts in schema.vocabulary:
        fillers = () if isinstance(item, Table) else _FILLERS
        for size, score in _overlap(words, start, parts, fillers):
            if isinstance(item, Table):
                size, score = _by_head(words[start : start + size], item, score)
            text = _text(words, start, start + size)
            span = scored.setdefault(size, Link(start, start + size, text))
            if isinstance(item, Table):
                span.tables.append((score, item))
            else:
                span.columns.append((score, item))
    for span in scored.values():
        span.tables = _best([one for one in span.tables if one[0]])
        span.columns = _best(span.columns)
        if span.columns and span.tables and span.tables[0][0] < span.columns[0][0] - 0.05:
            span.tables = []
    return {size: span for size, span in scored.items() if span.tables or span.columns}


def _by_head(words: Sequence[Word], table: Table, score: float) -> tuple[int, float]:
    """A table called "quality control test" is named by "test", and not by a synonym of quality.

    Returns the length of the phrase and the score.
    """
    head, last, size = table.words[-1], words[-1], len(words)
    if len(table.words) == 1:
        return size, score
    sums = [w for column in table.columns if column.expression for w in column.words]
    if size > 1 and last.stem != head.stem and any(map(last.likeness, sums)):
        size, last = size - 1, words[-2]  # "ticket revenue" is a number of the ticket sales
        score = size / len(table.words)
    if size > 1:
        return size, score
    if last.stem == head.stem:
        return size, max(score, 0.7)
    exact = any(last.stem == part.stem for part in table.words)
    return size, score if exact else score - 0.1 if last.likeness(head) else 0.0


def _best(scored: list[tuple[float, Any]]) -> list[tuple[float, Any]]:
    scored = sorted(scored, key=lambda one: -one[0])
    return [one for one in scored if one[0] >= scored[0][0] - 0.35]


def _overlap(
    words: Sequence[Word], start: int, parts: tuple[Word, ...], fillers: tuple[str, ...]
) -> Iterator[tuple[int, float]]:
    """Length of the phrase at `start` made of `parts`, and the share of them it covers."""
    left, total, position = list(parts), 0.0, start
    while position < len(words) and left:
        word = words[position]
        score, best = max(((word.likeness(part), i) for i, part in enumerate(left)), default=(0, 0))
        if score:
            left.pop(best)
            total += score
        elif position == start or word.text not in fillers or len(parts) == 1:
            break
        position += 1
    while position > start and words[position - 1].text in _FILLERS:
        position -= 1
    if total and total / len(parts) >= 0.33:
        yield position - start, total / len(parts)
