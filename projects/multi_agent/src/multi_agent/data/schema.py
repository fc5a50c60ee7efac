"""What a database declares, and what a model is shown of it so that it can write SQL.

    schema = read_schema(rows, is_duckdb=False)     # `rows` runs a SELECT and returns its rows
    schema.columns["orders"][0]                     # Column("id", "INTEGER", key=True)
    print(describe(schema, rows))
    # orders (1204 rows): id INTEGER key, status TEXT ('delivered', 'cancelled'), placed_on TEXT
    # (2023-01-02 to 2025-06-30), customer_id INTEGER -> customers.id

A column that repeats a few texts lists them, so that a model knows that a country is stored as
'DE'; numbers and dates show their range. "…" marks texts of the first rows of a long table. Other
texts, such as names and addresses, are not shown. All of this takes SECONDS at most; what would
take longer is left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from seedbed.errors import BadInput, DeadlineExceeded

Rows = tuple[tuple[Any, ...], ...]
Select = Callable[..., Rows]
"""Runs a SELECT, with the `seconds` and the `max_rows` of `Database.query`."""
SECONDS, SECONDS_PER_QUERY = 10.0, 1.0  # for the values of all tables, and for one query
SAMPLE = 10_000  # rows that a long table is judged by
MAX_VALUES = 12  # texts that are listed
_LABEL = re.compile(r"[^@\x00-\x1f\x7f]{0,40}")  # a short text, and not an e-mail address
_DATE = re.compile(r"\d{4}-\d\d(-\d\d([T ].*)?)?")
_OPAQUE = re.compile(r"BLOB|STRUCT|MAP|UNION|ENUM|\[")  # no values shown; ENUM's type has them
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
    GROUP BY source.name, key.id HAVING count(*) = 1"""  # no composite keys
_DUCKDB_COLUMNS = """
    SELECT table_name, column_name, data_type FROM duckdb_columns()
    WHERE NOT internal AND schema_name = 'main' ORDER BY table_name, column_index"""
_DUCKDB_KEYS = """
    SELECT table_name, constraint_column_names[1], referenced_table, referenced_column_names[1]
    FROM duckdb_constraints()
    WHERE schema_name = 'main' AND len(constraint_column_names) = 1
        AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY')"""


class Column(NamedTuple):
    name: str
    type: str
    key: bool
    """Whether it alone is the primary key."""


class ForeignKey(NamedTuple):
    table: str
    column: str
    target: str
    target_column: str


class Schema(NamedTuple):
    columns: dict[str, list[Column]]
    foreign_keys: list[ForeignKey]


def read_schema(select: Select, *, is_duckdb: bool) -> Schema:
    """The tables of a database."""
    columns: dict[str, list[Column]] = {}
    if is_duckdb:
        keys = select(_DUCKDB_KEYS, max_rows=_MAX)
        primary = {(table, column) for table, column, target, _ in keys if not target}
        for table, name, kind in select(_DUCKDB_COLUMNS, max_rows=_MAX):
            columns.setdefault(table, []).append(Column(name, kind, (table, name) in primary))
        return Schema(columns, [ForeignKey(*key) for key in keys if key[2]])
    for (table,) in select(_SQLITE_TABLES, max_rows=_MAX):
        text = table.replace("'", "''")
        sql = f"SELECT name, type, pk FROM pragma_table_xinfo('{text}') WHERE hidden <> 1"
        with suppress(BadInput):  # a view of a table that was dropped
            rows = select(sql, max_rows=_MAX)
            is_single = sum(pk > 0 for *_, pk in rows) == 1
            columns[table] = [Column(name, kind, is_single and pk > 0) for name, kind, pk in rows]
    keys = select(_SQLITE_KEYS, max_rows=_MAX)
    return Schema(columns, [ForeignKey(*key) for key in keys])


def quoted(name: str) -> str:
    """A name as SQL.

    >>> quoted("order lines")
    '"order lines"'
    """
    return '"' + name.replace('"', '""') + '"'


def describe(schema: Schema, run: Select) -> str:
    """One line per table."""
    end = time.monotonic() + SECONDS

    def select(sql: str) -> Rows:
        """The rows, or none if this takes too long or fails, as a view of a dropped table does."""
        seconds = min(SECONDS_PER_QUERY, end - time.monotonic())
        with suppress(BadInput, DeadlineExceeded):
            return run(sql, seconds=seconds) if seconds > 0 else ()
        return ()

    notes = {(k.table, k.column): f"-> {k.target}.{k.target_column}" for k in schema.foreign_keys}
    lines = []
    for table, columns in schema.columns.items():
        size = select(f"SELECT ' (' || count(*) || ' rows)' FROM {quoted(table)}")
        texts = []
        for name, kind, is_key in columns:
            # For keys and references, values are not listed.
            note = "key" if is_key else notes.get((table, name), "")
            if not note and not _OPAQUE.search(kind):
                note = _values(table, name, select)
            texts.append(" ".join(filter(None, (_display_name(name), kind, note))))
        lines.append(f"{_display_name(table)}{size[0][0] if size else ''}: {', '.join(texts)}")
    return "\n".join(lines)


def _values(table: str, name: str, select: Select) -> str:
    """The range of a column of numbers or dates, or its texts if they are few."""
    column = quoted(name)
    ends = select(f"SELECT min({column}), max({column}) FROM {quoted(table)}")
    if ends and _is_range(*ends[0]):
        return f"({ends[0][0]} to {ends[0][1]})"
    groups = select(
        f"SELECT {column}, count(*) FROM (SELECT {column} FROM {quoted(table)}"
        f" WHERE {column} IS NOT NULL LIMIT {SAMPLE}) AS sample"
        f" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_VALUES + 1}"
    )
    rows = sum(count for _, count in groups)
    if not groups or len(groups) > min(MAX_VALUES, rows - 1, (rows + 1) // 2):
        return ""  # most texts occur once: these may be names
    if not all(isinstance(text, str) and _LABEL.fullmatch(text) for text, _ in groups):
        return ""
    literals = ["'" + text.replace("'", "''") + "'" for text, _ in groups]
    return f"({', '.join(literals + ['…'] * (rows == SAMPLE))})"


def _is_range(low: Any, high: Any) -> bool:
    """Whether these are the ends of numbers or dates: SQLite sorts all numbers before all texts."""
    if isinstance(low, str) and isinstance(high, str):
        return bool(_DATE.fullmatch(low) and _DATE.fullmatch(high))
    return all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))


def _display_name(name: str) -> str:
    return name if name.isidentifier() else quoted(name)
