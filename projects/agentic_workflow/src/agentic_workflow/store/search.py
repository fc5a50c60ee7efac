"""Full-text search over the mails: cases that contain words with given beginnings.

    index(connection, case_number, "Refund for order 10234 …")
    select(cases).where(matches("refund 102"))

Words are split here and compared without case and accents, so that all databases find the same.
Scanning their table takes half a second for 100,000 cases, and needs no index of SQLite's or
Postgres' own kind.
"""

from __future__ import annotations

import re
import unicodedata

from sqlalchemy import ColumnElement, Connection, and_, false, insert, select

from agentic_workflow.store.schema import case_words, cases

MAX_TEXT = 20_000  # characters of a mail that can be found
MAX_WORD = 60
_WORD = re.compile(r"[^\W_]+")


def words(content: str) -> list[str]:
    """The different words of a text, in lower case, without accents.

    >>> words("Rückgabe der Bestellung #10234")
    ['10234', 'bestellung', 'der', 'ruckgabe']
    """
    plain = unicodedata.normalize("NFKD", content[:MAX_TEXT].casefold())
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return sorted({word[:MAX_WORD] for word in _WORD.findall(letters)})


def index(connection: Connection, number: int, content: str) -> None:
    """Make the case with this number findable by the words of `content`."""
    text = "".join(f" {word}" for word in words(content))
    connection.execute(insert(case_words).values(number=number, words=text))


def matches(query: str) -> ColumnElement[bool]:
    """The condition that a case contains all words of `query`, each as the beginning of a word."""
    terms = [case_words.c.words.contains(f" {word}") for word in words(query)]
    return cases.c.number.in_(select(case_words.c.number).where(and_(*terms))) if terms else false()
