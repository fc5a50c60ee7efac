"""Tables, columns and keys, as a database declares them.

schema = read_schema(database)
schema.columns["orders"][0]     # RawColumn("id", "INTEGER", key=True)
schema.foreign_keys[0]          # ForeignKey("orders", "customer_id", "customers", "id")
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from seedbed.errors import BadInput

if TYPE_CHECKING:
    from multi_agent.data.database import Database

_MAX = 10_000  # columns, and keys, that are read
_SQLITE_TABLES = """
    SELECT name FROM pragma_table_list
    WHERE schema = 'main' AND type <> 'shadow' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'
    ORDER BY name"""
_SQLITE_KEYS = """
    SELECT source.name, key."from", target.name,
        coalesce(key."to", (SELECT name FROM pragma_table_xinfo(target.name) WHERE pk))
    FROM pragma_table_list AS source
        JOIN pragma_foreign_key_list(source.name) AS key
        JOIN pragma_table_list AS target ON lower(target.name) = lower(key."table")
    GROUP BY source.name, key.id HAVING count(*) = 1"""  # more are a key of several columns
_DUCKDB_COLUMNS = """
    SELECT table_name, column_name, data_type FROM duckdb_columns()
    WHERE NOT internal AND schema_name = 'main' ORDER BY table_name, column_index"""
_DUCKDB_KEYS = """
    SELECT table_name, constraint_column_names[1], referenced_table, referenced_column_names[1]
    FROM duckdb_constraints()
    WHERE schema_name = 'main' AND len(constraint_column_names) = 1
        AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY')"""


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
    """Those of one column."""


def read_schema(database: Database) -> Schema:
    """The tables of an open database."""
    return _of_duckdb(database) if database.is_duckdb else _of_sqlite(database)


def quoted(name: str) -> str:
    """A name as SQL.

    >>> quoted("order lines")
    '"order lines"'
    """
    return '"' + name.replace('"', '""') + '"'


def _of_sqlite(database: Database) -> Schema:
    columns: dict[str, list[RawColumn]] = {}
    for (table,) in database.query(_SQLITE_TABLES, max_rows=_MAX).rows:
        text = table.replace("'", "''")
        sql = f"SELECT name, type, pk FROM pragma_table_xinfo('{text}') WHERE hidden <> 1"
        with suppress(BadInput):  # a view of a table that was dropped
            rows = database.query(sql, max_rows=_MAX).rows
            is_single = sum(pk > 0 for *_, pk in rows) == 1
            columns[table] = [
                RawColumn(name, kind, is_single and pk > 0) for name, kind, pk in rows
            ]
    keys = database.query(_SQLITE_KEYS, max_rows=_MAX).rows
    return Schema(columns, [ForeignKey(*key) for key in keys])


def _of_duckdb(database: Database) -> Schema:
    keys = database.query(_DUCKDB_KEYS, max_rows=_MAX).rows
    primary = {(table, column) for table, column, target, _ in keys if not target}
    columns: dict[str, list[RawColumn]] = {}
    for table, name, kind in database.query(_DUCKDB_COLUMNS, max_rows=_MAX).rows:
        columns.setdefault(table, []).append(RawColumn(name, kind, (table, name) in primary))
    return Schema(columns, [ForeignKey(*key) for key in keys if key[2]])
