"""The sum or the average of a column: "What was the average payment in June 2024?"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from multi_agent.brain import Query
from multi_agent.offline.sql.conditions import read_conditions
from multi_agent.offline.sql.counts import first_table
from multi_agent.offline.sql.tables import Column, Table
from multi_agent.offline.words import Words

_TOTAL = re.compile(
    r"(?:what (?:is|was|were) |how (?:high|much) (?:is|was|are) )?(?:the |our )?"
    r"(?P<what>total(?: amount)?|sum|average|mean) (?!number)(?P<rest>.+?)"
    r"(?P<unit>,? in (?:euros?|eur))?",
    re.IGNORECASE,
)


def query(text: str, tables: Sequence[Table]) -> Query | None:
    """SELECT sum(column) or avg(column) FROM table WHERE conditions."""
    match = _TOTAL.fullmatch(text)
    words = Words(match["rest"]) if match else Words("")
    measures = measures_named(words, tables)
    if match is None or len(measures) != 1:
        return None
    table, column = measures[0]
    if match["unit"] and column.unit != "cents":
        return None
    words.take(*column.phrases)
    words.take(table.words)
    conditions = read_conditions(words, table)
    words.require_none_left()
    function = "avg" if match["what"].lower() in ("average", "mean") else "sum"
    reading = f"{match['what'].lower()} of {table.name}.{column.name}"
    unit = column.unit.removesuffix("cents")
    return conditions.query(f"{function}({column.amount})", reading, unit)


def measures_named(words: Words, tables: Sequence[Table]) -> list[tuple[Table, Column]]:
    """The columns of numbers that a question can mean.

    Those that it names in the table that it names; in any table, if it names none; or the only one
    of the table, if it names no column.
    """
    table = first_table(words, tables)
    named = [(t, c) for t in ([table] if table else tables) for c in t.named_in(words, "number")]
    if named or table is None:
        return named
    numbers = table.of_kind("number")
    return [(table, numbers[0])] if len(numbers) == 1 else []
