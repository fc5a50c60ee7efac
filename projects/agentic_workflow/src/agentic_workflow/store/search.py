"""Full-text search over the mails: FTS5 on SQLite, tsvector on Postgres, behind two functions.

    index(connection, case_number, "Refund for order 10234 …")
    select(cases).where(matches(connection, "refund 102"))

Words are split here and compared without case and accents, so that both databases find the same.
A search matches cases that contain all its words, each at the beginning of a word.
"""

from __future__ import annotations

import re
import unicodedata

from sqlalchemy import ColumnElement, Connection, false, text

from agentic_workflow.store.schema import cases

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
    if connection.dialect.name == "sqlite":
        statement = "INSERT INTO case_words (rowid, words) VALUES (:number, :words)"
        connection.execute(text(statement), {"number": number, "words": " ".join(words(content))})
    else:
        statement = "INSERT INTO case_words VALUES (:number, array_to_tsvector(:words))"
        connection.execute(text(statement), {"number": number, "words": words(content)})


def matches(connection: Connection, query: str) -> ColumnElement[bool]:
    """The condition that a row of `cases` contains the words of `query`."""
    terms = words(query)
    if not terms:
        return false()
    if connection.dialect.name == "sqlite":
        rows = "SELECT rowid FROM case_words WHERE case_words MATCH :words"
        expression = " ".join(f'"{term}"*' for term in terms)
    else:
        rows = "SELECT number FROM case_words WHERE words @@ CAST(:words AS tsquery)"
        expression = " & ".join(f"'{term}':*" for term in terms)
    return cases.c.number.in_(text(rows).bindparams(words=expression).columns(cases.c.number))
