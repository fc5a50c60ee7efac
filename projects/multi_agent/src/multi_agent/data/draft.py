"""A logical form in the making: the links of a question and what has been decided so far.

`interpret` and `filters` give each link a `role`; a link that is left without one was not understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from multi_agent.data.link import Link
from multi_agent.data.logical_form import Filter, Measure
from multi_agent.data.schema import Column, ForeignKey, Schema, Table
from multi_agent.data.words import Word, lexicon, word


class NotUnderstood(Exception):
    """Why a question has no logical form; `question` and `options` if the user can decide."""

    def __init__(self, problem: str, question: str = "", options: Sequence[str] = ()) -> None:
        super().__init__(problem)
        self.question = question
        self.options = tuple(options)


@cache
def ignored(name: str = "words") -> frozenset[str]:
    """Words without content: articles, auxiliaries, "records"."""
    return frozenset(lexicon()["ignored"][name].split())


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
            raise NotUnderstood("I don't know which table the question is about.")
        return self._subject

    @subject.setter
    def subject(self, table: Table) -> None:
        self._subject = table

    def table(self, column: Column) -> Table:
        """The table of a column."""
        return self.schema.table(column.table)

    def above(self, start: Table, end: Table) -> bool:
        """Whether each row of `start` has one row of `end`."""
        return bool(self.schema.paths(start, end))

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

    def is_adjective(self, one: Link) -> bool:
        """Whether a value or a flag stands in front of a noun: "female patients"."""
        flag = bool(one.columns) and all(c.kind in ("flag", "date") for _, c in one.columns)
        after = self.next(one)
        if one.tables or after is None or after.start > one.end or not self.is_item(after):
            return False
        partial = bool(after.tables) and all(score < 1 for score, _ in one.columns)
        return bool(one.values) or flag or partial

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
        for name in hint.split():
            if name == "date":
                return self.date_of(table)
            stem = word(name).stem
            for column in table.columns:
                if column.kind == "text" or not any(w.stem == stem for w in column.words):
                    continue
                if not column.key and not self.schema.reference(column):
                    return column
        return None

    def date_of(self, table: Table) -> Column | None:
        """The date at which a row came about: named like its table, or the first one."""
        dates = [column for column in table.columns if column.kind in ("date", "year")]
        dates = [column for column in dates if all(w.text != "birth" for w in column.words)]
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
