"""The tables of a database as questions name them: columns, units, labels and stored texts.

tables = read_tables(database)
tables[0].name, tables[0].label.spelled     # 'products', '"products"."name"'
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

from multi_agent.data.database import Database
from multi_agent.data.schema import quoted
from multi_agent.offline.words import Stems, Words, split
from seedbed.errors import BadInput, DeadlineExceeded

MAX_VALUES, SECONDS = 2_000, 2.0  # texts of a column that questions may name; for each query
UNITS = ("cents", "g")
"""Endings of column names that are units."""
MEASURES = {
    "price": ("cost", "costs", "expensive", "cheap"),
    "cost": ("costs", "expensive", "cheap"),
    "weight": ("weigh", "weighs", "heavy", "light"),
}
"""Other words for a column, by its name without the unit."""
_DATE_ENDINGS = ("on", "at", "date", "day", "time")
_NUMERIC = re.compile(r"INT|REAL|NUM|DEC|DOUB|FLOAT", re.IGNORECASE)
_TEXT = re.compile(r"CHAR|TEXT|CLOB|^$", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Column:
    """A column; `kind` is "number", "text", "date", or empty for keys and others."""

    table: str
    name: str
    kind: str

    @property
    def unit(self) -> str:
        """The ending of its name that is a unit: "cents" of `price_cents`."""
        return next((unit for unit in UNITS if self.name.lower().endswith(f"_{unit}")), "")

    @property
    def spelled(self) -> str:
        return f"{quoted(self.table)}.{quoted(self.name)}"

    @property
    def words(self) -> Stems:
        endings = _DATE_ENDINGS if self.kind == "date" else (self.unit,)
        name, _, ending = self.name.rpartition("_")
        return split(name if name and ending.lower() in endings else self.name)

    @property
    def phrases(self) -> list[Stems]:
        name = self.name.lower().removesuffix(f"_{self.unit}")
        return [self.words, *(split(word) for word in MEASURES.get(name, ()))]

    @property
    def amount(self) -> str:
        """Its value in SQL, with cents as euros."""
        return f"{self.spelled} / 100.0" if self.unit == "cents" else self.spelled

    def equals(self, text: str) -> str:
        """The condition in SQL that it has this value."""
        escaped = text.replace("'", "''")
        return f"{self.spelled} = '{escaped}'"


@dataclass
class Table:
    """A table with the texts that its rows and the rows they refer to have."""

    name: str
    columns: list[Column]
    joins: dict[str, str] = field(default_factory=dict)
    """The conditions of joins, by the table that is referred to."""
    values: dict[Stems, list[tuple[Column, str]]] = field(default_factory=dict)
    """By the stems of a text: the columns that contain it, and the text as stored."""

    @property
    def words(self) -> Stems:
        return split(self.name)

    def of_kind(self, *kinds: str) -> list[Column]:
        return [column for column in self.columns if column.kind in kinds]

    def named_in(self, words: Words, *kinds: str) -> list[Column]:
        """Its columns of these kinds that a question names, all words of their name being there."""
        hits = [c for c in self.of_kind(*kinds) if any(words.find(p) >= 0 for p in c.phrases)]
        longest = max((len(column.words) for column in hits), default=0)
        return [column for column in hits if len(column.words) == longest]

    @property
    def label(self) -> Column | None:
        """The column that names a row: `name`, `title`, or the only text."""
        texts = self.of_kind("text")
        named = [column for column in texts if column.name.lower() in ("name", "title")]
        return named[0] if named else texts[0] if len(texts) == 1 else None


def read_tables(database: Database) -> list[Table]:
    """The tables of a database, with the texts of columns that have at most MAX_VALUES."""
    tables, keys = {}, database.schema.foreign_keys
    texts: dict[str, list[tuple[Column, str]]] = defaultdict(list)
    references = {(key.table, key.column) for key in keys}
    for name, columns in database.schema.columns.items():
        tables[name] = table = Table(name, [])
        for column, type, is_key in columns:
            is_key = is_key or (name, column) in references or column.lower().endswith("id")
            kind = "" if is_key else _kind(database, name, column, type)
            table.columns.append(Column(name, column, kind))
        for one in table.of_kind("text"):
            rows = _select(database, f"DISTINCT {quoted(one.name)}", name)
            if len(rows) <= MAX_VALUES:  # otherwise some texts are missing
                texts[name] += [(one, str(text)) for (text,) in rows if text is not None]
    for key in keys:
        if sum((other.table, other.target) == (key.table, key.target) for other in keys) == 1:
            target, own = quoted(key.target), quoted(key.table)
            on = f"{target}.{quoted(key.target_column)} = {own}.{quoted(key.column)}"
            tables[key.table].joins[key.target] = on
    for table in tables.values():
        for owner in (table.name, *table.joins):
            for entry in texts[owner]:
                table.values.setdefault(split(entry[1]), []).append(entry)
        table.values.pop((), None)
    return list(tables.values())


def _kind(database: Database, table: str, column: str, type: str) -> str:
    """The kind of a column that is not a key; texts that begin and end with dates are dates."""
    if re.match(r"DATE|TIMESTAMP", type, re.IGNORECASE):
        return "date"
    if _NUMERIC.search(type):
        return "number"
    if not _TEXT.search(type):
        return ""
    rows = _select(database, f"min({quoted(column)}), max({quoted(column)})", table)
    ends = [str(end) for row in rows for end in row if end is not None]
    return "date" if ends and all(map(_ISO.match, ends)) else "text"


def _select(database: Database, selected: str, table: str) -> tuple[tuple[object, ...], ...]:
    sql = f"SELECT {selected} FROM {quoted(table)} LIMIT {MAX_VALUES + 1}"
    with suppress(BadInput, DeadlineExceeded):
        return database.query(sql, seconds=SECONDS, max_rows=MAX_VALUES + 1).rows
    return ()
