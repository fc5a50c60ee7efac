"""Tables, columns and keys of a database, as a model needs them to write SQL.

    print(read_schema(database).text)
    # orders (1204 rows): id INTEGER key, status TEXT ('delivered', 'cancelled'), placed_on TEXT
    # (2023-01-02 to 2025-06-30), customer_id INTEGER -> customers.id

Columns of few different values list them, so that a model knows that a country is stored as 'DE';
numbers and dates show their range. Other texts, such as names and addresses, are never shown.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from multi_agent.data.database import Database

SAMPLE = 2000  # rows of each table that values are taken from
MAX_VALUES, MAX_VALUE = 12, 40  # values that are listed, and characters of one
MAX_TABLES = 60  # of which values are read: a schema has to fit into a prompt
_DATE = re.compile(r"\d{4}-\d\d-\d\d.*")


class RawColumn(NamedTuple):
    """A column as the database declares it."""

    name: str
    type: str
    key: bool
    """Whether it alone is the primary key."""


@dataclass(frozen=True)
class ForeignKey:
    """A reference from a table to the key of another one."""

    table: str
    column: str
    target: str
    target_column: str


@dataclass(frozen=True)
class Schema:
    """The tables with their columns and declared keys."""

    columns: dict[str, list[RawColumn]]
    """By table."""
    foreign_keys: list[ForeignKey]
    text: str
    """One line per table, for the prompt of a model. Its values are untrusted text."""

    @property
    def tables(self) -> list[str]:
        """The names of the tables."""
        return list(self.columns)


def read_schema(database: Database) -> Schema:
    """Read what is declared, and a sample of the values."""
    columns, keys = read_columns(database)
    references = {(k.table, k.column): f" -> {k.target}.{k.target_column}" for k in keys}
    lines: list[str] = []
    for table, raw in columns.items():
        rows = database.query(f"SELECT count(*) FROM {quoted(table)}").rows[0][0]
        shown = _values(database, table, raw) if len(lines) < MAX_TABLES else {}
        parts = [
            f"{c.name} {c.type}{' key' if c.key else ''}{shown.get(c.name, '')}"
            + references.get((table, c.name), "")
            for c in raw
        ]
        lines.append(f"{table} ({rows} rows): {', '.join(parts)}")
    return Schema(columns, keys, "\n".join(lines))


def read_columns(database: Database) -> tuple[dict[str, list[RawColumn]], list[ForeignKey]]:
    """The columns by table, and the declared foreign keys of one column."""
    return _of_duckdb(database) if database.is_duckdb else _of_sqlite(database)


def quoted(name: str) -> str:
    """A name as SQL.

    >>> quoted("order lines")
    '"order lines"'
    """
    return '"' + name.replace('"', '""') + '"'


def _values(database: Database, table: str, columns: list[RawColumn]) -> dict[str, str]:
    """The few values of a column, or its range, by column."""
    sample = database.query(f"SELECT * FROM {quoted(table)} LIMIT {SAMPLE}", max_rows=SAMPLE).rows
    shown = {}
    for position, column in enumerate(columns):
        cells = [row[position] for row in sample if row[position] is not None]
        if not cells or column.key:
            continue
        counts = Counter(cells)
        texts = all(isinstance(cell, str) for cell in cells)
        few = len(counts) <= MAX_VALUES and (len(counts) < len(cells) or len(cells) == 1)
        if texts and all(_DATE.fullmatch(cell) for cell in cells):
            shown[column.name] = f" ({min(cells)} to {max(cells)})"
        elif texts and few and all(len(cell) <= MAX_VALUE for cell in counts):
            shown[column.name] = f" ({', '.join(repr(cell) for cell, _ in counts.most_common())})"
        elif all(_is_number(cell) for cell in cells):
            shown[column.name] = f" ({min(cells)} to {max(cells)})"
    return shown


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _of_sqlite(database: Database) -> tuple[dict[str, list[RawColumn]], list[ForeignKey]]:
    where = "type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
    names = [row[0] for row in database.query(f"SELECT name FROM sqlite_master WHERE {where}").rows]
    columns: dict[str, list[RawColumn]] = {}
    keys, primary = [], {}
    for name in names:
        text = name.replace("'", "''")
        rows = database.query(f"SELECT name, type, pk FROM pragma_table_info('{text}')").rows
        single = sum(row[2] > 0 for row in rows) == 1
        columns[name] = [RawColumn(column, kind, single and pk > 0) for column, kind, pk in rows]
        primary[name] = next((row[0] for row in rows if row[2]), "")
        sql = f'SELECT "from", "table", "to" FROM pragma_foreign_key_list(\'{text}\')'
        keys += [(name, *row) for row in database.query(sql).rows]
    folded = {name.lower(): name for name in names}
    found = [(n, c, folded.get(target.lower(), ""), to) for n, c, target, to in keys]
    foreign = [ForeignKey(n, c, t, to or primary.get(t, "")) for n, c, t, to in found]
    named = [key for key in foreign if key.target and key.target_column]
    return {name: some for name, some in columns.items() if some}, named


def _of_duckdb(database: Database) -> tuple[dict[str, list[RawColumn]], list[ForeignKey]]:
    rows = database.query(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
        " AND schema_name = 'main' ORDER BY table_name, column_index",
        max_rows=10_000,
    ).rows
    constraints = database.query(
        "SELECT table_name, constraint_type, list_extract(constraint_column_names, 1),"
        " referenced_table, list_extract(referenced_column_names, 1) FROM duckdb_constraints()"
        " WHERE len(constraint_column_names) = 1 AND constraint_type IN"
        " ('PRIMARY KEY', 'FOREIGN KEY')"
    ).rows
    primary = {(row[0], row[2]) for row in constraints if row[1] == "PRIMARY KEY"}
    columns: dict[str, list[RawColumn]] = {}
    for table, column, kind in rows:
        columns.setdefault(table, []).append(RawColumn(column, kind, (table, column) in primary))
    foreign = [row for row in constraints if row[1] == "FOREIGN KEY"]
    return columns, [ForeignKey(t, c, target, to) for t, _, c, target, to in foreign]
