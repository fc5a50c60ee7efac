"""Find the values of text columns in a question: "cancelled", "Anna Schmidt", "Germany" for DE.

    index = ValueIndex(database)
    index.matches(tokenize("orders from Germany"), 2)     # (1, [Value(customers.country, "DE")])

At most `_MAX_VALUES` distinct values per column and `_MAX_ROWS` rows are read; what exceeds that is
looked up in the database when a question has a capitalized phrase.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from multi_agent.offline.sql.schema import Column, Schema, Table
from multi_agent.offline.sql.words import Word, ignored, lexicon, tokenize
from seedbed.errors import DeadlineExceeded

if TYPE_CHECKING:
    from multi_agent.data.database import Database

_MAX_ROWS = 100_000
_MAX_VALUES = 20_000
_MAX_STEMMED = 2000
_MAX_LENGTH = 80  # characters; longer texts are prose, not values
_MAX_WORDS = 8
ENUMERATION = 40  # distinct values up to which a column counts as an enumeration


@dataclass(frozen=True)
class Value:
    """A value of a column; `whole` if the question has all of its words."""

    column: Column
    value: str
    whole: bool = True
    enumeration: bool = False


class ValueIndex:
    """The values of all text columns, by their words."""

    def __init__(self, database: Database, schema: Schema) -> None:
        self._phrases: dict[tuple[str, ...], list[Value]] = defaultdict(list)
        self._long: list[Value] = []
        self._parts: dict[str, set[int]] = defaultdict(set)  # positions in _long
        self._longest: dict[str, int] = defaultdict(int)
        self._partial: list[Column] = []
        self._database = database
        for table in schema.tables:
            for column in table.columns:
                if column.kind == "text" and not column.expression:
                    self._add_column(table, column)

    def _add_column(self, table: Table, column: Column) -> None:
        name, source = f'"{column.name}"', f'"{table.name}"'
        rows = self._database.query(
            f"SELECT DISTINCT {name} FROM (SELECT {name} FROM {source} LIMIT {_MAX_ROWS})"
            f" WHERE {name} IS NOT NULL AND length({name}) <= {_MAX_LENGTH}",
            max_rows=_MAX_VALUES,
        )
        if rows.truncated or table.rows > _MAX_ROWS:
            self._partial.append(column)
        small = len(rows.rows) <= _MAX_STEMMED
        for text in [str(row[0]) for row in rows.rows]:
            value = Value(column, text, enumeration=len(rows.rows) <= ENUMERATION)
            names = _names(text, stemmed=small)
            aliases = _aliases(text, column) if small else []
            for key in [names, *map(_names, aliases)]:
                if key and value not in self._phrases[key]:
                    self._phrases[key].append(value)
                    self._longest[key[0]] = max(self._longest[key[0]], len(key))
            if len(names) > 1:
                self._long.append(Value(column, text, whole=False))
                for part in names:
                    self._parts[part].add(len(self._long) - 1)

    def matches(
        self, words: Sequence[Word], start: int, *, look_up: bool = True
    ) -> tuple[int, list[Value]]:
        """The number of words of the longest match at `start`, and the values it stands for.

        A capitalized word may be a part of a longer value: the last name of a person.
        """
        stems, texts = [w.stem for w in words], [w.text for w in words]
        longest = max(self._longest.get(stems[start], 0), self._longest.get(texts[start], 0))
        for end in range(min(len(words), start + longest), start, -1):
            values = self._phrases.get(tuple(stems[start:end]))
            values = values or self._phrases.get(tuple(texts[start:end]), [])
            is_common = end == start + 1 and texts[start] in ignored() and not words[start].capital
            if values and not is_common:  # "all" is hardly a level
                return end - start, values
        end = start
        while end < len(words) and (words[end].capital or (end > start and texts[end].isdigit())):
            end += 1
        for stop in range(end, start, -1):
            names = [words[i] for i in range(start, stop)]
            parts = [self._parts.get(w.stem) or self._parts.get(w.text, set()) for w in names]
            if common := set.intersection(*parts):
                return stop - start, [self._long[number] for number in sorted(common)]
            searched = look_up and stop == end > max(start, 1)
            if searched and (values := self._look_up(" ".join(texts[start:end]))):
                return end - start, values
        return 0, []

    def has(self, one: Word) -> bool:
        """Whether a word is a value."""
        return (one.stem,) in self._phrases

    @cached_property
    def words(self) -> frozenset[str]:
        """The stems of the values of one word that a column has few of."""
        values = self._phrases.items()
        return frozenset(k[0] for k, v in values if len(k) == 1 and any(o.enumeration for o in v))

    def is_longer(self, words: Sequence[Word], stems: Sequence[str]) -> bool:
        """Whether words only tell a longer value, "Room A Annex", from the "Room A" in `stems`."""
        own = {w.stem for w in words}
        for number in set.intersection(*(self._parts.get(stem, set()) for stem in own)):
            rest = tuple(stem for stem in _names(self._long[number].value) if stem not in own)
            ends = range(len(stems) - len(rest) + 1)
            if rest in self._phrases and any(tuple(stems[i : i + len(rest)]) == rest for i in ends):
                return True
        return False

    def _look_up(self, text: str) -> list[Value]:
        """The columns with a value that was not read, found by a scan of at most a second each."""
        quoted, values = text.replace("'", "''"), []
        for column in self._partial:
            sql = f'SELECT "{column.name}" FROM "{column.table}" WHERE lower("{column.name}")'
            with contextlib.suppress(DeadlineExceeded):
                rows = self._database.query(f"{sql} = '{quoted}' LIMIT 1", seconds=1).rows
                values += [Value(column, row[0]) for row in rows]
        return values


def _names(text: str, *, stemmed: bool = True) -> tuple[str, ...]:
    """The words by which a value is stored: stems, or texts where there are too many to stem."""
    if stemmed:
        return tuple(one.stem for one in tokenize(text))[:_MAX_WORDS]
    return tuple(re.findall(r"\w+", text.lower()))[:_MAX_WORDS]


def _aliases(text: str, column: Column) -> list[str]:
    """Other names of a value: the country of a code, female for F, yes for Y."""
    names = {word.text for word in column.words}
    if names & {"gender", "sex"} and text.upper()[:1] in "FMWD":
        return {"F": ["female", "woman"], "W": ["female", "woman"], "M": ["male", "man"]}.get(
            text.upper()[:1], []
        )
    if names & {"country", "nationality", "nation", "citizenship"}:
        return _countries().get(text.lower(), [])
    return []


@cache
def _countries() -> dict[str, list[str]]:
    """Names and demonyms by code, and codes and demonyms by name, in lower case."""
    from babel import Locale

    territories = Locale("en").territories
    names = {code: str(name) for code, name in territories.items() if len(code) == 2}
    aliases: dict[str, list[str]] = {code: [name] for code, name in names.items()}
    for demonym, code in lexicon()["demonyms"].items():
        aliases[code].append(demonym.replace("_", " "))
    aliases["US"] += ["USA", "America", "United States of America"]
    aliases["GB"] += ["UK", "Britain", "Great Britain", "England"]
    aliases["CZ"] += ["Czech Republic"]
    aliases["NL"] += ["the Netherlands", "Holland"]
    by_name = {names[code].lower(): [code, *others] for code, others in aliases.items()}
    common = {"usa": aliases["US"], "uk": aliases["GB"], "czech republic": aliases["CZ"]}
    peoples = {d: [code, names[code]] for d, code in lexicon()["demonyms"].items()}
    codes = {code.lower(): others for code, others in aliases.items()}
    return peoples | codes | by_name | common
