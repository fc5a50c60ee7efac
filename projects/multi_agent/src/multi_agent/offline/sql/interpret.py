"""Decides what the phrases of a question mean together.

query = interpret(link(tokens, schema, values), schema)
"""

from __future__ import annotations

from collections.abc import Sequence

from multi_agent.offline.english import UNITS
from multi_agent.offline.sql.conditions import Conditions
from multi_agent.offline.sql.link import Phrase
from multi_agent.offline.sql.phrases import (
    NotUnderstood,
    Phrases,
    read_comparisons,
    read_group,
    read_ranking,
)
from multi_agent.offline.sql.query import Query
from multi_agent.offline.sql.schema import Schema
from multi_agent.offline.sql.target import Target


def interpret(phrases: Sequence[Phrase], schema: Schema) -> Query:
    """The query of a question. Raises NotUnderstood."""
    if unknown := [phrase for phrase in phrases if phrase.kind == "unknown"]:
        raise _left_over(unknown)
    left = Phrases(phrases)
    # 1. What stands beside a superlative, a number or a "per"
    ranking = read_ranking(left)
    comparisons = read_comparisons(left)
    group = read_group(left, ranking)
    # 2. What is asked for
    query = Target(left, schema).read(ranking, group)
    # 3. Of which rows
    query = Conditions(left, schema, query).read(comparisons)
    # 4. Nothing may be left
    if rest := [phrase for phrase in left if not _is_harmless(phrase, query)]:
        raise _left_over(rest)
    return query


def _left_over(phrases: Sequence[Phrase]) -> NotUnderstood:
    words = ", ".join(repr(phrase.text) for phrase in phrases)
    return NotUnderstood(f"I don't know what {words} refers to.")


def _is_harmless(phrase: Phrase, query: Query) -> bool:
    """Whether a phrase may be left: "placed BY", and the unit that the answer has anyway."""
    if phrase.kind == "unit" and query.shown:
        kind, size = UNITS[phrase.unit]
        same = bool(query.shown.unit) and UNITS[query.shown.unit] == (kind, size)
        return same or (kind == "money" and size == 1 and query.shown.measures("money"))
    return phrase.text == "by"
