"""Full-text search over the mails: FTS5 on SQLite, tsvector on Postgres.

    index(connection, case_number, "Refund for order 10234 …")
    select(cases).where(matches("sqlite", "refund 102"))

Words are split here and compared without case and accents, so that both databases find the same.
"""

from __future__ import annotations

import re
import unicodedata

from sqlalchemy import ColumnElement, Connection, false, text

from agentic_workflow.store.schema import cases

MAX_TEXT = 20_000  # characters of a mail that can be found
MAX_WORD = 60
_PREFIX = 3  # shorter words are found whole: thousands of words begin with one letter
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
    rowid, value = {
        "sqlite": ("rowid", ":words"),
        "postgresql": ("number", "array_to_tsvector(string_to_array(:words, ' '))"),
    }[connection.dialect.name]
    statement = text(f"INSERT INTO case_words ({rowid}, words) VALUES (:number, {value})")
    connection.execute(statement, {"number": number, "words": " ".join(words(content))})


def matches(dialect: str, query: str) -> ColumnElement[bool]:
    """The condition that a case contains all words of `query`, each as the beginning of a word."""
    terms = [(term, len(term) >= _PREFIX) for term in words(query)]
    if not terms:
        return false()
    if dialect == "sqlite":
        rows = "SELECT rowid FROM case_words WHERE case_words MATCH :words"
        expression = " ".join(f'"{term}"{"*" * is_prefix}' for term, is_prefix in terms)
    else:
        rows = "SELECT number FROM case_words WHERE words @@ CAST(:words AS tsquery)"
        expression = " & ".join(f"'{term}'{':*' * is_prefix}" for term, is_prefix in terms)
    return cases.c.number.in_(text(rows).bindparams(words=expression).columns(cases.c.number))
