"""Finds the values of text columns in a question: "cancelled", "Anna Schmidt".

    index = ValueIndex(database, schema)
    index.find(tokenize("orders of Anna Schmidt"), 2)     # (2, (Value(customers.name, …),))

At most `_MAX_VALUES` values of a column out of `_MAX_ROWS` rows are read; the others are unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from multi_agent.data.schema import quoted
from multi_agent.offline.english import Token, tokenize
from multi_agent.offline.sql.schema import Column, Schema, ignored

if TYPE_CHECKING:
    from multi_agent.data.database import Database

_MAX_ROWS = 100_000
_MAX_VALUES = 50_000
_MAX_LENGTH = 80  # characters; longer texts are prose, not values
_MAX_STEMMED = 2000  # values of a column up to which they are found in another form
_FEW = 40  # values up to which a column has kinds of rows rather than their names


@dataclass(frozen=True)
class Value:
    """A value of a column."""

    column: Column
    text: str
    is_kind: bool = False
    """Whether many rows share it: a status, a category."""
    literal: bool = True
    """Whether the question has its very words, not other forms of them."""


class ValueIndex:
    """The values of all text columns, by their words."""

    def __init__(self, database: Database, schema: Schema) -> None:
        self._by_words: dict[tuple[str, ...], list[Value]] = defaultdict(list)
        self._longest: dict[str, int] = defaultdict(int)
        for table in schema.tables.values():
            for column in table.columns:
                if column.kind == "text":
                    self._add(database, column, is_label=column in table.label)

    def _add(self, database: Database, column: Column, *, is_label: bool) -> None:
        rows = database.query(
            f"SELECT DISTINCT value FROM (SELECT CAST({quoted(column.name)} AS TEXT) AS value"
            f" FROM {quoted(column.table)} LIMIT {_MAX_ROWS}) AS cells"
            f" WHERE value IS NOT NULL AND length(value) <= {_MAX_LENGTH}",
            max_rows=_MAX_VALUES,
        ).rows
        is_kind = len(rows) <= _FEW and not is_label and not column.unique
        for text in [str(row[0]) for row in rows]:
            value, tokens = Value(column, text, is_kind), tokenize(text)
            exact = tuple(token.text for token in tokens)
            stems = tuple(t.stem for t in tokens) if len(rows) <= _MAX_STEMMED else exact
            if not all(word.isdigit() for word in exact):  # a number says nothing of its column
                for words in {exact, stems}:
                    self._by_words[words].append(value)
                    self._longest[words[0]] = max(self._longest[words[0]], len(words))

    def find(self, tokens: Sequence[Token], start: int) -> tuple[int, tuple[Value, ...]]:
        """The number of tokens of the longest value at `start`, and the values it stands for."""
        texts, stems = [t.text for t in tokens], [t.stem for t in tokens]
        longest = max(self._longest.get(texts[start], 0), self._longest.get(stems[start], 0))
        for end in range(min(len(tokens), start + longest), start, -1):
            values = list(self._by_words.get(tuple(texts[start:end]), []))
            literal = {value.column for value in values}
            forms = self._by_words.get(tuple(stems[start:end]), [])
            values += [replace(v, literal=False) for v in forms if v.column not in literal]
            common = end == start + 1 and texts[start] in ignored() and not tokens[start].capital
            if values and not common:  # "all" is hardly a level
                return end - start, tuple(values)
        return 0, ()
