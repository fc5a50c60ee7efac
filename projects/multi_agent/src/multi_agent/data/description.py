"""What a model is shown of a database so that it can write SQL: names, types, keys and values.

    print(describe(database))
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
from typing import TYPE_CHECKING, Any

from multi_agent.data.schema import quoted
from seedbed.errors import BadInput, DeadlineExceeded

if TYPE_CHECKING:
    from multi_agent.data.database import Database

SECONDS, SECONDS_PER_QUERY = 10.0, 1.0  # for the values of all tables, and for one query
SAMPLE = 10_000  # rows that a long table is judged by
MAX_VALUES, MAX_VALUE = 12, 40  # texts that are listed, and characters of one
_DATE = re.compile(r"\d{4}-\d\d(-\d\d([T ].*)?)?")
_OPAQUE = re.compile(r"BLOB|STRUCT|MAP|UNION|ENUM|\[")  # types without values; ENUM lists them

_Select = Callable[[str], tuple[tuple[Any, ...], ...]]


def describe(database: Database) -> str:
    """One line per table."""
    schema, end = database.schema, time.monotonic() + SECONDS

    def select(sql: str) -> tuple[tuple[Any, ...], ...]:
        """The rows, or none if this takes too long or fails, as a view of a dropped table does."""
        left = min(SECONDS_PER_QUERY, end - time.monotonic())
        with suppress(BadInput, DeadlineExceeded):
            return database.query(sql, seconds=left).rows if left > 0 else ()
        return ()

    references = {
        (key.table, key.column): f"-> {key.target}.{key.target_column}"
        for key in schema.foreign_keys
    }
    lines = []
    for table, columns in schema.columns.items():
        size = select(f"SELECT ' (' || count(*) || ' rows)' FROM {quoted(table)}")
        texts = []
        for name, kind, is_key in columns:
            # Keys and references say more of a column than its values.
            note = "key" if is_key else references.get((table, name), "")
            if not note and not _OPAQUE.search(kind):
                note = _values(table, name, select)
            texts.append(" ".join(filter(None, (_spelled(name, select), kind, note))))
        lines.append(f"{_spelled(table, select)}{size[0][0] if size else ''}: {', '.join(texts)}")
    return "\n".join(lines)


def _values(table: str, name: str, select: _Select) -> str:
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
    if not all(_is_label(text) for text, _ in groups):
        return ""
    listed = ["'" + text.replace("'", "''") + "'" for text, _ in groups]
    return f"({', '.join([*listed, *(['…'] if rows == SAMPLE else [])])})"


def _is_range(low: Any, high: Any) -> bool:
    """Whether these are the ends of numbers or dates: SQLite sorts all numbers before all texts."""
    if isinstance(low, str) and isinstance(high, str):
        return bool(_DATE.fullmatch(low) and _DATE.fullmatch(high))
    return all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))


def _is_label(value: Any) -> bool:
    """Whether a value is a short text, and not an e-mail address."""
    is_short = isinstance(value, str) and len(value) <= MAX_VALUE
    return is_short and value.isprintable() and "@" not in value


def _spelled(name: str, select: _Select) -> str:
    """A name in SQL, in quotes if it is a reserved word or has other characters than letters."""
    plain = name.isidentifier() and select(f"WITH t({name}) AS (SELECT 1) SELECT {name} FROM t")
    return name if plain else quoted(name)
