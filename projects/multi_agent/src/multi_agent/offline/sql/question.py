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
from collections.abc import Sequence
from dataclasses import dataclass

from multi_agent.data.database import Database
from multi_agent.offline.english import Token, tokenize
from multi_agent.offline.sql.interpret import interpret
from multi_agent.offline.sql.link import link
from multi_agent.offline.sql.phrases import NotUnderstood
from multi_agent.offline.sql.schema import describe, lexicon
from multi_agent.offline.sql.target import NO_TABLE
from multi_agent.offline.sql.to_sql import to_sql
from multi_agent.offline.sql.values import ValueIndex
from seedbed.errors import BadInput

_MAX_WORDS = 60
_YES_OR_NO = ("is", "are", "was", "were", "do", "does", "did", "has", "have", "had")
_ROWS = re.compile(r"\b(?:rows|records|entries)\b")


@dataclass(frozen=True)
class Parse:
    """The query for a question, or the problem."""

    sql: str = ""
    reading: str = ""
    """What was understood, in plain words."""
    problem: str = ""
    question: str = ""
    """What the user can decide, if two readings are equally likely."""
    options: tuple[str, ...] = ()
    """The question in each of its readings."""
    unit: str = ""
    """Of the number asked for: "EUR", "minutes"."""


class QuestionParser:
    """Parses questions over one database; building it reads the values of the text columns."""

    def __init__(self, database: Database) -> None:
        self._schema = describe(database)
        self._values = ValueIndex(database, self._schema)

    def parse(self, question: str) -> Parse:
        """The SQL for a question; `problem` is set instead where the question is not clear."""
        question = _rewritten(question)
        tokens = tokenize(question)
        if not tokens or len(tokens) > _MAX_WORDS:
            problem = "The question is too long." if tokens else "The question is empty."
            return Parse(problem=problem)
        if tokens[0].text in _YES_OR_NO:
            return Parse(problem="I can't answer with yes or no.")
        try:
            query = interpret(link(tokens, self._schema, self._values), self._schema)
            sql = to_sql(query, self._schema)
        except NotUnderstood as error:
            if str(error) == NO_TABLE and _ROWS.search(question):
                names = (" ".join(table.words) for table in self._schema.tables.values())
                options = tuple(f"How many {name} are there?" for name in names)
                return Parse(problem=NO_TABLE, question="Which table?", options=options)
            return _asking(question, tokens, error)
        except BadInput as error:
            return Parse(problem=str(error))
        return Parse(sql, str(query), unit=query.shown.unit if query.shown else "")

    def coverage(self, question: str) -> float:
        """The share of the question's words of content that the database has, 0 to 1."""
        phrases = link(tokenize(_rewritten(question)), self._schema, self._values)
        content = [phrase for phrase in phrases if phrase.kind in ("name", "unknown")]
        sizes = {phrase.start: phrase.end - phrase.start for phrase in content}
        named = sum(sizes[phrase.start] for phrase in content if phrase.kind == "name")
        return named / sum(sizes.values()) if sizes else 0.0


def _rewritten(question: str) -> str:
    for pattern, plain in lexicon()["rewrites"].items():
        question = re.sub(rf"\b(?:{pattern})\b", plain, question, flags=re.IGNORECASE)
    return question


def _asking(question: str, tokens: Sequence[Token], error: NotUnderstood) -> Parse:
    """The problem, and the question again with a pointer to each column it can mean."""
    if not error.phrase or len(error.readings) < 2:
        return Parse(problem=str(error))
    end = tokens[error.phrase.end - 1].end
    options = tuple(f"{question[:end]} [{column}]{question[end:]}" for column in error.readings)
    return Parse(
        problem=str(error), question=f"What is meant by {error.phrase.text!r}?", options=options
    )
