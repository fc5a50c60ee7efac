"""The kinds of questions over one table: a regular expression beside the SELECT that it writes.

    write_query("How many gold customers are from Germany?", read_tables(database)).sql

To add a kind, write a function that is given the match, and add both to KINDS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from multi_agent.brain import Query, Refusal
from multi_agent.offline.sql.conditions import Conditions, read_conditions
from multi_agent.offline.sql.tables import Column, Table
from multi_agent.offline.words import Words

Tables = Sequence[Table]
_LEAST = ("least expensive", "cheapest", "lightest", "lowest", "smallest", "shortest")
_PLAIN = ("highest", "largest", "biggest", "lowest", "smallest")  # of a column that is named


def write_query(text: str, tables: Tables) -> Query | None:
    """The query of a question without its mark; None if it is not of any kind.

    Raises Refusal for a word that the query would leave out, or if it has two meanings.
    """
    for pattern, write in KINDS.items():
        match = re.fullmatch(pattern, text, re.IGNORECASE)
        if match and (query := write(match, tables)):
            return query
    return None


def count(match: re.Match[str], tables: Tables) -> Query | None:
    """How many rows a table has: "How many gold customers are from Germany?"."""
    words = Words(match["rest"])
    table = first_table(words, tables)
    if table is None:
        return None
    words.take(table.words)
    return _query("count(*)", f"number of {table.name}", read_conditions(words, table))


def total(match: re.Match[str], tables: Tables) -> Query | None:
    """The sum or the average of a column: "What was the average payment in June 2024?".

    The column is one that the question names, in the table that it names or else in any; or the
    only number of that table.
    """
    words = Words(match["rest"])
    table = first_table(words, tables)
    named = [c for t in ([table] if table else tables) for c in t.named_in(words, "number")]
    if not named and table:
        named = table.of_kind("number")
    if len(named) != 1 or (match["unit"] and named[0].unit != "cents"):
        return None
    column = named[0]
    table = next(table for table in tables if table.name == column.table)
    words.take(*column.phrases)
    words.take(table.words)
    function = "avg" if match["what"].lower() in ("average", "mean") else "sum"
    reading = f"{match['what'].lower()} of {table.name}.{column.name}"
    return _query(f"{function}({column.amount})", reading, read_conditions(words, table), column)


def extreme(match: re.Match[str], tables: Tables) -> Query | None:
    """The row with the highest or the lowest number: "Which product is the heaviest?"."""
    adjective = match["adjective"].lower()
    word = "" if adjective in _PLAIN else re.sub(r"iest$", "y", adjective.split()[-1])
    words = Words(f"{match['before']} {match['after']} {word.removesuffix('est')}")
    table = first_table(words, tables)
    columns = table.named_in(words, "number") if table else []
    if table is None or table.label is None or len(columns) != 1:
        return None
    words.take(table.words)
    words.take(*columns[0].phrases)
    conditions = read_conditions(words, table)
    function, column = "min" if adjective in _LEAST else "max", columns[0].spelled
    conditions.where.append(f"{column} = (SELECT {function}({column}) {conditions.source})")
    reading = f"{table.name} with the {function} {columns[0].name}"
    return _query(table.label.spelled, reading, conditions)


def look_up(match: re.Match[str], tables: Tables) -> Query | None:
    """A column of the row with a name: "What does the Single rope cost?"."""
    name, found = Words(match["name"]), []
    kinds = ("date",) if "when" in match.groupdict() else ("number", "text", "date")
    for table in tables:
        for label, stored in table.values.get(tuple(name.stems), ()):
            words = Words(match["column"])
            columns = table.named_in(words, *kinds)
            if label == table.label and columns and words.take(*columns[0].phrases):
                words.require_none_left()
                found += [(table, label, stored, column) for column in columns]
    if len(found) > 1:
        raise Refusal(f"{match['name']!r} can be in several tables or columns.")
    for table, label, stored, column in found:
        conditions = Conditions(table, [label.equals(stored)])
        return _query(column.amount, f"{column.name} of {stored}", conditions, column)
    return None


def first_table(words: Words, tables: Tables) -> Table | None:
    """The table that a question names first; of "order items" and "orders", the longer one."""
    named = [table for table in tables if words.find(table.words) >= 0]
    key = lambda table: (words.find(table.words), -len(table.words))  # noqa: E731
    return min(named, key=key, default=None)


def _query(
    selected: str, reading: str, conditions: Conditions, column: Column | None = None
) -> Query:
    """A SELECT, whose number has the unit of a column; cents are converted to euros."""
    unit = column.unit.removesuffix("cents") if column else ""
    reading = ", ".join([reading, *conditions.reading])
    return Query(f"SELECT {selected} {conditions.source}", reading, unit)


KINDS: dict[str, Callable[[re.Match[str], Tables], Query | None]] = {
    r"(?:how many|count(?: all)?|(?:what is )?(?:the )?(?:total )?number of)\s+(?P<rest>.+?)"
    r"(?: does the (?:shop|store|company) have| do we have)?": count,
    r"(?:what (?:is|was|were) |how (?:high|much) (?:is|was|are) )?(?:the |our )?"
    r"(?P<what>total(?: amount)?|sum|average|mean) (?!number)(?P<rest>.+?)"
    r"(?P<unit>,? in (?:euros?|eur))?": total,
    r"(?:which|what)(?: is| are)? (?P<before>.*?)\b(?:is |are |was |has |have )?the "
    r"(?P<adjective>most expensive|least expensive|\w+est)(?P<after>.*)": extreme,
    r"what (?:is|was) the (?P<column>.+?) of (?:(?:the|our|an?) )?(?P<name>.+)": look_up,
    r"(?:what|how much) (?:do|does) (?:(?:the|our|an?) )?(?P<name>.+) (?P<column>costs?|weighs?)": (
        look_up
    ),
    r"(?P<when>when) (?:did|was|were) (?:(?:the|our|an?) )?(?P<name>.+) (?P<column>\w+)": look_up,
}
