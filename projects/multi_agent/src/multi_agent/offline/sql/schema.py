"""Tables, columns, units and foreign keys of a database never seen before.

    schema = read_schema(database)
    schema.paths(schema.table("orders"), schema.table("customers"))     # ((orders.customer_id,),)

Keys that are not declared are inferred from names (`customer_id`), units from the ends of column
names (`price_cents`), and dates from the values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from multi_agent.data.schema import ForeignKey, RawColumn, read_columns
from multi_agent.offline.sql.words import RATIOS, SUFFIXES, Word, name_words

if TYPE_CHECKING:
    from multi_agent.data.database import Database

Kind = Literal["number", "year", "date", "flag", "text"]
_SAMPLE = 2000  # rows per table from which kinds are inferred
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_COMPACT_DATE = re.compile(r"(1[89]|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_FLAGS = ({"y", "n"}, {"yes", "no"}, {"true", "false"}, {"t", "f"})
_YEARS = {"year", "founded", "established", "built", "released", "published", "since"}
_IDS = ("id", "key", "code", "number")
_ROLES = ("manager", "supervisor", "boss", "parent", "mentor", "lead", "leader", "reports")
_LABELS = ("name", "title", "label", "full name", "description", "code", "number")


@dataclass(frozen=True)
class Column:
    """A column, or an expression over the columns of one table (quantity * price)."""

    table: str
    name: str
    kind: Kind = "text"
    unit: str = ""
    key: bool = False
    nullable: bool = False
    truth: tuple[Any, Any] = (True, False)
    """How a flag is stored."""
    expression: str = ""
    """SQL with `{t}` for the table; empty for a plain column."""
    words: tuple[Word, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"

    def sql(self, alias: str) -> str:
        """The column of a table with this alias, itself in SQL."""
        name = self.name.replace('"', '""')
        return (self.expression or f'{{t}}."{name}"').replace("{t}", alias)


@dataclass(frozen=True)
class Table:
    """A table with the words of its name; `rows` is its size."""

    name: str
    columns: tuple[Column, ...] = field(compare=False)
    rows: int = field(compare=False)
    words: tuple[Word, ...] = field(default=(), compare=False)

    @property
    def key(self) -> Column | None:
        """The primary key, if it is a single column."""
        return next((column for column in self.columns if column.key), None)

    @property
    def label(self) -> tuple[Column, ...]:
        """The columns that name a row to a person: first and last name, a title, or the key."""
        by_words = {" ".join(w.text for w in column.words): column for column in self.columns}
        if "first name" in by_words and "last name" in by_words:
            return by_words["first name"], by_words["last name"]
        own = " ".join(word.text for word in self.words)
        names = [*_LABELS[:4], f"{own} name", f"{own} title", "company", *_LABELS[4:]]
        ends = [c for c in self.columns if c.words and c.words[-1].text in ("name", "title")]
        codes = [f"{own} {end}" for end in ("code", "number", "reference")] + ["reference"]
        ends = ends or [by_words[name] for name in codes if name in by_words]
        texts = [self.key] if self.key else [c for c in self.columns if c.kind == "text"]
        best = [by_words[name] for name in names if name in by_words] + ends + texts[:1]
        return tuple((best or [self.key or self.columns[0]])[:1])


@dataclass(frozen=True)
class Schema:
    """All tables of a database and how they refer to each other."""

    tables: tuple[Table, ...]
    foreign_keys: tuple[ForeignKey, ...]
    days: str = "julianday({end}) - julianday({start})"
    """SQL for the days between two dates."""

    def table(self, name: str) -> Table:
        """The table of this name."""
        return next(table for table in self.tables if table.name == name)

    @cached_property
    def vocabulary(self) -> list[tuple[Table | Column, tuple[Word, ...]]]:
        """Each table and column with the words that name it, without units and "id"."""
        entries: list[tuple[Table | Column, tuple[Word, ...]]] = []
        for table in self.tables:
            entries.append((table, table.words))
            own = {word.stem for word in table.words}
            for column in table.columns:
                drop = {"id", "is", "has", "flag"}
                if self.reference(column):
                    drop |= {"number", "code", "key"}
                parts = [w for w in column.words if w.text not in drop or column.key]
                if column.unit and len(parts) > 1 and not column.expression:
                    parts = parts[:-1]
                bare = tuple(word for word in parts if word.stem not in own)
                if bare != tuple(parts) and bare and not column.key:
                    entries.append((column, bare))
                if parts and not (column.key and column.kind == "number"):
                    entries.append((column, tuple(parts)))
        return entries

    def reference(self, column: Column) -> ForeignKey | None:
        """The foreign key of a column."""
        keys = self.foreign_keys
        return next((k for k in keys if (k.table, k.column) == (column.table, column.name)), None)

    def column(self, key: ForeignKey) -> Column:
        """The column of a foreign key."""
        return next(one for one in self.table(key.table).columns if one.name == key.column)

    def paths(self, start: Table, end: Table) -> tuple[tuple[ForeignKey, ...], ...]:
        """The shortest ways from many to one; each row of `start` meets one row of `end` at most.

        Several ways of the same length (home team, away team) are all returned; none: ().
        """
        level: list[tuple[ForeignKey, ...]] = [()]
        seen = {start.name}
        if start == end:
            return ((),)
        while level:
            level = [
                (*path, key)
                for path in level
                for key in self.foreign_keys
                if key.table == (path[-1].target if path else start.name) and key.target not in seen
            ]
            ends = tuple(path for path in level if path[-1].target == end.name)
            if ends:
                return ends
            seen |= {path[-1].target for path in level}
        return ()

    def base(self, *tables: Table) -> Table | None:
        """The table from which all of `tables` are reached from many to one: the nearest one."""
        found = [
            (sum(len(paths[0]) for paths in ways), position, table)
            for position, table in enumerate((*tables, *self.tables))
            if all(ways := [self.paths(table, goal) for goal in tables])
        ]
        return min(found, key=lambda one: one[:2])[2] if found else None


def read_schema(database: Database) -> Schema:
    """Read tables and columns, infer what is not declared; bounded by a sample of each table."""
    names, declared = read_columns(database)
    tables = tuple(_table(database, name, columns) for name, columns in names.items() if columns)
    tables = tuple(_with_revenue(table) for table in tables)
    keys = [key for key in declared if key.target in names]
    have = {(key.table, key.column) for key in keys}
    keys += [k for k in _inferred_keys(tables) if (k.table, k.column) not in have]
    if database.is_duckdb:
        days = "date_diff('day', CAST({start} AS DATE), CAST({end} AS DATE))"
        return Schema(tables, tuple(keys), days)
    return Schema(tables, tuple(keys))


def _table(database: Database, name: str, raw: list[RawColumn]) -> Table:
    quoted = '"' + name.replace('"', '""') + '"'
    sample = database.query(f"SELECT * FROM {quoted} LIMIT {_SAMPLE}", max_rows=_SAMPLE).rows
    rows = database.query(f"SELECT count(*) FROM {quoted}").rows[0][0]
    values = [[row[i] for row in sample if row[i] is not None] for i in range(len(raw))]
    words = name_words(name)
    has_key = any(key for *_, key in raw)
    columns = []
    for (column, declared, key), cells in zip(raw, values, strict=True):
        parts = name_words(column)
        unit = parts[-1].text if len(parts) > 1 and parts[-1].text in SUFFIXES else ""
        own = {w.stem for w in words}
        names_row = [w.text for w in parts if w.stem not in own] in (["id"], ["key"])
        if not has_key and names_row and len(set(map(str, cells))) == len(sample) == len(cells):
            key = has_key = True
        kind = _kind(column, declared, cells)
        nullable = len(cells) < len(sample)
        truth = _truth(cells) if kind == "flag" else (True, False)
        compact = kind == "date" and bool(cells) and bool(_COMPACT_DATE.fullmatch(str(cells[0])))
        iso = _iso(column) if compact else ""
        columns.append(Column(name, column, kind, unit, key, nullable, truth, iso, words=parts))
    return Table(name, tuple(columns), rows, words)


def _iso(column: str) -> str:
    """SQL for a date stored as 20250131."""
    text = f'CAST({{t}}."{column}" AS TEXT)'
    return f"substr({text}, 1, 4) || '-' || substr({text}, 5, 2) || '-' || substr({text}, 7, 2)"


def _kind(name: str, declared: str, cells: list[Any]) -> Kind:
    texts = {word.text for word in name_words(name)}
    declared = declared.upper()
    if "BOOL" in declared:
        return "flag"
    if declared.startswith(("DATE", "TIMESTAMP")) and all(isinstance(c, str) for c in cells):
        return "date"
    if cells and all(isinstance(cell, str) and _DATE.fullmatch(cell) for cell in cells):
        return "date"
    if cells and all(_COMPACT_DATE.fullmatch(str(cell)) for cell in cells):
        return "date"
    if cells and {str(cell).lower() for cell in cells} in _FLAGS:
        return "flag"
    if cells and all(isinstance(cell, (int, float)) for cell in cells):
        if set(cells) <= {0, 1} and (texts & {"is", "has", "can"} or len(set(cells)) == 2):
            return "flag"
        year = texts & _YEARS and all(1000 <= cell <= 2200 for cell in cells)
        return "year" if year else "number"
    numeric = re.search(r"INT|REAL|NUM|DEC|DOUBLE|FLOAT", declared)
    return "number" if not cells and numeric else "text"


def _truth(cells: list[Any]) -> tuple[Any, Any]:
    """The values of a flag for yes and no, as they are stored."""
    values = sorted(set(cells), key=str)
    return (values[1], values[0]) if len(values) == 2 else (True, False)


def _is_role(column: Column) -> bool:
    """A reference to a row of the same table: `manager_id`."""
    return column.words[-1].text in _IDS and column.words[0].text in _ROLES


def _inferred_keys(tables: tuple[Table, ...]) -> list[ForeignKey]:
    """`customer_id` refers to the key of the table customers, unless it is that key."""
    keys = []
    for table in tables:
        for column in table.columns:
            stems = [word.stem for word in column.words if word.text not in _IDS]
            if table.key and not column.key and _is_role(column):
                keys.append(ForeignKey(table.name, column.name, table.name, table.key.name))
                continue
            is_id = column.words[-1].text in _IDS or column.name.endswith("Id")
            for target in tables:
                key = target.key
                if key is None or target == table or not stems or column.kind != key.kind:
                    continue
                own = [word.stem for word in target.words]
                equal = column.name.lower() == key.name.lower() != "id"
                if equal or (is_id and (stems == own or stems == own[-1:])):
                    keys.append(ForeignKey(table.name, column.name, target.name, key.name))
                    break
    return keys


def _with_revenue(table: Table) -> Table:
    """A line with a quantity and a price gets the column `quantity * price`.

    With a discount in percent it gets two, of which a question has to say which: net and gross.
    """
    numbers = [column for column in table.columns if column.kind == "number"]
    quantity = next((c for c in numbers if {w.text for w in c.words} & {"quantity", "units"}), None)
    if quantity and {w.text for w in quantity.words} & {"stock", "available", "hand", "reorder"}:
        return table
    prices = [c for c in numbers if any(w.text == "price" for w in c.words)]
    discount = next((c for c in table.columns if c.words[0].text == "discount"), None)
    if quantity is None or len(prices) != 1 or (discount and discount.unit not in RATIOS):
        return table
    price = prices[0]
    gross = f'{{t}}."{quantity.name}" * {{t}}."{price.name}"'
    sums = {"line_revenue": (f"{quantity.name} * {price.name}", gross)}
    if discount:
        net = f'{gross} * (1 - {{t}}."{discount.name}" / 100.0)'
        sums = {
            "gross_revenue": sums["line_revenue"],
            "net_revenue": (f"{quantity.name} * {price.name} less {discount.name}", net),
        }
    lines = tuple(
        Column(table.name, name, "number", price.unit, expression=sql, words=name_words(words))
        for words, (name, sql) in sums.items()
    )
    return Table(table.name, (*table.columns, *lines), table.rows, table.words)
