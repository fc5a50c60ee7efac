"""Find the values of text columns in a question: "cancelled", "Anna Schmidt", "Germany" for DE.

    index = ValueIndex(database)
    index.matches(tokenize("orders from Germany"), 2)     # (1, [Value(customers.country, "DE")])

At most `_MAX_VALUES` distinct values per column and `_MAX_ROWS` rows are read; what exceeds that is
looked up in the database when a question has a capitalized phrase.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from multi_agent.data.schema import Column, Table
from multi_agent.data.words import Word, lexicon, tokenize

if TYPE_CHECKING:
    from multi_agent.data.database import Database

_MAX_ROWS = 200_000
_MAX_VALUES = 20_000
_MAX_WORDS = 8  # longer texts are prose, not values
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

    def __init__(self, database: Database) -> None:
        self._phrases: dict[tuple[str, ...], list[Value]] = defaultdict(list)
        self._parts: dict[str, set[Value]] = defaultdict(set)
        self._longest: dict[str, int] = defaultdict(int)
        self._partial: list[Column] = []
        self._database = database
        for table in database.schema.tables:
            for column in table.columns:
                if column.kind == "text" and not column.expression:
                    self._add_column(table, column)

    def _add_column(self, table: Table, column: Column) -> None:
        name, source = f'"{column.name}"', f'"{table.name}"'
        rows = self._database.query(
            f"SELECT DISTINCT {name} FROM (SELECT {name} FROM {source} LIMIT {_MAX_ROWS})"
            f" WHERE {name} IS NOT NULL",
            max_rows=_MAX_VALUES,
        )
        values = [str(row[0]) for row in rows.rows]
        if rows.truncated or table.rows > _MAX_ROWS:
            self._partial.append(column)
        for text in values:
            if len(text) > 120:
                continue
            words = tokenize(text)
            if 0 < len(words) <= _MAX_WORDS:
                value = Value(column, text, enumeration=len(values) <= ENUMERATION)
                self._add_phrase(tuple(word.stem for word in words), value)
                for alias in _aliases(text, column):
                    self._add_phrase(tuple(word.stem for word in tokenize(alias)), value)
                for word in words if len(words) > 1 else ():
                    self._parts[word.stem].add(Value(column, text, whole=False))

    def _add_phrase(self, stems: tuple[str, ...], value: Value) -> None:
        if value not in self._phrases[stems]:
            self._phrases[stems].append(value)
            self._longest[stems[0]] = max(self._longest[stems[0]], len(stems))

    def matches(self, words: Sequence[Word], start: int) -> tuple[int, list[Value]]:
        """The number of words of the longest match at `start`, and the values it stands for.

        A single capitalized word may be a part of a longer value: the last name of a person.
        """
        for length in range(self._longest.get(words[start].stem, 0), 0, -1):
            stems = tuple(word.stem for word in words[start : start + length])
            if len(stems) == length and (values := self._phrases.get(stems)):
                return length, values
        capitals = start
        while capitals < len(words) and words[capitals].capital:
            capitals += 1
        for length in range(capitals - start, 0, -1):
            run = words[start : start + length]
            if common := set.intersection(*(self._parts.get(w.stem, set()) for w in run)):
                return length, sorted(common, key=lambda one: (str(one.column), one.value))
            if values := self._look_up(" ".join(word.text for word in run)):
                return length, values
        return 0, []

    def _look_up(self, text: str) -> list[Value]:
        quoted = text.replace("'", "''")
        values = []
        for column in self._partial:
            sql = f'SELECT "{column.name}" FROM "{column.table}" WHERE lower("{column.name}")'
            rows = self._database.query(f"{sql} = '{quoted}' LIMIT 1", seconds=1).rows
            values += [Value(column, row[0]) for row in rows]
        return values


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
    return {code.lower(): others for code, others in aliases.items()} | by_name | common
