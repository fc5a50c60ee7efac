"""How many rows a table has: "How many gold customers are from Germany?"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from multi_agent.brain import Query
from multi_agent.offline.sql.conditions import read_conditions
from multi_agent.offline.sql.tables import Table
from multi_agent.offline.words import Words

_HOW_MANY = re.compile(
    r"(?:how many|count(?: all)?|(?:what is )?(?:the )?(?:total )?number of)\s+(?P<rest>.+?)"
    r"(?: does the (?:shop|store|company) have| do we have)?",
    re.IGNORECASE,
)


def query(text: str, tables: Sequence[Table]) -> Query | None:
    """SELECT count(*) FROM table WHERE conditions."""
    match = _HOW_MANY.fullmatch(text)
    words = Words(match["rest"]) if match else Words("")
    table = first_table(words, tables)
    if table is None:
        return None
    words.take(table.words)
    conditions = read_conditions(words, table)
    words.require_none_left()
    return conditions.query("count(*)", f"number of {table.name}")


def first_table(words: Words, tables: Sequence[Table]) -> Table | None:
    """The table that a question names first; of "order items" and "orders", the longer one."""
    named = [table for table in tables if words.find(table.words) >= 0]
    key = lambda table: (words.find(table.words), -len(table.words))  # noqa: E731
    return min(named, key=key, default=None)
