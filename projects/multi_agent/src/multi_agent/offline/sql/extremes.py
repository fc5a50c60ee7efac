"""The row with the highest or the lowest number: "Which product is the heaviest?"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from multi_agent.brain import Query
from multi_agent.offline.sql.conditions import read_conditions
from multi_agent.offline.sql.counts import first_table
from multi_agent.offline.sql.tables import Table
from multi_agent.offline.words import Words

_WHICH = re.compile(
    r"(?:which|what)(?: is| are)? (?P<before>.*?)\b(?:is |are |was |has |have )?the "
    r"(?P<adjective>most expensive|least expensive|\w+est)(?P<after>.*)",
    re.IGNORECASE,
)
_LEAST = ("least expensive", "cheapest", "lightest", "lowest", "smallest", "shortest")
_PLAIN = ("highest", "largest", "biggest", "lowest", "smallest")  # of a column that is named


def query(text: str, tables: Sequence[Table]) -> Query | None:
    """SELECT label FROM table WHERE conditions AND column = its maximum under the conditions."""
    match = _WHICH.fullmatch(text)
    if match is None:
        return None
    adjective = match["adjective"].lower()
    word = "" if adjective in _PLAIN else re.sub(r"iest$", "y", adjective.split()[-1])
    word = word.removesuffix("est")
    words = Words(f"{match['before']} {match['after']} {word}")
    table = first_table(words, tables)
    columns = table.named_in(words, "number") if table else []
    if table is None or table.label is None or len(columns) != 1:
        return None
    words.take(table.words)
    words.take(*columns[0].phrases)
    conditions = read_conditions(words, table)
    words.require_none_left()
    function = "min" if adjective in _LEAST else "max"
    extreme = f"(SELECT {function}({columns[0].spelled}) {conditions.source})"
    conditions.where.append(f"{columns[0].spelled} = {extreme}")
    reading = f"{table.name} with the {function} {columns[0].name}"
    return conditions.query(table.label.spelled, reading)
