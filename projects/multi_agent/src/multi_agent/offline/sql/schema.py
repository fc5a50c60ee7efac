"""Tables and columns of a database never seen before, with the words that name them.

    schema = describe(database)
    schema.paths("orders", "customers")         # ((orders.customer_id -> customers.id,),)

Keys that are not declared are inferred from names (`customer_id`), units from the ends of column
names (`price_cents`), kinds from a sample of the values.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from multi_agent.data.schema import ForeignKey, RawColumn, quoted
from multi_agent.offline.english import UNITS, stem, unit_of

if TYPE_CHECKING:
    from multi_agent.data.database import Database

Kind = Literal["number", "year", "date", "flag", "text", "reference"]
_SAMPLE = 2000  # rows per table from which kinds are inferred
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_FLAGS = ({"y", "n"}, {"yes", "no"}, {"true", "false"}, {"t", "f"})
_YEARS = {"year", "founded", "established", "built", "released", "published"}
_DAYS = {"day", "week", "month", "year"}  # a column that ends so is a day, not in days


@cache
def lexicon() -> dict[str, Any]:
    """The tables of `words.toml`."""
    return tomllib.loads(resources.files(__package__).joinpath("words.toml").read_text("utf-8"))


@cache
def ignored(name: str = "words") -> frozenset[str]:
    """Words without content, by group."""
    return frozenset(lexicon()["ignored"][name].split())


@dataclass(frozen=True)
class Column:
    """A column; `truth` is how a flag stores yes and no, `unique` is seen in a sample."""

    table: str
    name: str
    words: tuple[str, ...] = field(default=(), compare=False)
    kind: Kind = "text"
    unit: str = ""
    key: bool = False
    unique: bool = False
    nullable: bool = False
    truth: tuple[Any, Any] = (True, False)

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"

    @property
    def is_quantity(self) -> bool:
        """Whether it is a number to compute with."""
        return self.kind == "number" and not self.key

    @property
    def is_dated(self) -> bool:
        """Whether it is a date or a year."""
        return self.kind in ("date", "year")

    def measures(self, kind: str) -> bool:
        """Whether its unit is of a kind; money is also told by the name."""
        if self.unit:
            return UNITS[self.unit][0] == kind
        return kind == "money" and not ignored("money").isdisjoint(self.words)


@dataclass(frozen=True)
class Table:
    """A table of a schema."""

    name: str
    words: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: int

    @property
    def stems(self) -> set[str]:
        """The stems of its words."""
        return set(map(stem, self.words))

    @property
    def key(self) -> Column | None:
        """The primary key, if it is a single column."""
        return next((column for column in self.columns if column.key), None)

    @cached_property
    def label(self) -> tuple[Column, ...]:
        """The columns that name a row to a person: first and last name, a title, or the key."""
        person = [c for c in self.columns if c.words in (("first", "name"), ("last", "name"))]
        if len(person) == 2:
            return tuple(person)
        own = self.stems | {"full"}  # the name of a lease's tenant does not name the lease
        best = [c for c in self.columns if c.words[-1] in ("name", "title")]
        best = [c for c in best if own.issuperset(map(stem, c.words[:-1]))]
        texts = [c for c in self.columns if c.unique and c.kind == "text"]
        texts.sort(key=lambda column: not column.key)
        return (*best, *texts, self.key or self.columns[0])[:1]


@dataclass(frozen=True)
class Schema:
    """All tables of a database by name, and how they refer to each other."""

    tables: dict[str, Table]
    foreign_keys: tuple[ForeignKey, ...]

    @cached_property
    def names(self) -> list[tuple[Table | Column, tuple[str, ...]]]:
        """Each table and column with the words that name it: a column also without its unit."""
        entries: list[tuple[Table | Column, tuple[str, ...]]] = []
        for table in self.tables.values():
            entries.append((table, table.words))
            for column in table.columns:
                if column.words[-1] == "id" and not (column.key or column.kind == "reference"):
                    continue  # the key of a table that is not there
                words = column.words
                words = words if column.key else _without(words, ignored("particles"))
                bare = {word for word in words if stem(word) in table.stems}
                bare |= ignored("general") if column.is_dated else set()
                forms = [words, _without(words, bare)]
                forms += [words[:-1]] if column.unit and len(words) > 1 else []
                entries += [(column, form) for form in dict.fromkeys(forms)]
        return entries

    def reference(self, column: Column) -> ForeignKey | None:
        """The foreign key of a column."""
        keys = self.foreign_keys
        return next((k for k in keys if (k.table, k.column) == (column.table, column.name)), None)

    def paths(self, start: str, end: str) -> tuple[tuple[ForeignKey, ...], ...]:
        """The shortest ways from many to one; each row of `start` meets one row of `end` at most.

        Several ways of the same length (origin, destination) are all returned; none: ().
        """
        level: list[tuple[ForeignKey, ...]] = [()]
        seen = {start}
        while level and start != end:
            level = [
                (*path, key)
                for path in level
                for key in self.foreign_keys
                if key.table == (path[-1].target if path else start) and key.target not in seen
            ]
            if ends := tuple(path for path in level if path[-1].target == end):
                return ends
            seen |= {path[-1].target for path in level}
        return tuple(level)


def describe(database: Database) -> Schema:
    """Read the kinds of all columns, and infer the keys that are not declared."""
    raw = database.schema
    tables = [_table(database, name, columns) for name, columns in raw.columns.items()]
    keys = {(key.table, key.column): key for key in (*_inferred(tables), *raw.foreign_keys)}
    for at, table in enumerate(tables):
        refer = {column.name for column in table.columns if (table.name, column.name) in keys}
        marked = (replace(c, kind="reference") if c.name in refer else c for c in table.columns)
        tables[at] = replace(table, columns=tuple(marked))
    return Schema({table.name: table for table in tables}, tuple(keys.values()))


@cache
def name_words(name: str) -> tuple[str, ...]:
    """The words of a table's or a column's name.

    >>> name_words("OrderDate"), name_words("tbl_customers")
    (('order', 'date'), ('customers',))
    """
    words = re.findall(r"[^\W_]+", (name if name.isupper() else _CAMEL.sub("_", name)).lower())
    return _without(tuple(words), ignored("tables")) or (name.lower(),)


def _without(words: tuple[str, ...], some: set[str] | frozenset[str]) -> tuple[str, ...]:
    """The words that are left, or all if none is."""
    return tuple(word for word in words if word not in some) or words


def _table(database: Database, name: str, raw: list[RawColumn]) -> Table:
    raw = [column for column in raw if "BLOB" not in column.type.upper()]
    names = ", ".join(quoted(column.name) for column in raw) or "NULL"
    sql = f"SELECT {names} FROM {quoted(name)} LIMIT {_SAMPLE}"
    sample = database.query(sql, max_rows=_SAMPLE).rows
    rows = database.query(f"SELECT count(*) FROM {quoted(name)}").rows[0][0]
    table = Table(name, name_words(name), (), rows)
    has_key = any(column.key for column in raw)
    columns = []
    for position, (column, declared, key) in enumerate(raw):
        cells = [row[position] for row in sample if row[position] is not None]
        words, full = name_words(column), len(cells) == len(sample)
        unique = full and len(set(map(str, cells))) == len(cells) > 0
        if not has_key and [w for w in words if stem(w) not in table.stems] in (["id"], ["key"]):
            key = has_key = unique
        kind = _kind(set(words), declared.upper(), cells)
        unit = unit_of(words[-1]) if len(words) > 1 and words[-1] not in _DAYS else ""
        no, *yes = sorted(set(cells), key=str) if kind == "flag" else [False]
        truth = (yes[0], no) if yes else (True, False)
        columns.append(Column(name, column, words, kind, unit, key, unique, not full, truth))
    return replace(table, columns=tuple(columns))


def _kind(words: set[str], declared: str, cells: list[Any]) -> Kind:
    texts = all(isinstance(cell, str) for cell in cells)
    if "BOOL" in declared or {str(cell).lower() for cell in cells} in _FLAGS:
        return "flag"
    if texts and declared.startswith(("DATE", "TIMESTAMP")):
        return "date"
    if not cells:
        return "number" if re.search(r"INT|REAL|NUM|DEC|DOUBLE|FLOAT", declared) else "text"
    if texts and all(_DATE.fullmatch(cell) for cell in cells):
        return "date"
    if not all(isinstance(cell, int | float) for cell in cells):
        return "text"
    if set(cells) <= {0, 1} and (words & {"is", "has", "can"} or len(set(cells)) == 2):
        return "flag"
    return "year" if words & _YEARS and all(1000 <= cell <= 2200 for cell in cells) else "number"


def _inferred(tables: list[Table]) -> list[ForeignKey]:
    """`customer_id` refers to the key of the table customers, unless it is that key."""
    columns = [c for table in tables for c in table.columns if not c.key and c.words[-1] == "id"]
    return [
        ForeignKey(column.table, column.name, target.name, target.key.name)
        for column in columns
        for target in tables
        if target.key and target.name != column.table and column.kind == target.key.kind
        if list(map(stem, column.words[:-1])) == list(map(stem, target.words))
    ]
