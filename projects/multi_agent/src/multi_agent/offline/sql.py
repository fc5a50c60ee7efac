"""The kinds of questions over one table: a regular expression beside the SELECT that it writes.

    write_query("How many gold customers are from Germany?", read_tables(database)).sql

To add a kind, write a function that is given the match, and add both to KINDS.
"""

from __future__ import annotations

import re
from calendar import month_name
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from multi_agent.brain import Query, Refusal
from multi_agent.data.schema import quoted
from multi_agent.offline.tables import Column, Table
from multi_agent.offline.words import FILLERS, Words, split

Tables = Sequence[Table]
_LEAST = ("least expensive", "cheapest", "lightest", "lowest", "smallest", "shortest")
_PLAIN = ("highest", "largest", "biggest", "lowest", "smallest")  # of a column that is named
_MONTHS = [name.lower() for name in month_name]
_PERIOD = re.compile(rf"\b(?:in|during|of) (?:({'|'.join(_MONTHS[1:])}) )?((?:19|20)\d\d)\b")


def write_query(text: str, tables: Tables) -> Query | None:
    """The query of a question without its question mark; None if no kind matches.

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
    name, hits = Words(match["name"]), []
    kinds = ("date",) if "when" in match.groupdict() else ("number", "text", "date")
    for table in tables:
        for label, stored in table.values.get(tuple(name.stems), ()):
            words = Words(match["column"])
            columns = table.named_in(words, *kinds)
            if label == table.label and columns and words.take(*columns[0].phrases):
                words.require_none_left()
                hits += [(table, label, stored, column) for column in columns]
    if len(hits) > 1:
        raise Refusal(f"{match['name']!r} can be in several tables or columns.")
    for table, label, stored, column in hits:
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


@dataclass
class Conditions:
    """The conditions on the rows of a table, in SQL and in words."""

    table: Table
    where: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    """The tables that the conditions need."""
    reading: list[str] = field(default_factory=list)

    def add(self, column: Column, sql: str, reading: str) -> None:
        self.where.append(sql)
        self.reading.append(reading)
        if column.table != self.table.name and column.table not in self.joined:
            self.joined.append(column.table)

    @property
    def source(self) -> str:
        """From FROM to the end of the query."""
        joins = "".join(f" JOIN {quoted(name)} ON {self.table.joins[name]}" for name in self.joined)
        where = f" WHERE {' AND '.join(self.where)}" if self.where else ""
        return f"FROM {quoted(self.table.name)}{joins}{where}"


def read_conditions(words: Words, table: Table) -> Conditions:
    """The conditions of a question, which account for all remaining words.

    Raises Refusal if one has two meanings, or for a word that remains.
    """
    conditions = Conditions(table)
    _read_values(words, conditions)
    _read_period(words, conditions)
    words.require_none_left()
    return conditions


def _read_values(words: Words, conditions: Conditions) -> None:
    """Texts that are stored in the table, or in one that it refers to; the longest first."""
    used: list[Column] = []
    for phrase in sorted(conditions.table.values, key=len, reverse=True):
        if set(phrase) <= FILLERS or not words.take(phrase):
            continue
        candidates = conditions.table.values[phrase]
        if len(candidates) > 1:  # the question may name the column
            named = [one for one in candidates if words.take(one[0].words)]
            if len(named) != 1:
                places = sorted({f"{one.table}.{one.name}" for one, _ in candidates})
                raise Refusal(f"{candidates[0][1]!r} can be in {' or '.join(places)}.")
            candidates = named
        column, text = candidates[0]
        if column in used:
            raise Refusal(f"The question names two values of {column.table}.{column.name}.")
        used.append(column)
        conditions.add(column, column.equals(text), f"{column.name} {text}")
        for word in (*column.words, *split(column.table)):  # "the gold tier", "this category"
            words.take((word,))


def _read_period(words: Words, conditions: Conditions) -> None:
    """A month or a year, of the date that the question names or of the only one."""
    table, text = conditions.table, " ".join(words.texts)
    columns = table.named_in(words, "date") or table.of_kind("date")
    named = [column for column in columns if words.take(column.words)]
    match = _PERIOD.search(text)
    if match is None:
        for column in named:
            conditions.add(column, f"{column.spelled} IS NOT NULL", f"with {column.name}")
    elif len(columns) == 1:
        first = text[: match.start()].count(" ")
        words.taken |= set(range(first, first + match[0].count(" ") + 1))
        month = f"-{_MONTHS.index(match[1]):02}" if match[1] else ""
        sql = f"CAST({columns[0].spelled} AS TEXT) LIKE '{match[2]}{month}%'"
        conditions.add(columns[0], sql, f"{columns[0].name} in {match[2]}{month}")


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
