"""What a model is shown of a database so that it can write SQL: names, types, keys and values.

    print(describe(database, *read_columns(database)))
    # orders (1204 rows): id INTEGER key, status TEXT ('delivered', 'cancelled'), placed_on TEXT
    # (2023-01-02 to 2025-06-30), customer_id INTEGER -> customers.id

A column that repeats a few texts lists them, so that a model knows that a country is stored as
'DE'; numbers and dates show their range. "…" marks values of the first rows of a long table. Other
texts, such as names and addresses, are not shown. All of this takes SECONDS at most; what would
take longer is left out.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from itertools import permutations
from typing import TYPE_CHECKING, Any

from multi_agent.data.schema import ForeignKey, RawColumn, quoted
from seedbed.errors import BadInput, DeadlineExceeded

if TYPE_CHECKING:
    from multi_agent.data.database import Database

SECONDS, SECONDS_PER_QUERY = 10.0, 1.0  # for the values of all tables, and for one query
SAMPLE = 10_000  # rows that a long table is judged by
MAX_VALUES, MAX_VALUE = 12, 40  # texts that are listed, and characters of one
MAX_TABLES = 60  # tables whose values are read
_DATE = re.compile(r"\d{4}-\d\d(-\d\d([T ].*)?)?")
_OPAQUE = re.compile(r"BLOB|STRUCT|MAP|UNION|ENUM|\[")  # types without values; ENUM lists them

_Select = Callable[[str], tuple[tuple[Any, ...], ...]]
_Columns = dict[str, list[RawColumn]]  # by table


def describe(database: Database, columns: _Columns, keys: list[ForeignKey]) -> str:
    """One line per table."""
    end = time.monotonic() + SECONDS

    def select(sql: str) -> tuple[tuple[Any, ...], ...]:
        """The rows, or none if this takes too long or fails, as a view of a dropped table does."""
        left = min(SECONDS_PER_QUERY, end - time.monotonic())
        with suppress(BadInput, DeadlineExceeded):
            return database.query(sql, seconds=left).rows if left > 0 else ()
        return ()

    # 1. Keys and references say more of a column than its values.
    notes = {(table, c.name): "key" for table, raw in columns.items() for c in raw if c.key}
    notes |= {(k.table, k.column): f"-> {k.target}.{k.target_column}" for k in keys}
    if not keys:  # CSV files cannot declare them
        notes |= _matches(columns, select)
    # 2. Sizes, and values of the other columns.
    sizes = {}
    for table, raw in list(columns.items())[:MAX_TABLES]:
        sizes[table] = select(f"SELECT ' (' || count(*) || ' rows)' FROM {quoted(table)}")
        for column in raw:
            if (table, column.name) not in notes and not _OPAQUE.search(column.type):
                notes[table, column.name] = _values(table, column.name, select)
    # 3. Names as a query has to spell them.
    lines = []
    for table, raw in columns.items():
        parts = [(_spelled(c.name, select), c.type, notes.get((table, c.name))) for c in raw]
        texts = [" ".join(filter(None, part)) for part in parts]
        size = sizes[table][0][0] if sizes.get(table) else ""
        lines.append(f"{_spelled(table, select)}{size}: {', '.join(texts)}")
    return "\n".join(lines)


def _matches(columns: _Columns, select: _Select) -> dict[tuple[str, str], str]:
    """Likely references: the other column of this name has no value twice, and most of these."""
    tables: dict[tuple[str, str], list[str]] = defaultdict(list)
    for table, raw in columns.items():
        for name, kind, _ in raw:
            tables[name, kind].append(table)
    matches: dict[tuple[str, str], str] = {}
    for (name, _), sharing in tables.items():
        for table, target in permutations(sharing, 2):
            column = quoted(name)
            is_match = select(
                f"SELECT count(*) > count(DISTINCT {column})"
                f" AND (SELECT count(*) = count(DISTINCT {column}) FROM {_sample(target, name)})"
                f" AND avg(CAST({column} IN (SELECT {column} FROM {quoted(target)}) AS INT)) > 0.5"
                f" FROM {_sample(table, name)}"
            )
            if is_match and is_match[0][0]:
                matches.setdefault((table, name), f"(matches {target}.{name})")
    return matches


def _values(table: str, name: str, select: _Select) -> str:
    """The range of a column of numbers or dates, or its texts if they are few."""
    column, sample = quoted(name), _sample(table, name)
    ends = select(f"SELECT min({column}), max({column}) FROM {sample}")
    if ends and _is_range(*ends[0]):
        whole = select(f"SELECT min({column}), max({column}) FROM {quoted(table)}")
        low, high = (whole or ends)[0]
        return f"({low} to {high}{'' if whole else ', …'})" if _is_range(low, high) else ""
    groups = select(
        f"SELECT {column}, count(*) FROM {sample}"
        f" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_VALUES + 1}"
    )
    rows = sum(count for _, count in groups)
    if not groups or len(groups) > min(MAX_VALUES, rows - 1, (rows + 1) // 2):
        return ""  # most texts occur once: these may be names
    texts = [text.replace("'", "''") for text, _ in groups if _is_label(text)]
    more = ", …" if rows == SAMPLE else ""
    listed = ", ".join(f"'{text}'" for text in texts)
    return f"({listed}{more})" if len(texts) == len(groups) else ""


def _is_range(low: Any, high: Any) -> bool:
    """Whether these are the ends of numbers or dates: SQLite sorts all numbers before all texts."""
    if isinstance(low, str) and isinstance(high, str):
        return bool(_DATE.fullmatch(low) and _DATE.fullmatch(high))
    return all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))


def _is_label(value: Any) -> bool:
    """Whether a value is a short text, and not an e-mail address."""
    is_short = isinstance(value, str) and len(value) <= MAX_VALUE
    return is_short and value.isprintable() and "@" not in value


def _sample(table: str, name: str) -> str:
    column = quoted(name)
    rows = f"SELECT {column} FROM {quoted(table)} WHERE {column} IS NOT NULL LIMIT {SAMPLE}"
    return f"({rows}) AS sample"


def _spelled(name: str, select: _Select) -> str:
    """A name in SQL, in quotes if it is a reserved word or has other characters than letters."""
    plain = name.isidentifier() and select(f"WITH t({name}) AS (SELECT 1) SELECT {name} FROM t")
    return name if plain else quoted(name)
