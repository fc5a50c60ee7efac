"""Questions in plain English over a database never seen before, without a language model.

    parse = QuestionParser(database).parse("How many orders were cancelled in 2024?")
    parse.reading              # 'number of orders; orders.status cancelled; …'
    parse.sql                  # 'SELECT COUNT(*) AS value FROM orders WHERE …'

The steps are files: `link` -> `interpret` (to a `logical_form`) -> `sql`. A question with a word
that has no use in the query is not answered: `problem` names the word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from multi_agent.data.database import Database
from multi_agent.offline.sql.draft import NO_TABLE, NotUnderstood
from multi_agent.offline.sql.interpret import interpret
from multi_agent.offline.sql.link import Link, link
from multi_agent.offline.sql.logical_form import describe
from multi_agent.offline.sql.schema import read_schema
from multi_agent.offline.sql.sql import to_sql
from multi_agent.offline.sql.value_index import ValueIndex
from multi_agent.offline.sql.words import Word, clauses, ignored, lexicon, tokenize, word
from seedbed.errors import BadInput

_MAX_WORDS = 60
_ROWS = frozenset(("row", "rows", "record", "records", "entry", "entries"))
_SHORT, _ALIKE = 4, 0.85  # characters of a word, likeness of another, from which it is a misprint


@dataclass(frozen=True)
class Parse:
    """The query for a question, or the problem."""

    sql: str = ""
    reading: str = ""
    """What was understood, in plain words."""
    confidence: float = 0.0
    """0 to 1."""
    problem: str = ""
    question: str = ""
    """What the user can decide, if two readings are equally likely."""
    options: tuple[str, ...] = ()
    unit: str = ""
    """Of the number asked for: "EUR", "minutes"."""


class QuestionParser:
    """Parses questions over one database; building it reads the values of the text columns."""

    def __init__(self, database: Database) -> None:
        self._schema = read_schema(database)
        self._values = ValueIndex(database, self._schema)

    def parse(self, question: str) -> Parse:
        """The SQL for a question; `problem` is set instead where the question is not clear."""
        words = self._words(self._without_context(question))
        if not words or len(words) > _MAX_WORDS:
            return Parse(
                problem="The question is empty." if not words else "The question is too long."
            )
        if self._counts_unnamed_rows(words):
            # Of several tables, the user decides.
            names = [" ".join(w.text for w in t.words) for t in self._schema.tables]
            options = tuple(f"How many {name} are there?" for name in names)
            return Parse(problem=NO_TABLE, question="Which table?", options=options)
        parse = self._parse(words)
        corrected = self._corrected(words) if parse.problem else words
        again = self._parse(corrected) if corrected != words else parse
        return parse if again.problem else again

    def _parse(self, words: list[Word]) -> Parse:
        try:
            form = interpret(words, link(words, self._schema, self._values), self._schema)
            sql = to_sql(form, self._schema)
        except NotUnderstood as error:
            return Parse(problem=str(error), question=error.question, options=error.options)
        except BadInput as error:
            return Parse(problem=str(error))
        unit = form.measure.column.unit if form.measure and form.measure.column else ""
        return Parse(sql, describe(form), 0.8, unit=unit)

    def coverage(self, question: str) -> float:
        """The share of the question's words of content that the database has, 0 to 1."""
        words = self._words(question)
        links = link(words, self._schema, self._values)
        content = [i for i, one in enumerate(words) if one.text not in ignored()]
        ours = {i for o in links if _is_data(o) for i in range(o.start, o.end)}
        neutral = {i for o in links if not _is_data(o) for i in range(o.start, o.end)}
        rest = [i for i in content if i not in neutral]
        return len(ours & set(rest)) / len(rest) if rest else 0.0

    @cached_property
    def _stems(self) -> frozenset[str]:
        """Those of the names of tables and columns."""
        return frozenset(w.stem for _, parts in self._schema.vocabulary for w in parts)

    def _counts_unnamed_rows(self, words: list[Word]) -> bool:
        """Whether all that a question counts are rows: "How many records are there?"."""
        texts = {w.text for w in words}
        named = texts - (ignored() - _ROWS) - {"how", "many", "number", "count"}
        counts = not texts.isdisjoint(("many", "number", "count"))
        return counts and bool(named) and named <= _ROWS - self._stems

    def _without_context(self, question: str) -> str:
        """Only the sentences that ask or restrict: "I am writing a report. How many …?"."""
        sentences = re.split(r"(?<=[a-z]{3}[.!?])\s+", question.strip())
        if len(sentences) < 2:
            return question
        kept = [one for one in sentences if "?" in one or self._restricts(one)]
        return " ".join(kept or sentences)

    def _restricts(self, sentence: str) -> bool:
        links = link(self._words(sentence), self._schema, self._values)
        told = any(one.values or one.dates or one.number is not None for one in links)
        return told or any(one.operators - {"within", "since", "until"} for one in links)

    def _corrected(self, words: list[Word]) -> list[Word]:
        """With the nearest word of the schema or the values for each that is linked to nothing."""
        links = link(words, self._schema, self._values)
        linked = {i for one in links for i in range(one.start, one.end)}
        known = self._stems | self._values.words
        result = list(words)
        for i, one in enumerate(words):
            if i not in linked and one.text not in ignored() and len(one.stem) > _SHORT:
                near = get_close_matches(one.stem, known, n=1, cutoff=_ALIKE)
                result[i] = word(near[0]) if near else one
        return result

    def _words(self, question: str) -> list[Word]:
        """The words; opposites with "not" if the database only knows the other: "inactive"."""
        words: list[Word] = []
        tables = self._schema.tables
        for one in tokenize(clauses(question)):
            if one.text in _ROWS and len(tables) == 1 and one.stem not in self._stems:
                words += tables[0].words
                continue
            known = one.stem in self._stems and one.text != "open"  # "open" is not "opened"
            opposite = None if known or self._values.has(one) else _opposite(one, self._stems)
            words += [word("not"), opposite] if opposite else [one]
        return self._without_contrasts(words)

    def _without_contrasts(self, words: list[Word]) -> list[Word]:
        """Drop what only repeats: "tickets, not bookings", "Room A (not the annex)"."""
        parts: list[list[Word]] = [[]]
        for one in words:
            parts.append([]) if one.text == "," else parts[-1].append(one)
        kept = parts[:1]
        for part in parts[1:]:
            before = [w.stem for one in kept for w in one]
            no, *rest = [w for w in part if w.text not in ignored()] or [word(",")]
            again = len(kept[-1]) == 1 and kept[-1][0].stem in before[:-1]
            unknown = all(w.stem not in self._stems for w in rest)
            excludes = bool(rest) and no.text in ("not", "without")
            if not excludes or not (again or (unknown and self._values.is_longer(rest, before))):
                kept.append(part)
        return [w for i, one in enumerate(kept) for w in ([word(",")] if i else []) + one]


def _is_data(one: Link) -> bool:
    return bool(one.tables or one.columns or one.values)


def _opposite(one: Word, stems: frozenset[str]) -> Word | None:
    """The word of the database that a word denies: active for "inactive", pass for "failed"."""
    opposites = {word(name).stem: word(other) for name, other in lexicon()["antonyms"].items()}
    rests = [one.text.removeprefix(p) for p in ("un", "in", "non") if one.text.startswith(p)]
    options = [opposites[one.stem]] if one.stem in opposites else []
    return next((o for o in [*options, *map(word, rests)] if o.stem in stems), None)
