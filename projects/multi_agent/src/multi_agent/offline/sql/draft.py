"""A logical form in the making: the links of a question and what has been decided so far.

Each step of `interpret` gives links a `role`; one that is left without was not understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from multi_agent.data.schema import ForeignKey
from multi_agent.offline.sql.link import Link
from multi_agent.offline.sql.logical_form import Filter, Measure
from multi_agent.offline.sql.schema import Column, Schema, Table
from multi_agent.offline.sql.words import Word, ignored, word

AGGREGATES = ("share", "difference", "count", "sum", "avg", "min", "max", "much")


NO_TABLE = "I don't know which table the question is about."


class NotUnderstood(Exception):
    """Why a question has no logical form; `question` and `options` if the user can decide."""

    def __init__(self, problem: str, question: str = "", options: Sequence[str] = ()) -> None:
        super().__init__(problem)
        self.question = question
        self.options = tuple(options)


@dataclass
class Draft:
    """What `interpret` decides, in its order: subject, selection or measure, group, filters."""

    words: Sequence[Word]
    links: list[Link]
    schema: Schema
    function: str = ""
    """The aggregate asked for: count, sum, avg, min, max, much, share, difference."""
    inner: str = ""
    """The aggregate within a share or a difference."""
    select: tuple[Column, ...] = ()
    measure: Measure | None = None
    group: Table | Column | None = None
    via: ForeignKey | None = None
    order: Column | None = None
    descending: bool | None = None
    limit: int | None = None
    filters: list[tuple[int, Filter]] = field(default_factory=list)
    """Each with the position of its phrase."""
    _subject: Table | None = None

    @property
    def subject(self) -> Table:
        """The table whose rows are asked for."""
        if self._subject is None:
            raise NotUnderstood(NO_TABLE)
        return self._subject

    @subject.setter
    def subject(self, table: Table) -> None:
        self._subject = table

    @property
    def starts(self) -> tuple[Table, ...]:
        """The tables of the rows that are counted or summed, and of those asked for."""
        return (self.measure.table if self.measure else self.subject, self.subject)

    def table(self, column: Column) -> Table:
        """The table of a column."""
        return self.schema.table(column.table)

    def above(self, start: Table, end: Table) -> bool:
        """Whether each row of `start` has one row of `end`."""
        return bool(self.schema.paths(start, end))

    def related(self, table: Table) -> bool:
        """Whether rows of a table are those asked for, above them, or below and named."""
        named = [self.schema.table(name) for name in self.mentioned()]
        below = any(self.above(table, one) for one in self.starts)
        linked = any(self.above(table, one) for one in named if one not in self.starts)
        return any(self.above(one, table) for one in self.starts) or (below and linked)

    def own_flag(self, one: Link) -> bool:
        """Whether a link is a flag or a date of the rows asked for, not a value of theirs."""
        own = {table.name for table in self.starts}
        flags = [c for _, c in one.columns if c.kind == "flag" or (c.kind == "date" and c.nullable)]
        return any(c.table in own for c in flags) and all(
            value.column.table not in own for value in one.values
        )

    def free(self, *operators: str) -> list[Link]:
        """The links without a role that have one of the operators."""
        return [one for one in self.links if not one.role and one.operators & {*operators}]

    def next(self, one: Link | None) -> Link | None:
        """The link that follows with no word of content between."""
        after = [other for other in self.links if one and other.start >= one.end]
        return after[0] if one and after and self.gap(one, after[0]) == 0 else None

    def before(self, one: Link) -> Link | None:
        """The link directly before."""
        return next((other for other in self.links if other.end == one.start), None)

    def gap(self, one: Link, other: Link) -> int:
        """The number of words of content between two links."""
        return sum(word.text not in ignored() for word in self.words[one.end : other.start])

    def items_before(self, one: Link) -> list[Link]:
        """The tables and columns named before, the nearest first."""
        return [o for o in reversed(self.links) if o.end <= one.start and (o.tables or o.columns)]

    @staticmethod
    def is_item(one: Link | None) -> bool:
        """Whether a link names a table or a column and has no role yet."""
        return one is not None and bool(one.tables or one.columns) and not one.role

    def is_number(self, column: Column) -> bool:
        """Whether a column is a quantity, not a key."""
        return column.kind == "number" and not column.key and not self.schema.reference(column)

    def numeric(self, one: Link) -> bool:
        """Whether a link names a quantity."""
        return any(self.is_number(column) for _, column in one.columns)

    def counts_rows(self, one: Link | None) -> bool:
        """Whether a phrase names a table rather than a quantity."""
        if one is None or not one.tables:
            return False
        return not self.numeric(one) or one.tables[0][0] > one.columns[0][0]

    @staticmethod
    def is_flag(one: Link) -> bool:
        """Whether a link names what is so or has happened: "active", "returned"."""
        return bool(one.columns) and all(c.kind in ("flag", "date") for _, c in one.columns)

    @staticmethod
    def dated(one: Link) -> bool:
        """Whether a link names a date or a year."""
        return any(column.kind in ("date", "year") for _, column in one.columns)

    def is_adjective(self, one: Link) -> bool:
        """Whether a value or a flag stands in front of a noun: "female patients"."""
        after = self.next(one)
        if one.tables or after is None or after.start > one.end or not self.is_item(after):
            return False
        partial = bool(after.tables) and all(score < 1 for score, _ in one.columns)
        return bool(one.values) or self.is_flag(one) or partial

    def mentioned(self) -> set[str]:
        """The tables that the question names, by themselves or by a value."""
        names = {one.tables[0][1].name for one in self.links if one.tables}
        for one in self.links:
            tables = {value.column.table for value in one.values if value.whole}
            names |= tables if len(tables) == 1 and not one.tables else set()
        return names

    def column(self, one: Link, *kinds: str) -> Column:
        """The column that a phrase names, by its words and the tables around. Raises at a tie."""
        beside = {t.name for o in (self.before(one), self.next(one)) if o for _, t in o.tables[:1]}
        mentioned = self.mentioned()
        own = self.words[one.start : one.end]
        scored = []
        for score, column in one.columns:
            if kinds and column.kind not in kinds:
                continue
            if "number" in kinds and column.kind == "number" and not self.is_number(column):
                continue
            score += (column.table in beside) + 0.5 * (column.table in mentioned)
            if self._subject is not None:
                score += 0.7 * (column.table == self._subject.name)
                score += 0.2 * self.above(self._subject, self.table(column))
            rest = [w for w in column.words if all(w.stem != o.stem for o in own)]
            score += 0.3 * any(w.stem == o.stem for w in rest for o in self.words)
            score += 0.1 * (not kinds and column.words[-1].text in ("name", "title"))
            scored.append((score, column))
        if not scored:
            raise NotUnderstood(f"I don't know how to use {one.text!r} here.")
        best = max(scored, key=lambda pair: pair[0])
        ties = [column for score, column in scored if score > best[0] - 0.05]
        if len(set(ties)) > 1:
            options = [str(column) for column in dict.fromkeys(ties)][:6]
            problem = f"{one.text!r} can mean {' or '.join(options)}."
            raise NotUnderstood(problem, f"What is meant by {one.text!r}?", options)
        return best[1]

    def hinted(self, hint: str, table: Table) -> Column | None:
        """The column of a table that an adjective is about: the price for "cheap"."""
        if hint == "date":
            return self.date_of(table)
        stems = [word(name).stem for name in hint.split() if name != "date"]
        plain = [c for c in table.columns if not c.key and not self.schema.reference(c)]
        matches = [
            (place, column)
            for place, stem in enumerate(stems)
            for column in plain
            if column.kind != "text" and any(w.stem == stem for w in column.words)
        ]
        others = {column for _, column in matches} - {matches[0][1]} if matches else set()
        if others and matches[0][0] > 1:  # the first two words are sure, the others guesses
            options = sorted({str(column) for _, column in matches})
            raise NotUnderstood(f"It can be about {' or '.join(options)}.", "Which one?", options)
        if (
            not matches
            and "date" in hint.split()
            and table.words[-1].text not in ignored("persons")
        ):
            return self.date_of(table)
        return matches[0][1] if matches else None

    def date_of(self, table: Table) -> Column | None:
        """The date at which a row came about: named like its table, or the first one."""
        dates = [column for column in table.columns if column.kind in ("date", "year")]
        dates = [column for column in dates if all(w.text != "birth" for w in column.words)]
        dates.sort(key=lambda column: column.kind == "year")
        general = {"date", "time", "created", "at", "on", "timestamp", "day"}
        for column in dates:
            names = [w for w in column.words if w.text not in general]
            if not names or any(w.likeness(own) for w in names for own in table.words):
                return column
        return dates[0] if dates else None

    def negation(self, one: Link) -> int:
        """The number of the negation around a phrase; 0: none.

        It covers the first phrase after "not", what is listed with it, and, if the first phrase is
        about related rows ("without orders in 2024"), the rest of the clause.
        """
        for no in reversed(self.links):
            if "not" not in no.operators or no.end > one.start:
                continue
            inner = [
                o for o in self.links if o.start >= no.end and (o.kind in ("item", "value", "date"))
            ]
            first = inner[0]
            between = {word.text for word in self.words[first.end : one.start]}
            listed = bool(first.values and one.values) and between <= {
                "and",
                "or",
                "nor",
                ",",
                "the",
                "in",
                "from",
            }
            flags = all(o.values or self.is_flag(o) for o in (first, one))
            listed = listed or (flags and bool(between) and between <= {"nor", "or"})
            wide = self._is_relation(first) and not between & {"but", "who", "which", "that", ","}
            if first is one or listed or wide:
                no.role = "negation"
                return no.start + 1
        return 0

    def _is_relation(self, one: Link) -> bool:
        tables = [table for _, table in one.tables[:1]] or [
            self.table(v.column) for v in one.values
        ]
        return bool(tables) and not any(self.above(self.subject, table) for table in tables)
