"""Finds what the words of a question may stand for: operators, names, values, numbers, periods.

    phrases = link(tokenize("orders over 50 euros in May 2025"), schema, values)

A phrase keeps all its readings; `interpret` decides. A word without any is of kind "unknown",
unless it has no content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from multi_agent.offline.english import Token, read_number, stem, unit_of
from multi_agent.offline.sql.dates import Period, read_period
from multi_agent.offline.sql.schema import Column, Schema, Table, ignored, lexicon
from multi_agent.offline.sql.values import Value, ValueIndex

_PART = 0.5  # score of a name of which the question has only some words
_SYNONYM = 0.9  # of a word in another one's place
_CACHED = 100_000  # phrases and pairs of words
_LONGEST = 5  # words of an operator or a name
BARE_YEAR = re.compile(r"(between )?\d{4}( and \d{4})?")
"""A period that could as well be a number."""


@dataclass(frozen=True)
class Phrase:
    """Words of a question, `tokens[start:end]`, and what they may stand for."""

    start: int
    end: int
    text: str
    kind: Literal["operator", "period", "number", "unit", "name", "unknown"]
    sense: str = ""
    """Of operators: "count", "per", "not", ">", …, "desc" and "asc"."""
    hint: tuple[str, ...] = ()
    """The words of the column that an adjective is about: price, cost for "cheapest"."""
    tables: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    best: tuple[Column, ...] = ()
    """Those of the columns whose very words the question has, not synonyms."""
    values: tuple[Value, ...] = ()
    period: Period | None = None
    number: float = 0.0
    unit: str = ""
    is_part: bool = False
    """Whether it has only some of the words of what it names."""

    @property
    def has_quantity(self) -> bool:
        """Whether it names a number to compute with."""
        return any(column.is_quantity for column in self.columns)

    @property
    def is_dated(self) -> bool:
        """Whether it names a date or a year."""
        return any(column.is_dated for column in self.columns)

    @property
    def is_adjective(self) -> bool:
        """Whether it only says which rows: "cancelled", "active", "placed"."""
        kinds = {column.kind for column in self.columns}
        return bool(self.values or kinds) and kinds <= {"flag", "date"} and not self.tables


def link(tokens: Sequence[Token], schema: Schema, values: ValueIndex) -> list[Phrase]:
    """The phrases of a question in their order, without overlaps: longer ones first."""
    candidates = [
        phrase
        for start in range(len(tokens))
        for phrase in (
            *_plain(tokens, start),
            *_names(tokens, start, schema, values),
            *_others(tokens, start),
        )
    ]
    phrases: list[Phrase] = []
    for phrase in sorted(candidates, key=lambda one: one.start - one.end):
        if all(phrase.end <= other.start or phrase.start >= other.end for other in phrases):
            phrases.append(phrase)
    return sorted(phrases, key=lambda phrase: phrase.start)


def _plain(tokens: Sequence[Token], start: int) -> Iterator[Phrase]:
    """A period and an operator."""
    texts = [token.text for token in tokens]
    period, size = read_period(tokens[start:]) or (None, 0)
    end = start + size
    # "Over 2000", "1990 euros": these years are numbers.
    before = {_operator(" ".join(texts[at:start]))[0] for at in range(max(0, start - 3), start)}
    is_unit = end < len(tokens) and unit_of(texts[end])
    bare = BARE_YEAR.fullmatch(" ".join(texts[start:end]))
    if period and not (bare and (is_unit or before & {">", ">=", "<", "<=", "="})):
        yield Phrase(start, end, " ".join(texts[start:end]), "period", period=period)
    for end in range(min(len(tokens), start + _LONGEST), start, -1):
        sense, *hint = _operator(text := " ".join(texts[start:end]))
        if sense:
            yield Phrase(start, end, text, "operator", sense, tuple(hint))


@lru_cache(_CACHED)
def _operator(text: str) -> tuple[str, ...]:
    """The sense of a phrase, and the words of a column it hints at."""
    words = lexicon()
    senses = (sense for sense, phrases in words["operators"].items() if text in phrases)
    hint = words["superlatives"].get(text) or words["comparatives"].get(text.removesuffix(" than"))
    return tuple(hint.split()) if hint else (next(senses, ""),)


def _others(tokens: Sequence[Token], start: int) -> Iterator[Phrase]:
    """A number, a unit, or the word itself, unless it has no content."""
    text = tokens[start].text
    if found := read_number(tokens[start:]):
        end = start + found[1]
        text = " ".join(token.text for token in tokens[start:end])
        yield Phrase(start, end, text, "number", number=found[0])
    if unit := unit_of(text):
        yield Phrase(start, start + 1, text, "unit", unit=unit)
    if text not in ignored() and text not in (",", ";"):
        yield Phrase(start, start + 1, text, "unknown")


def _names(
    tokens: Sequence[Token], start: int, schema: Schema, values: ValueIndex
) -> Iterator[Phrase]:
    """The tables, columns and values that begin at a word, one phrase for each length."""
    found: dict[int, list[tuple[float, Table | Column]]] = {}
    for item, words in schema.names:
        size, score = _match(tokens[start : start + _LONGEST], item, words)
        if size:
            found.setdefault(size, []).append((score, item))
    size, matches = values.find(tokens, start)
    for length in {*found, size} if matches else found:
        best = max((score for score, _ in found.get(length, [])), default=0.0)
        scores = {item: score for score, item in sorted(found.get(length, []), key=_score)}
        tables = tuple(t.name for t, s in scores.items() if isinstance(t, Table) and s == best)
        close = () if tables else (item for item, s in scores.items() if s >= best * _SYNONYM)
        columns = tuple(item for item in close if isinstance(item, Column))
        exact = tuple(column for column in columns if scores[column] == best)
        some = matches if length == size else ()
        if best == 1:  # "opened" is a date rather than the status "open", and so is "did Ann open"
            asked = any(token.text in ("do", "does", "did") for token in tokens[:start])
            event = asked and any(column.is_dated for column in columns)
            some = tuple(value for value in some if value.literal and not event)
        if best == 1 or length > 1 or some or tokens[start].text not in ignored():
            text = " ".join(token.text for token in tokens[start : start + length])
            yield Phrase(
                start,
                start + length,
                text,
                "name",
                tables=tables,
                columns=columns,
                best=exact,
                values=some,
                unit=unit_of(text),
                is_part=best <= _PART,
            )


def _score(entry: tuple[float, Any]) -> float:
    return entry[0]


def _match(
    tokens: Sequence[Token], item: Table | Column, words: tuple[str, ...]
) -> tuple[int, float]:
    """How many tokens name an item by its words, in any order, and how well: 0 to 1."""
    left, total, size = [stem(word) for word in words], 0.0, 0
    for position, token in enumerate(tokens):
        score, word = max(((_likeness(token.stem, w), w) for w in left), default=(0.0, ""))
        if score:
            left.remove(word)
            total, size = total + score, position + 1
        elif not size or token.text not in ("of", "the"):  # "date of birth"
            break
    # A part is not enough if it is the unit of a column, or not the noun of a table: "order items".
    if left and size and isinstance(item, Column) and item.unit:
        return (
            (0, 0.0) if unit_of(tokens[0].text) == item.unit else (size, _PART * total / len(words))
        )
    if left and isinstance(item, Table) and stem(words[-1]) in left:
        return 0, 0.0
    return size, total / len(words) * (_PART if left else 1)


@lru_cache(_CACHED)
def _likeness(one: str, other: str) -> float:
    if one == other:
        return 1.0
    groups = (set(map(stem, line.split())) for line in lexicon()["synonyms"]["groups"])
    return _SYNONYM if any({one, other} <= group for group in groups) else 0.0
