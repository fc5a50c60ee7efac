"""Questions in plain English over a database never seen before, without a language model.

    parse = QuestionParser(database).parse("How many orders were cancelled in 2024?")
    parse.reading              # "number of orders; orders.status cancelled; …"
    parse.sql                  # "SELECT COUNT(*) AS value FROM orders WHERE …"

The steps are files: `link` -> `interpret` (to a `query`) -> `to_sql`. It answers counts, sums,
averages, extremes, rankings and look-ups with conditions on values, numbers and dates. A question
with a word that has no use in the query is not answered: `problem` names the word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from multi_agent.data.database import Database
from multi_agent.offline.english import tokenize
from multi_agent.offline.sql.interpret import interpret
from multi_agent.offline.sql.link import link
from multi_agent.offline.sql.phrases import NotUnderstood
from multi_agent.offline.sql.query import Query
from multi_agent.offline.sql.schema import describe, lexicon
from multi_agent.offline.sql.to_sql import to_sql
from multi_agent.offline.sql.values import ValueIndex
from seedbed.errors import BadInput

_MAX_WORDS = 60
_YES_OR_NO = ("is", "are", "was", "were", "do", "does", "did", "has", "have", "had")


@dataclass(frozen=True)
class Parse:
    """The query for a question, or the problem."""

    sql: str = ""
    reading: str = ""
    """What was understood, in plain words."""
    problem: str = ""
    unit: str = ""
    """Of the number asked for: "EUR", "minutes"."""


class QuestionParser:
    """Parses questions over one database; building it reads the values of the text columns."""

    def __init__(self, database: Database) -> None:
        self._schema = describe(database)
        self._values = ValueIndex(database, self._schema)

    def parse(self, question: str) -> Parse:
        """The SQL for a question; `problem` is set instead where the question is not clear."""
        tokens = tokenize(_rewritten(question))
        if not tokens or len(tokens) > _MAX_WORDS:
            problem = "The question is too long." if tokens else "The question is empty."
            return Parse(problem=problem)
        if tokens[0].text in _YES_OR_NO:
            return Parse(problem="I can't answer with yes or no.")
        try:
            # 1. What its words may stand for
            phrases = link(tokens, self._schema, self._values)
            # 2. What they mean together
            query = interpret(phrases, self._schema)
            _check_asked({token.text for token in tokens}, query)
            # 3. As SQL
            sql = to_sql(query, self._schema)
        except (NotUnderstood, BadInput) as error:
            return Parse(problem=str(error))
        return Parse(sql, str(query), unit=query.shown.unit if query.shown else "")

    def coverage(self, question: str) -> float:
        """The share of the question's words of content that the database has, 0 to 1."""
        phrases = link(tokenize(_rewritten(question)), self._schema, self._values)
        sizes = {"name": 0, "unknown": 0}
        for phrase in phrases:
            if phrase.kind in sizes:
                sizes[phrase.kind] += phrase.end - phrase.start
        return sizes["name"] / (sum(sizes.values()) or 1)


def _check_asked(words: set[str], query: Query) -> None:
    """Raises NotUnderstood if the answer would not be a date, or a number, as is asked for."""
    shown = query.shown
    if "when" in words and not (shown and shown.is_dated):
        raise NotUnderstood("I don't know which date is meant.")
    if "much" in words and not (shown and shown.is_quantity):
        raise NotUnderstood("I don't know which number is meant.")


def _rewritten(question: str) -> str:
    for pattern, plain in lexicon()["rewrites"].items():
        question = re.sub(rf"\b(?:{pattern})\b", plain, question, flags=re.IGNORECASE)
    return question
