"""Decide what the links of a question mean together: links -> logical form.

    form = interpret(words, link(words, schema, values), schema)

1. Comparisons, superlatives and groups claim the phrases next to them.
2. The first phrase left is what is asked for; with it, the subject is known.
3. Dates, values and relations become filters.
4. A word without a use raises NotUnderstood: nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from multi_agent.data.link import Link
from multi_agent.data.logical_form import Filter, LogicalForm, Measure
from multi_agent.data.schema import Column, Schema, Table
from multi_agent.data.sql import descent
from multi_agent.data.words import UNITS, Word, lexicon, word

_COMPARISONS = {"more": ">", "least": ">=", "less": "<", "most": "<=", "equal": "="}
_POSITIONS = {"within", "since", "until", "before", "after", "between"}
_AGGREGATES = ("share", "difference", "count", "sum", "avg", "min", "max", "much")
_ASKING = ("which", "who", "when", "where", "how")
_SUMS = {
    word(w).stem for w in "quantity revenue total amount units payment spend sell sales".split()
}


class NotUnderstood(Exception):
    """Why a question has no logical form; `question` and `options` if the user can decide."""

    def __init__(self, problem: str, question: str = "", options: Sequence[str] = ()) -> None:
        super().__init__(problem)
        self.question = question
        self.options = tuple(options)


@dataclass
class _Comparison:
    operator: str
    values: list[float]
    unit: str
    hint: str
    argument: Link | None
    function: str
    at: Link


@dataclass
class _Order:
    descending: bool
    hint: str
    limit: int
    argument: Link | None
    function: str
    at: Link


def interpret(words: Sequence[Word], links: list[Link], schema: Schema) -> LogicalForm:
    """The logical form of a question. Raises NotUnderstood."""
    return _Interpreter(words, links, schema).run()


class _Interpreter:
    def __init__(self, words: Sequence[Word], links: list[Link], schema: Schema) -> None:
        self.words, self.links, self.schema = words, links, schema
        self.ignored = set(lexicon()["ignored"]["words"].split())
        self.filters: list[Filter] = []
        self.select: tuple[Column, ...] = ()
        self.measure: Measure | None = None
        self.group: Table | Column | None = None
        self.group_link: Link | None = None
        self.comparisons: list[_Comparison] = []
        self.order: _Order | None = None
        self.function = ""
        self.subject: Table | None = None
        self.share: list[Filter] = []
        self.minus: list[Filter] = []

    def run(self) -> LogicalForm:
        self._claim_comparisons()
        self._claim_order()
        self._claim_group()
        target = self._target()
        self._resolve_subject(target)
        form = self._resolve_order(target)
        self._resolve_comparisons()
        self._resolve_dates()
        self._resolve_values()
        self._resolve_numbers()
        self._resolve_relations()
        self._check_words()
        return self._split_share(replace(form, filters=tuple(self.filters)))

    # Finding phrases -------------------------------------------------------------------------

    def _free(self, *operators: str) -> list[Link]:
        """The links without a use that have one of these operators; all without operators given."""
        wanted = set(operators)
        return [o for o in self.links if not o.role and (not wanted or o.operators & wanted)]

    def _next(self, one: Link, *, skip: Iterable[str] = ()) -> Link | None:
        """The link that follows without a word of content between."""
        for other in self.links:
            if other.start < one.end:
                continue
            if other.operators and other.operators <= {*skip}:
                continue
            between = self.words[one.end : other.start]
            ok = all(w.text in self.ignored or self._inside(w) for w in between)
            return other if ok else None
        return None

    def _inside(self, one: Word) -> bool:
        """Whether a word belongs to a link that was skipped."""
        return any(one in self.words[o.start : o.end] for o in self.links)

    def _before(self, one: Link) -> Link | None:
        """The link directly before."""
        earlier = [other for other in self.links if other.end <= one.start]
        return earlier[-1] if earlier and earlier[-1].end == one.start else None

    @staticmethod
    def _is_item(one: Link | None) -> bool:
        return one is not None and bool(one.tables or one.columns) and not one.role

    # 1. Claims -------------------------------------------------------------------------------

    def _claim_comparisons(self) -> None:
        for one in self._free(*_COMPARISONS, "between", "comparatives"):
            numbers = self._numbers_of(one)
            if not numbers:
                continue
            last = numbers[-1]
            unit = next(
                (o for o in (self._next(last), self._before(numbers[0])) if o and o.unit), None
            )
            after = self._next(unit if unit and unit.start > last.start else last)
            adjacent = (
                after is not None
                and after.start <= (unit or last).end + 1
                or (after is not None and after.start <= last.end + 1)
            )
            argument = after if adjacent and self._is_item(after) else None
            if argument is not None and not (argument.table or self._numeric(argument)):
                argument = None
            hint = one.hint.partition(" ")
            operators = [hint[0]] if one.hint else sorted(one.operators & set(_COMPARISONS))
            operator = "between" if "between" in one.operators else _COMPARISONS[operators[0]]
            if argument is None:
                argument = self._numeric_before(one)
            function = self._function_before(argument)
            for used in (one, *numbers, *filter(None, (unit, argument))):
                used.role = "comparison"
            values = [o.number for o in numbers if o.number is not None]
            self.comparisons.append(
                _Comparison(
                    operator, values, unit.unit if unit else "", hint[2], argument, function, one
                )
            )

    def _numbers_of(self, one: Link) -> list[Link]:
        """The number or the two numbers that a comparison is about."""
        if one.text.startswith("or "):
            before = self._before(one)
            return [before] if before and before.number is not None else []
        first = self._next(one)
        if first is not None and first.unit and self._next(first):
            first = self._next(first)
        if first is None or first.number is None:
            return []
        unit = self._next(first)
        if first.dates and not (unit and unit.unit) and not self._numeric_before(one):
            return []
        if "between" not in one.operators:
            return [first]
        second = self._next(unit if unit and unit.unit else first)
        return [first, second] if second and second.number is not None else []

    def _numeric(self, one: Link) -> bool:
        return any(column.kind == "number" for _, column in one.columns)

    def _numeric_before(self, one: Link) -> Link | None:
        earlier = [o for o in self.links if o.end <= one.start and self._is_item(o)]
        for other in reversed(earlier[-2:]):
            gap = [w for w in self.words[other.end : one.start] if w.text not in self.ignored]
            if self._numeric(other) and len(gap) <= 1:
                return other
        return None

    def _function_before(self, argument: Link | None) -> str:
        """The aggregate in front of a phrase: "average salary", "number of orders"."""
        if argument is None:
            return ""
        before = self._before(argument)
        names = [n for n in _AGGREGATES if before and not before.role and n in before.operators]
        if before is None or not names or argument is self._first_after(before, first=True):
            return ""
        before.role = "function"
        return names[0]

    def _first_after(self, one: Link, *, first: bool) -> Link | None:
        """The argument of the question's own aggregate, which opens the sentence."""
        opens = all(o.end <= one.start or o.start >= one.start for o in self.links)
        heads = [o for o in self.links if o.operators & set(_AGGREGATES) or self._is_item(o)]
        return self._next(one) if opens and first and heads and heads[0] is one else None

    def _claim_order(self) -> None:
        for one in self._free("superlatives"):
            direction, _, hint = one.hint.partition(" ")
            number = self._before(one)
            if number is None or number.number is None or number.dates:
                number = self._next(one)
            limit = 1
            at = one
            if (
                number is not None
                and number.number is not None
                and not number.dates
                and not number.role
            ):
                limit, number.role = int(number.number), "limit"
                at = number if number.start > one.start else one
            function, argument = self._order_argument(one, at, hint)
            one.role = "order"
            if self.order is not None:
                raise NotUnderstood(f"I can't combine {self.order.at.text!r} and {one.text!r}.")
            self.order = _Order(direction == "desc", hint, limit, argument, function, one)

    def _order_argument(self, one: Link, at: Link, hint: str) -> tuple[str, Link | None]:
        following = self._next(at)
        if following is not None and following.operators & set(_AGGREGATES):
            function = next(n for n in _AGGREGATES if n in following.operators)
            argument = self._next(following)
            following.role = "function"
            if argument is not None and self._is_item(argument):
                argument.role = "order"
                return function, argument
            return function, None
        for by in self._free("group"):
            argument = self._next(by)
            if by.text == "by" and argument is not None and argument.operators & set(_AGGREGATES):
                by.role = argument.role = "order"
                inner = self._next(argument)
                if inner is not None and self._is_item(inner):
                    inner.role = "order"
                return next(n for n in _AGGREGATES if n in argument.operators), inner
            if by.text == "by" and argument is not None and self._is_item(argument):
                if self._numeric(argument):
                    by.role = argument.role = "order"
                    return "", argument
        while following is not None and self._is_adjective(following):
            following = self._next(following)
        if following is None or not self._is_item(following):
            return "", self._verb_before(one) if one.text in ("most", "least") else None
        plain = not hint and one.text not in ("top", "bottom")
        if plain and following.table and one.text in ("most", "fewest", "least"):
            following.role = "order"
            return "count", following
        if self._numeric(following) and (plain or hint):
            following.role = "order"
            return "", following
        return "", None

    def _is_adjective(self, one: Link) -> bool:
        """A value or a flag in front of a noun: "the most active members"."""
        flag = bool(one.columns) and one.columns[0][1].kind == "flag"
        return not one.tables and (bool(one.values) or flag) and self._is_item(self._next(one))

    def _verb_before(self, one: Link) -> Link | None:
        """Which customer ORDERED the most."""
        earlier = [o for o in self.links if o.end <= one.start and self._is_item(o)]
        if len(earlier) > 1 or (earlier and self._free("who")):
            earlier[-1].role = "order"
            return earlier[-1]
        return None

    def _claim_group(self) -> None:
        for one in self._free("group"):
            following = self._next(one)
            if following is None or not self._is_item(following):
                continue
            if one.text in ("each", "every") and self._before(one) is None and False:
                continue
            if self.group_link is not None:
                raise NotUnderstood("I can group by one thing only.")
            one.role = following.role = "group"
            self.group_link = following

    # 2. What is asked for --------------------------------------------------------------------

    def _target(self) -> Link | None:
        for name in _AGGREGATES:
            for one in self._free(name):
                one.role = "function"
                if not self.function:
                    self.function = name
                    self.function_link = one
                elif name == "count" and self.function in ("share", "difference"):
                    continue
                elif self.function in ("share", "difference"):
                    self.inner_function = name
        items = [o for o in self.links if self._is_item(o) and not self._is_adjective(o)]
        start = self.function_link.start if self.function else 0
        asking = [o for o in self.links if o.operators & set(_ASKING) and not o.role]
        if not self.function and asking:
            start = asking[0].start
            for one in asking:
                one.role = "asking"
        later = [o for o in items if o.start >= start]
        return (later or items or [None])[0]

    def _mentioned(self) -> set[str]:
        """The tables that the question names, by themselves or by a value."""
        names = {one.table.name for one in self.links if one.tables and one.tables[0][0] >= 0.8}
        for one in self.links:
            tables = {value.column.table for value in one.values if value.whole}
            names |= tables if len(tables) == 1 and not one.tables else set()
        return names

    def _column(self, one: Link, *kinds: str) -> Column:
        """The column that a phrase names, by its words and by the tables around it."""
        beside = {o.table.name for o in (self._before(one), self._next(one)) if o and o.table}
        mentioned = self._mentioned()
        scored = []
        for score, column in one.columns:
            if kinds and column.kind not in kinds:
                continue
            score += (column.table in beside) + 0.5 * (column.table in mentioned)
            if self.subject is not None:
                score += 0.7 * (column.table == self.subject.name)
                score += 0.2 * bool(
                    self.schema.paths(self.subject, self.schema.table(column.table))
                )
            scored.append((score, column))
        return self._decide(one.text, scored)

    def _decide(self, text: str, scored: list[tuple[float, Any]]) -> Any:
        if not scored:
            raise NotUnderstood(f"I don't know how to use {text!r} here.")
        scored.sort(key=lambda one: -one[0])
        ties = [one for score, one in scored if score > scored[0][0] - 0.05]
        if len(ties) > 1:
            options = [str(one) for one in ties[:6]]
            raise NotUnderstood(
                f"{text!r} can mean {' or '.join(options)}.", f"What is {text!r}?", options
            )
        return ties[0]

    def _hinted(self, hint: str, table: Table, kinds: Sequence[str] = ("number",)) -> Column | None:
        """The column of a table for an adjective: price for "cheap"."""
        for name in hint.split():
            stem = word(name.lstrip("-"))
            if name == "date":
                return self._date_of(table)
            for column in table.columns:
                if column.kind in (*kinds, "date", "year") and any(
                    part.likeness(stem) == 1
                    or (column.unit == part.text and part.stem == stem.stem)
                    for part in column.words
                ):
                    return column
        return None

    def _date_of(self, table: Table) -> Column | None:
        """The date at which a row of the table happened: named like the table, or the first one."""
        dates = [c for c in table.columns if c.kind in ("date", "year")]
        own = set().union(*(w.groups for w in table.words)), {w.stem for w in table.words}
        named = [
            c
            for c in dates
            if any(
                w.stem in own[1] or w.groups & own[0]
                for w in c.words
                if w.text not in ("date", "time")
            )
            or {w.text for w in c.words} <= {"date", "time", "created", "at", "on", "timestamp"}
        ]
        return (named or dates or [None])[0]

    def _resolve_subject(self, target: Link | None) -> None:
        if target is None:
            self._subject_from_rest()
            return
        target.role = "target"
        columns = [c for _, c in target.columns]
        following = self._next(target)
        is_table = target.table is not None and not (
            target.columns and target.columns[0][0] > target.tables[0][0]
        )
        if self.function in ("sum", "avg", "min", "max", "much") and self._numeric(target):
            is_table = False
        if is_table and following is not None and self._qualifies(target, following):
            following.role = "target"
            self.subject = target.table
            target, columns, is_table = following, [c for _, c in following.columns], False
        if is_table:
            self.subject = target.table
            self.measure = (
                Measure("count", self.subject)
                if self.function in ("count", "share", "difference")
                else None
            )
            if self.function and self.measure is None:
                self._measure_of_table(target)
            return
        self._target_columns(target, columns)

    def _qualifies(self, target: Link, following: Link) -> bool:
        """Whether a table's name only says whose column is meant: "customer email"."""
        direct = following.start == target.end and self._is_item(following) and not following.tables
        owned = (
            any(c.table == target.table.name for _, c in following.columns)
            if target.table
            else False
        )
        numeric = self.function in ("", "count", "share") or self._numeric(following)
        kinds = {
            c.kind for _, c in following.columns if target.table and c.table == target.table.name
        }
        return (
            direct and owned and numeric and not kinds & {"flag", "date"} and not following.values
        )

    def _measure_of_table(self, target: Link) -> None:
        """ "Total sales", "how much did X pay": the one number that the table is about."""
        assert self.subject is not None
        keys = {k.column for k in self.schema.foreign_keys if k.table == self.subject.name}
        numbers = [
            c
            for c in self.subject.columns
            if c.kind == "number" and not c.key and c.name not in keys
        ]
        money = [c for c in numbers if {w.stem for w in c.words} & _SUMS] or numbers
        if len(money) != 1:
            raise NotUnderstood(f"I don't know which number of {target.text!r} you mean.")
        self._set_measure(money[0])

    def _target_columns(self, target: Link, columns: list[Column]) -> None:
        numeric = ("number",) if self.function in ("sum", "avg", "min", "max", "much") else ()
        if (
            self.function == "count"
            and self._numeric(target)
            and not any(c.kind == "text" for c in columns)
        ):
            numeric = ("number",)
        column = self._column(target, *numeric)
        self.subject = self.subject or self.schema.table(column.table)
        if self.function:
            self._set_measure(column)
            self.subject = self.schema.table(column.table)
            return
        if "total" in target.text.split() and column.kind == "number":
            self.function = "sum"
            self._set_measure(column)
            return
        selected = [column]
        following = self._next(target)
        while following is not None and self._is_item(following) and not following.tables:
            joined = self.words[following.start - 1].text in ("and", ",")
            if not joined or following.values:
                break
            selected.append(self._column(following))
            following.role = "target"
            following = self._next(following)
        self.select = tuple(selected)

    def _set_measure(self, column: Column) -> None:
        table = self.schema.table(column.table)
        function: Any = {"much": "sum", "difference": "sum", "share": "sum"}.get(
            self.function, self.function
        )
        if (
            self.function == "much"
            and not {w.stem for w in column.words} & _SUMS
            and not column.expression
        ):
            self.select, self.subject = (column,), table
            return
        if self.function in ("count", "share") and column.kind == "number" and not column.key:
            function = "sum"
        elif self.function in ("count", "share"):
            key = self.schema.reference(column)
            self.measure = (
                Measure("count", self.schema.table(key.target))
                if key
                else Measure("count", table, column)
            )
            return
        self.measure = Measure(function, table, column)

    def _subject_from_rest(self) -> None:
        """The subject of a question without one: "Who has the highest salary?"."""
        tables: list[Table] = []
        if self.order is not None and self.order.argument is not None:
            argument = self.order.argument
            if self._numeric(argument) and not (
                self._free("who") or self._has_role("asking", "who")
            ):
                self.function = "max" if self.order.descending else "min"
                limit = self.order.limit
                column = self._column(argument, "number")
                if limit == 1:
                    self.order = None
                    self.subject = self.schema.table(column.table)
                    self.measure = Measure(
                        "max" if self.function == "max" else "min", self.subject, column
                    )
                    return
            table = argument.table or self.schema.table(argument.columns[0][1].table)
            tables = [table]
        for one in self.links:
            if not one.tables:
                tables += [self.schema.table(v.column.table) for v in one.values if v.enumeration]
        if self._has_role("asking", "who"):
            self.subject = self._person(tables)
        elif tables:
            self.subject = tables[0]
        if self.subject is None:
            raise NotUnderstood("I don't know which table the question is about.")
        if self.function in ("count", "share"):
            self.measure = Measure("count", self.subject)

    def _has_role(self, role: str, operator: str) -> bool:
        return any(one.role == role and operator in one.operators for one in self.links)

    def _person(self, tables: list[Table]) -> Table | None:
        persons = {word(name).stem for name in lexicon()["ignored"]["persons"].split()}

        def is_person(table: Table) -> bool:
            return any(w.stem in persons for w in table.words)

        for table in tables:
            if is_person(table):
                return table
            above = [t for t in self.schema.tables if is_person(t) and self.schema.paths(table, t)]
            if len(above) == 1:
                return above[0]
        people = [t for t in self.schema.tables if is_person(t)]
        return people[0] if len(people) == 1 else None

    # 3. Order, groups ------------------------------------------------------------------------

    def _resolve_order(self, target: Link | None) -> LogicalForm:
        assert self.subject is not None
        if self.group_link is not None:
            self.group = self._group_of(self.group_link)
        form = LogicalForm(self.subject, self.select, self.measure, group=self.group)
        if self.group is not None and self.measure is None:
            raise NotUnderstood("I don't know what to compute per group.")
        if self.order is None:
            return form
        order = self.order
        if self.group is not None and self.measure is not None and order.argument is None:
            return replace(form, descending=order.descending, limit=order.limit)
        measure = self._order_measure(order, target)
        if isinstance(measure, Measure):
            group: Table | Column = self.subject
            if self.select and not self.schema.reference(self.select[0]):
                group = self.select[0]
            self.measure = measure
            return LogicalForm(
                self.subject,
                (),
                measure,
                group=group,
                descending=order.descending,
                limit=order.limit,
            )
        if self.measure is not None:
            raise NotUnderstood(f"I don't know what {order.at.text!r} refers to.")
        return replace(form, order=measure, descending=order.descending, limit=order.limit)

    def _group_of(self, one: Link) -> Table | Column:
        if one.table is not None:
            return one.table
        return self._column(one)

    def _order_measure(self, order: _Order, target: Link | None) -> Measure | Column:
        assert self.subject is not None
        argument = order.argument
        if argument is None and order.hint:
            for path_table in [self.subject]:
                column = self._hinted(order.hint, path_table)
                if column is not None:
                    return self._order_column(column, order)
        if argument is None and not order.hint and self.select:
            return Measure("count", self.schema.table(self.select[0].table))
        if argument is None:
            raise NotUnderstood(f"I don't know what {order.at.text!r} refers to.")
        if self._numeric(argument) and order.function != "count":
            return self._order_column(self._column(argument, "number"), order)
        if argument.table is None:
            column = self._column(argument)
            return Measure("count", self.schema.table(column.table), column)
        return Measure("count", argument.table)

    def _order_column(self, column: Column, order: _Order) -> Measure | Column:
        assert self.subject is not None
        table = self.schema.table(column.table)
        grouped = bool(self.select) and self.select[0].kind == "text" and order.function
        if self.schema.paths(self.subject, table) and not grouped and order.function != "avg":
            return column
        function: Any = order.function or ("max" if order.descending else "min")
        summed = {w.stem for w in column.words} & _SUMS or column.expression
        if function == "much" or (
            not order.function
            and (order.at.text in ("most", "least", "top", "fewest") or (order.hint and summed))
        ):
            function = "sum"
        return Measure(function, table, column)

    def _resolve_comparisons(self) -> None:
        assert self.subject is not None
        for one in self.comparisons:
            argument = one.argument
            entity = self.group if isinstance(self.group, Table) else self.subject
            if (
                argument is not None
                and argument.table
                and not (self._numeric(argument) and one.unit)
            ):
                if argument.table == entity:
                    self._add(self._compared(self._money_of(argument.table, one), one))
                else:
                    measure = Measure("count", argument.table)
                    self._add(
                        Filter(entity, None, self._plain(one), tuple(one.values), measure=measure)
                    )
                continue
            column = self._compared_column(one)
            table = self.schema.table(column.table)
            below = not self.schema.paths(entity, table)
            if below and (one.function or column.expression):
                function: Any = {"count": "sum", "much": "sum", "": "sum"}.get(
                    one.function, one.function
                )
                measure = Measure(function, table, column)
                self._add(
                    Filter(entity, None, self._plain(one), tuple(one.values), measure=measure)
                )
            else:
                self._add(self._compared(column, one))

    def _plain(self, one: _Comparison) -> str:
        if one.operator == "between":
            raise NotUnderstood("I can't compare a count with a range.")
        return one.operator

    def _compared_column(self, one: _Comparison) -> Column:
        assert self.subject is not None
        if one.argument is not None:
            return self._column(one.argument, "number", "year")
        if one.hint:
            column = self._hinted(one.hint, self.subject)
            if column is not None:
                return column
        return self._money_of(self.subject, one)

    def _money_of(self, table: Table, one: _Comparison) -> Column:
        """The column of a number with a unit: "orders over 50 euros"."""
        kind = UNITS[one.unit][0] if one.unit else ""
        numbers = [c for c in table.columns if c.kind == "number" and not c.key]
        same = [c for c in numbers if c.unit and kind and UNITS[c.unit][0] == kind]
        if kind == "money" and not same:
            names = {word(w).stem for w in "price cost amount total fee salary value".split()}
            same = [c for c in numbers if names & {w.stem for w in c.words}]
        if len(same) != 1:
            raise NotUnderstood(f"I don't know which number {one.at.text!r} refers to.")
        return same[0]

    def _compared(self, column: Column, one: _Comparison) -> Filter:
        values = [self._converted(value, one.unit, column) for value in one.values]
        table = self.schema.table(column.table)
        if one.operator == "between":
            self._add(Filter(table, column, ">=", (values[0],)))
            return Filter(table, column, "<=", (values[1],))
        return Filter(table, column, one.operator, (values[0],))

    def _converted(self, value: float, unit: str, column: Column) -> float:
        """A number of the question in the unit of the column: 50 euros are 5000 cents."""
        value = int(value) if value == int(value) else value
        if not column.unit or (not unit and UNITS[column.unit][0] != "money"):
            return value
        kind, size = UNITS[column.unit]
        given_kind, given_size = UNITS[unit] if unit else (kind, 1.0)
        if kind != given_kind:
            raise NotUnderstood(f"{column} is not in {unit}.")
        result = value * given_size / size
        return int(result) if result == int(result) else result

    # 4. Filters ------------------------------------------------------------------------------

    def _add(self, one: Filter) -> None:
        self.filters.append(one)

    def _negation(self, one: Link) -> int:
        """The number of the negation that a phrase is in; 0: none."""
        for no in reversed([o for o in self.links if "not" in o.operators and o.end <= one.start]):
            inner = [
                o
                for o in self.links
                if no.end <= o.start and (o.tables or o.columns or o.values or o.dates)
            ]
            if not inner:
                continue
            first = inner[0]
            between = [w.text for w in self.words[first.end : one.start]]
            listed = first.values and one.values and set(between) <= {"and", "or", ",", "the"}
            broken = any(t in ("but", "who", "which", "that", ",") for t in between)
            wide = first.role in ("", "relation") and self._is_relation(first) and not broken
            if first is one or listed or wide:
                no.role = "negation"
                return no.start + 1
        return 0

    def _is_relation(self, one: Link) -> bool:
        """Whether a phrase stands for rows related to the subject, not for the subject itself."""
        assert self.subject is not None
        if one.tables and not one.values:
            return one.table != self.subject
        tables = [self.schema.table(v.column.table) for v in one.values]
        return bool(tables) and not any(self.schema.paths(self.subject, t) for t in tables)

    def _resolve_dates(self) -> None:
        dates = [o for o in self.links if o.dates and not o.role]
        for i, one in enumerate(dates):
            if one.role:
                continue
            assert one.dates is not None
            before = self._before(one)
            operators = before.operators if before and not before.role else frozenset()
            following = dates[i + 1] if i + 1 < len(dates) else None
            between = self.words[one.end : following.start] if following else []
            ranged = following and [w.text for w in between] in (
                ["and"],
                ["to"],
                ["until"],
                ["till"],
                ["through"],
            )
            start: Any
            end: Any
            start, end = one.dates
            if following is not None and ranged and (operators & {"between", "since"}):
                assert following.dates is not None
                end = following.dates[1]
                following.role = "date"
                for other in self.links:
                    if one.end <= other.start and other.end <= following.start:
                        other.role = "date"
            elif "before" in operators:
                start, end = None, start
            elif "after" in operators:
                start, end = end, None
            elif "since" in operators and before and before.text != "from":
                end = None
            elif operators & {"until"}:
                start = None
            if before is not None and operators & _POSITIONS:
                before.role = "date"
            one.role = "date"
            column, verb = self._date_column(one)
            negation = self._negation(verb or one) or self._negation(one)
            if column.kind == "year":
                start, end = (d and d.year for d in (start, end))
                if one.dates[1].replace(year=1) != one.dates[0].replace(year=1):
                    raise NotUnderstood(f"{column} has years only.")
            values = tuple(
                d if d is None or isinstance(d, int) else d.isoformat() for d in (start, end)
            )
            self._add(Filter(self.schema.table(column.table), column, "dates", values, negation))

    def _date_column(self, one: Link) -> tuple[Column, Link | None]:
        """By the nearest verb or noun before the date that has a date; otherwise the subject's."""
        assert self.subject is not None
        kinds = ("date", "year")
        earlier = [o for o in self.links if o.end <= one.start and (o.tables or o.columns)]
        for other in reversed(earlier):
            if any(c.kind in kinds for _, c in other.columns) and other.role in ("", "date"):
                other.role = other.role or "date"
                return self._column(other, *kinds), other
            if other.table and (column := self._date_of(other.table)):
                other.role = other.role or "relation"
                return column, other
        tables = [self.subject, *([self.measure.table] if self.measure else [])]
        for table in tables:
            if column := self._date_of(table):
                return column, None
        above = [
            t for t in self.schema.tables if self.schema.paths(self.subject, t) and self._date_of(t)
        ]
        if len(above) == 1 and (column := self._date_of(above[0])):
            return column, None
        raise NotUnderstood(f"I don't know which date {one.text!r} refers to.")

    def _resolve_values(self) -> None:
        done: list[tuple[Link, Filter]] = []
        for one in self.links:
            if one.role or not one.values or self._rather_item(one):
                continue
            value = self._value(one)
            one.role = "value"
            negation = self._negation(one)
            new = Filter(
                self.schema.table(value.column.table), value.column, "=", (value.value,), negation
            )
            previous = done[-1] if done else None
            if previous and previous[1].column == new.column and previous[1].negation == negation:
                between = {w.text for w in self.words[previous[0].end : one.start]}
                if between <= {"and", "or", ",", "the", "in", "from"}:
                    self.filters.remove(previous[1])
                    new = replace(previous[1], values=(*previous[1].values, value.value))
            done.append((one, new))
            self._add(new)

    def _rather_item(self, one: Link) -> bool:
        """Whether the phrase is a table's or a column's name that happens to be a value too."""
        exact = [s for s, _ in [*one.tables, *one.columns] if s == 1]
        return bool(exact) and not any(v.enumeration and v.whole for v in one.values)

    def _value(self, one: Link) -> Any:
        assert self.subject is not None
        beside = [o for o in (self._before(one), self._next(one)) if o is not None]
        tables = {o.table.name for o in beside if o.table and not o.values}
        columns = {c for o in beside for _, c in o.columns if not o.values}
        mentioned = self._mentioned()
        scored = []
        for value in one.values:
            table = self.schema.table(value.column.table)
            score = 1.0 * value.whole + 0.3 * value.enumeration + 0.5 * (table.name in mentioned)
            score += 1.5 * (value.column in columns) + 1.0 * (table.name in tables)
            score += 0.6 * (table == self.subject) + 0.3 * bool(
                self.schema.paths(self.subject, table)
            )
            score += 0.2 * (value.column in table.label)
            scored.append((score, value))
        scored.sort(key=lambda pair: -pair[0])
        best = [v for score, v in scored if score > scored[0][0] - 0.05]
        if len(best) > 1:
            options = [f"{v.column} is {v.value}" for v in best[:6]]
            raise NotUnderstood(
                f"{one.text!r} can mean several things.", f"What is {one.text!r}?", options
            )
        for other in beside:
            if (
                not other.role
                and not other.values
                and any(c == best[0].column for _, c in other.columns)
            ):
                other.role = "value"
        return best[0]

    def _resolve_numbers(self) -> None:
        """ "A rating of 5", "order 17"."""
        for one in self.links:
            if one.role or one.number is None:
                continue
            earlier = [o for o in self.links if o.end <= one.start and (o.tables or o.columns)]
            near = earlier[-1] if earlier else None
            gap = (
                [w for w in self.words[near.end : one.start] if w.text not in self.ignored]
                if near
                else [1]
            )
            number = int(one.number) if one.number == int(one.number) else one.number
            if near is None or gap:
                raise NotUnderstood(f"I don't know what {one.text!r} refers to.")
            if any(c.kind in ("number", "year") for _, c in near.columns) and near.role != "target":
                column = self._column(near, "number", "year")
            elif near.table and near.table.key and near.end == one.start:
                column = near.table.key
            else:
                raise NotUnderstood(f"I don't know what {one.text!r} refers to.")
            near.role = near.role or "value"
            one.role = "value"
            self._add(
                Filter(
                    self.schema.table(column.table), column, "=", (number,), self._negation(near)
                )
            )

    def _resolve_relations(self) -> None:
        assert self.subject is not None
        used = {f.table.name for f in self.filters} | {self.subject.name}
        base = self.measure.table if self.measure else self.subject
        for one in self.links:
            if one.role not in ("", "relation") or not (one.tables or one.columns):
                continue
            column = next((c for _, c in one.columns if self._is_condition(c)), None)
            if (
                column is not None
                and not one.role
                and (not one.table or one.columns[0][0] > one.tables[0][0])
            ):
                one.role = "value"
                self._add(self._flag(column, self._negation(one)))
            elif one.table is not None:
                self._relate(one, one.table, used, base)
            elif any(c in self._used_columns() for _, c in one.columns):
                one.role = "repeated"

    def _relate(self, one: Link, table: Table, used: set[str], base: Table) -> None:
        assert self.subject is not None
        one.role = "relation"
        negation = self._negation(one)
        above = bool(self.schema.paths(base, table)) or bool(self.schema.paths(self.subject, table))
        if negation:
            if not any(f.negation == negation for f in self.filters) or not above:
                self._add(Filter(table, negation=negation))
        elif not above and table.name not in used:
            self._add(Filter(table))

    def _is_condition(self, column: Column) -> bool:
        return column.kind == "flag" or (column.kind == "date" and column.nullable)

    def _flag(self, column: Column, negation: int) -> Filter:
        table = self.schema.table(column.table)
        if column.kind == "date":
            return Filter(table, column, "empty", (), 0 if negation else 1000)
        return Filter(table, column, "=", (column.truth[not negation],))

    def _used_columns(self) -> set[Column]:
        used = {f.column for f in self.filters if f.column} | set(self.select)
        used |= {self.measure.column} if self.measure and self.measure.column else set()
        return used

    # 5. Nothing dropped ----------------------------------------------------------------------

    def _check_words(self) -> None:
        linked = set()
        for one in self.links:
            linked |= set(range(one.start, one.end))
            harmless = one.operators and one.operators <= {
                *_POSITIONS,
                "group",
                "which",
                "who",
                "how",
                "distinct",
            }
            if one.text in ("before", "after", "until", "since", "between"):
                harmless = False
            if not one.role and not harmless:
                raise NotUnderstood(f"I don't know how to use {one.text!r} here.")
        for position, one in enumerate(self.words):
            if position in linked or one.text in self.ignored or self._is_verb(position):
                continue
            if one.text not in (",", ";"):
                raise NotUnderstood(f"I don't know what {one.text!r} refers to.")

    def _is_verb(self, position: int) -> bool:
        """A verb that only says how two tables are related: "books WRITTEN by Tolkien"."""
        text = self.words[position].text
        if text in lexicon()["ignored"]["events"].split():
            return True
        after = [o for o in self.links if o.start > position and o.role == "value"]
        next_text = self.words[position + 1].text if position + 1 < len(self.words) else ""
        inflected = text.endswith(("ed", "ing", "en", "s"))
        return (
            inflected
            and bool(after)
            and next_text in ("by", "in", "at", "for", "with", "to", "from", "on")
        )

    def _split_share(self, form: LogicalForm) -> LogicalForm:
        """For a percentage, the filters after the verb are the part; without a verb all are."""
        if self.function not in ("share", "difference"):
            return form
        if self.function == "difference":
            raise NotUnderstood("I can't compute this difference.")
        if not form.filters:
            raise NotUnderstood("I don't know which part you mean.")
        return replace(form, share=form.filters, filters=())


def related(schema: Schema, start: Table, end: Table) -> bool:
    """Whether two tables are connected by foreign keys."""
    return bool(schema.paths(start, end)) or bool(descent(schema, start, end))
