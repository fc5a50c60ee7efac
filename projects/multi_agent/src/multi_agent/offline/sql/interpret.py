"""Decide what the links of a question mean together.

    form = interpret(words, link(words, schema, values), schema)

1. Comparisons, superlatives and groups claim the phrases next to them.
2. The first phrase left is what is asked for; with it, the subject is known.
3. Dates, values and relations become filters.
4. A phrase without a role raises NotUnderstood: nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from multi_agent.offline.sql import filters
from multi_agent.offline.sql.comparisons import add_comparisons, claim_comparisons, in_unit
from multi_agent.offline.sql.dates import claim_duration, date_column, resolve_dates
from multi_agent.offline.sql.draft import AGGREGATES, Draft, NotUnderstood
from multi_agent.offline.sql.link import Link
from multi_agent.offline.sql.logical_form import Filter, LogicalForm
from multi_agent.offline.sql.order import claim_order, resolve_order
from multi_agent.offline.sql.schema import Column, Schema
from multi_agent.offline.sql.target import resolve_target
from multi_agent.offline.sql.words import Word, ignored

_PERIODS = {"year": 4, "month": 7, "day": 10}  # characters of an ISO date
_AUXILIARIES = set("are were was is have has had did do does".split())
_HARMLESS = set("within group which who where when how distinct count since until".split())
_LINKING = ("by", "in", "at", "for", "with", "to", "from", "on", "of")


def interpret(words: Sequence[Word], links: list[Link], schema: Schema) -> LogicalForm:
    """The logical form of a question. Raises NotUnderstood."""
    draft = Draft(words, links, schema)
    # 1. Claims
    claim_duration(draft)
    comparisons = claim_comparisons(draft)
    order = claim_order(draft)
    group = _claim_group(draft)
    # 2. What is asked for
    asking = _claim_functions(draft)
    resolve_target(draft, asking, order, group)
    _resolve_wish(draft)
    _resolve_group(draft, group)
    resolve_order(draft, order)
    # 3. Filters
    add_comparisons(draft, comparisons)
    resolve_dates(draft)
    filters.resolve_values(draft)
    filters.resolve_numbers(draft)
    filters.resolve_relations(draft)
    # 4. Nothing may be left
    _check(draft)
    return _finish(draft)


def _claim_group(draft: Draft) -> Link | None:
    group = None
    ranked = any(one.role == "order" for one in draft.links)
    for one in draft.free("which") if ranked else ():  # "in which month … the most"
        after = draft.next(one)
        if after is not None and after.text in _PERIODS and not after.role:
            one.role = after.role = "group"
            return after
    for one in draft.free("group"):
        if one.text == "by" and draft.words[one.start - 1].text in ("go", "going"):
            raise NotUnderstood("I don't know what it means to go by something.")
        after = draft.next(one)
        verb = one.start > 0 and draft.words[one.start - 1].text.endswith(("ed", "en", "made"))
        plural = after is not None and after.text.endswith("s") and not after.text.endswith("ss")
        if one.text == "by" and (verb or plural):  # "orders placed by customers from Spain"
            continue
        period = after is not None and after.text in _PERIODS and not after.role
        if after is None or not (period or draft.is_item(after)) or draft.is_adjective(after):
            continue
        if group is not None:
            raise NotUnderstood("I can group by one thing only.")
        one.role = after.role = "group"
        group = after
    return group


def _resolve_wish(draft: Draft) -> None:
    """ "Which book …? I need the title": the column to show."""
    for one in draft.links:
        wish = draft.links[draft.links.index(one) - 1]
        if one.role or not one.columns or wish.role != "asking" or wish.end > one.start:
            continue
        named = [c for _, c in one.columns if c.table == draft.subject.name]
        if wish is not draft.links[0] and named and draft.measure is None:
            draft.select, one.role = (named[0],), "target"


def _resolve_group(draft: Draft, group: Link | None) -> None:
    if group is None:
        return
    if group.text in _PERIODS:
        draft.group = _period(draft, group)
        return
    draft.group = group.table or draft.column(group)
    if group.table is not None and draft.measure is not None:
        draft.via = filters.via(draft, group.table, group)


def _period(draft: Draft, group: Link) -> Column:
    """ "Per month": the first characters of the date."""
    column, verb = date_column(draft, group)
    if verb is not None:
        verb.role = verb.role or "date"
    if column.kind == "year" and group.text == "year":
        return column
    sql = f"substr(CAST({column.sql('{t}')} AS TEXT), 1, {_PERIODS[group.text]})"
    return replace(column, name=f"{group.text} of {column.name}", kind="text", expression=sql)


def _claim_functions(draft: Draft) -> list[Link]:
    """Set the aggregate; return the words that ask, after which the target follows."""
    functions = draft.free(*AGGREGATES)
    for one in functions:
        name = next(name for name in AGGREGATES if name in one.operators)
        if not draft.function:
            draft.function = name
        elif draft.function == name == "count" and one.text.startswith("how"):
            raise NotUnderstood("I can answer one question at a time only.")
        elif draft.function == "sum" and name == "count":  # "the total number of"
            draft.function = "count"
        elif draft.function in ("share", "difference") or name in ("count", "sum"):
            draft.inner = name  # "the average number of pages"
        else:
            raise NotUnderstood(f"I can't combine {draft.function} and {name}.")
        one.role = "function"
    asking = draft.free("which", "who", "when", "where", "how")
    for one in asking:
        one.role = "asking"
    return functions or asking


def _check(draft: Draft) -> None:
    """Raise for a link without a role, and for a word of content that is linked to nothing."""
    for one in draft.links:
        if one.unit and not one.role and draft.words[one.start - 1].text in ("in", ","):
            column = draft.measure.column if draft.measure else None
            column = column or (draft.select or (None,))[0]
            if column is not None and in_unit(column, one.unit):
                continue
        loose = {"before", "after", "between"} & one.operators or one.text in ("since", "until")
        if not one.role and (loose or not one.operators or not one.operators <= _HARMLESS):
            raise NotUnderstood(f"I don't know how to use {one.text!r} here.")
    linked = {i for one in draft.links for i in range(one.start, one.end)}
    for position, word_ in enumerate(draft.words):
        if word_.text in ("still", "yet") and not _qualified(draft, position):
            raise NotUnderstood(f"I don't know what {word_.text!r} refers to.")
        empty = position in linked or word_.text in ignored() or word_.text in (",", ";")
        if not empty and not _is_verb(draft, position):
            raise NotUnderstood(f"I don't know what {word_.text!r} refers to.")


def _qualified(draft: Draft, position: int) -> bool:
    """Whether there is a condition near "still" that it stresses."""
    return any(
        one.role in ("value", "negation", "date", "comparison")
        and one.start - 8 < position < one.end + 4
        for one in draft.links
    )


def _is_verb(draft: Draft, position: int) -> bool:
    """A verb that only says how two tables are related: "books WRITTEN by Tolkien"."""
    text = draft.words[position].text
    following = draft.words[position + 1].text if position + 1 < len(draft.words) else ""
    object_after = any(o.start > position and o.values for o in draft.links)
    inflected = text.endswith(("ed", "ing", "en", "s"))
    related = following in _LINKING and object_after
    ranked = any(o.role == "order" and o.start in (position + 1, position + 2) for o in draft.links)
    return text in ignored("events") or (inflected and (related or ranked))


def _finish(draft: Draft) -> LogicalForm:
    """Put the filters in their place: around, within a percentage, or on a side of a difference."""
    placed = filters.nested(draft)
    if draft.group is not None and draft.measure is None:
        raise NotUnderstood("I don't know what to compute per group.")
    rows = draft.words[0].text == "what" and not (draft.measure or draft.select or draft.order)
    if rows and draft.subject.label[0].kind == "number":  # a list of keys is no answer
        raise NotUnderstood(f"I don't know what of {draft.subject.name} you ask for.")
    form = LogicalForm(
        draft.subject,
        draft.select,
        draft.measure,
        tuple(one for _, one in placed),
        draft.group,
        draft.via,
        draft.order,
        draft.descending,
        draft.limit,
    )
    if draft.function == "difference":
        return _sides(form, list(form.filters))
    if draft.function != "share":
        return form
    verb = next((i for i, w in enumerate(draft.words) if w.text in _AUXILIARIES and i > 2), 0)
    part = tuple(one for at, one in placed if at > verb) or form.filters
    if not part:
        raise NotUnderstood("I don't know which part you mean.")
    return replace(form, share=part, filters=tuple(o for o in form.filters if o not in part))


def _sides(form: LogicalForm, placed: list[Filter]) -> LogicalForm:
    """The two filters on one column are the sides of a difference."""
    split = [
        replace(one, values=(value,))
        for one in placed
        if one.operator == "="
        for value in one.values
    ]
    split += [one for one in placed if one.operator != "="]
    for first in split:
        sides = [one for one in split if one.column == first.column and first.column]
        if len(sides) == 2:
            rest = tuple(one for one in split if one not in sides)
            return replace(form, share=(sides[0],), minus=(sides[1],), filters=rest)
    raise NotUnderstood("I don't know which two things to compare.")
