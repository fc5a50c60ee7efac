"""The tables of a database as questions name them: columns, units, labels and stored texts.

tables = read_tables(database)
tables[0].name, tables[0].column("price").spelled     # 'products', 'products."price_cents"'
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

from multi_agent.data.database import Database
from multi_agent.data.schema import Column as Declared
from multi_agent.data.schema import quoted
from multi_agent.offline.words import Stems, Words, split
from seedbed.errors import BadInput, DeadlineExceeded

MAX_VALUES, SECONDS = 2_000, 2.0  # texts of a column that questions may name; for each query
UNITS = ("cents", "g")
"""Endings of columns that are units."""
MEASURES = {
    "price": ("cost", "costs", "expensive", "cheap"),
    "cost": ("costs", "expensive", "cheap"),
    "weight": ("weigh", "weighs", "heavy", "light"),
}
"""Other words for a column, by one that its name has."""
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
    unit: str = ""
    """The ending of its name that is a unit: "cents" of `price_cents`."""

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


@dataclass
class Table:
    """A table with the texts that its rows and the rows they refer to have."""

    name: str
    columns: list[Column] = field(default_factory=list)
    joins: dict[str, str] = field(default_factory=dict)
    """The conditions of joins, by the table that is referred to."""
    values: dict[Stems, list[tuple[Column, str]]] = field(default_factory=dict)
    """By their stems: the columns that have a text, with the text as it is stored."""

    @property
    def words(self) -> Stems:
        return split(self.name)

    def of_kind(self, kind: str) -> list[Column]:
        return [column for column in self.columns if column.kind == kind]

    def named_in(self, words: Words, kind: str) -> list[Column]:
        """Its columns of a kind that a question names, all words of their name being there."""
        found = [c for c in self.of_kind(kind) if any(words.find(p) >= 0 for p in c.phrases)]
        longest = max((len(column.words) for column in found), default=0)
        return [column for column in found if len(column.words) == longest]

    @property
    def label(self) -> Column | None:
        """The column that names a row: `name`, `title`, or the only text."""
        texts = self.of_kind("text")
        named = [column for column in texts if column.name.lower() in ("name", "title")]
        return named[0] if named else texts[0] if len(texts) == 1 else None


def read_tables(database: Database) -> list[Table]:
    """The tables of a database, with the texts of columns that have not too many."""
    tables = {}
    texts: dict[str, list[tuple[Column, str]]] = defaultdict(list)
    keys = {(key.table, key.column): key for key in database.schema.foreign_keys}
    for name, declared in database.schema.columns.items():
        table = tables[name] = Table(name)
        for one in declared:
            column = _column(database, name, one, is_key=one.key or (name, one.name) in keys)
            table.columns.append(column)
            if column.kind == "text":
                texts[name] += [(column, text) for text in _texts(database, column)]
    for table in tables.values():
        references = [key for key in keys.values() if key.table == table.name]
        for key in references:
            if sum(other.target == key.target for other in references) == 1:
                target, own = quoted(key.target), quoted(key.table)
                on = f"{target}.{quoted(key.target_column)} = {own}.{quoted(key.column)}"
                table.joins[key.target] = on
        for owner in (table.name, *table.joins):
            for column, text in texts[owner]:
                table.values.setdefault(split(text), []).append((column, text))
        table.values.pop((), None)
    return list(tables.values())


def _column(database: Database, table: str, declared: Declared, *, is_key: bool) -> Column:
    name, kind = declared.name, ""
    if is_key or name.lower().endswith("id"):
        pass
    elif re.match(r"DATE|TIMESTAMP", declared.type, re.IGNORECASE):
        kind = "date"
    elif _NUMERIC.search(declared.type):
        kind = "number"
    elif _TEXT.search(declared.type):
        rows = _select(database, f"min({quoted(name)}), max({quoted(name)})", table)
        ends = [str(end) for row in rows for end in row if end is not None]
        kind = "date" if ends and all(map(_ISO.match, ends)) else "text"
    unit = next((unit for unit in UNITS if name.lower().endswith(f"_{unit}")), "")
    return Column(table, name, kind, unit)


def _texts(database: Database, column: Column) -> list[str]:
    """The different texts of a column; none if there are too many to know them all."""
    rows = _select(database, f"DISTINCT {quoted(column.name)}", column.table)
    return [str(text) for (text,) in rows if text is not None] if len(rows) <= MAX_VALUES else []


def _select(database: Database, selected: str, table: str) -> tuple[tuple[object, ...], ...]:
    sql = f"SELECT {selected} FROM {quoted(table)} LIMIT {MAX_VALUES + 1}"
    with suppress(BadInput, DeadlineExceeded):
        return database.query(sql, seconds=SECONDS, max_rows=MAX_VALUES + 1).rows
    return ()
