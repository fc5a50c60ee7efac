"""Conversations and feedback on answers, in a SQLite file of their own.

Documents and models are not involved: an answer is stored as the JSON that was returned.
"""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seedbed.database.sqlite import open_sqlite, sqlite_errors
from seedbed.errors import NotFound

Rating = Literal["up", "down"]
Origin = Literal["page", "api"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, caller TEXT NOT NULL, collection TEXT NOT NULL, title TEXT NOT NULL,
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    origin TEXT NOT NULL DEFAULT 'page'
);
CREATE INDEX IF NOT EXISTS conversations_by_caller ON conversations (caller, created);
CREATE TABLE IF NOT EXISTS turns (
    id TEXT PRIMARY KEY,
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    question TEXT NOT NULL, answer TEXT NOT NULL, rating TEXT, comment TEXT NOT NULL DEFAULT '',
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
);
CREATE INDEX IF NOT EXISTS turns_by_conversation ON turns (conversation_id);
"""
# Files from before conversations had an origin; theirs is unknown, so the page lists them.
ADD_ORIGIN = "ALTER TABLE conversations ADD COLUMN origin TEXT NOT NULL DEFAULT 'page'"
_CONVERSATION = """
SELECT id, collection, title, created,
    coalesce((SELECT max(created) FROM turns WHERE conversation_id = c.id), created) AS updated
FROM conversations c
"""


@dataclass(frozen=True)
class Conversation:
    """`title` is the first question, `updated` the time of the last turn; UTC in ISO 8601."""

    id: str
    collection: str
    title: str
    created: str
    updated: str


@dataclass(frozen=True)
class Turn:
    """A question with its answer as JSON, and the feedback on it."""

    id: str
    question: str
    answer: dict[str, Any]
    rating: Rating | None = None
    comment: str = ""


class Conversations:
    """Each caller sees its own conversations only; those of others do not exist for it."""

    def __init__(self, path: Path) -> None:
        """The file is created at its first use."""
        self.path = path

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        # One connection per call: threads share nothing, and opening one takes about 0.2 ms.
        damaged = "Move it away to start a new one, or restore a backup."
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (
            sqlite_errors(self.path, setting="RAG_DATA_DIR", damaged=damaged),
            closing(open_sqlite(self.path, busy_seconds=10, wal=False, foreign_keys=1)) as database,
        ):
            database.executescript(SCHEMA)
            if not _has_origin(database):  # a file of an earlier version
                database.execute("BEGIN IMMEDIATE")  # several processes may open it
                if not _has_origin(database):
                    database.execute(ADD_ORIGIN)
                database.execute("COMMIT")
            yield database

    def start(self, caller: str, collection: str, title: str, origin: Origin = "api") -> str:
        """Create a conversation; returns its id."""
        identifier = uuid.uuid4().hex
        with self._database() as database:
            database.execute(
                "INSERT INTO conversations (id, caller, collection, title, origin)"
                " VALUES (?, ?, ?, ?, ?)",
                (identifier, caller, collection, title[:80], origin),
            )
        return identifier

    def add(self, conversation_id: str, question: str, answer: dict[str, Any]) -> str:
        """Add a turn; returns its id. Raises NotFound if the conversation was deleted."""
        row = (uuid.uuid4().hex, conversation_id, question, json.dumps(answer, ensure_ascii=False))
        try:
            with self._database() as database:
                database.execute(
                    "INSERT INTO turns (id, conversation_id, question, answer) VALUES (?, ?, ?, ?)",
                    row,
                )
        except sqlite3.IntegrityError:
            raise _unknown(conversation_id) from None
        return row[0]

    def find(self, conversation_id: str, caller: str) -> Conversation:
        """One conversation. Raises NotFound if it does not exist or belongs to another caller."""
        with self._database() as database:
            row = database.execute(
                f"{_CONVERSATION} WHERE id = ? AND caller = ?",
                (conversation_id, caller),
            ).fetchone()
        if row is None:
            raise _unknown(conversation_id)
        return Conversation(*row)

    def turns(self, conversation_id: str, caller: str) -> list[Turn]:
        """The turns of a conversation, oldest first. Raises NotFound."""
        self.find(conversation_id, caller)
        with self._database() as database:
            rows = database.execute(
                "SELECT id, question, answer, rating, comment FROM turns"
                " WHERE conversation_id = ? ORDER BY rowid",
                (conversation_id,),
            ).fetchall()
        return [Turn(i, q, json.loads(a), r, c) for i, q, a, r, c in rows]

    def list(
        self, caller: str, limit: int = 50, offset: int = 0, origin: Origin | None = None
    ) -> list[Conversation]:
        """Conversations of a caller, the last updated first; `origin` None lists both kinds."""
        with self._database() as database:
            rows = database.execute(
                f"{_CONVERSATION} WHERE caller = ?1 AND (?2 IS NULL OR origin = ?2)"
                " ORDER BY updated DESC, rowid DESC LIMIT ?3 OFFSET ?4",
                (caller, origin, limit, offset),
            ).fetchall()
        return [Conversation(*row) for row in rows]

    def delete(self, conversation_id: str, caller: str) -> None:
        """Delete a conversation with its turns. Raises NotFound."""
        self.find(conversation_id, caller)
        with self._database() as database:
            database.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))

    def rate(self, turn_id: str, caller: str, rating: Rating | None, comment: str = "") -> None:
        """Store feedback on an answer in place of earlier feedback; None removes it."""
        with self._database() as database:
            updated = database.execute(
                "UPDATE turns SET rating = ?, comment = ? WHERE id = ? AND conversation_id IN"
                " (SELECT id FROM conversations WHERE caller = ?)",
                (rating, comment, turn_id, caller),
            ).rowcount
        if not updated:
            raise NotFound(f"Unknown answer {turn_id[:100]!r}.")

    def export(self, *, rating: Rating | None = "up") -> Iterator[dict[str, Any]]:
        """Rated answers as cases for `eval --qa`; `rating=None` exports both kinds.

        For an answer rated up, the case expects the same quotes again. For one rated down the
        expected answer is empty, to be filled in by a person.
        """
        with self._database() as database:
            rows = database.execute(
                "SELECT id, answer, rating, comment FROM turns WHERE rating IS NOT NULL"
                " AND (?1 IS NULL OR rating = ?1) ORDER BY rowid",
                (rating,),
            ).fetchall()
        for identifier, stored, row_rating, comment in rows:
            answer = json.loads(stored)
            good = row_rating == "up"
            cited = answer["citations"] if good else []
            if good and not (cited or answer["abstained"]):
                continue  # a greeting
            yield {
                "id": identifier,
                "question": answer["question"],
                "answers": [as_pattern(citation["quote"]) for citation in cited],
                "source": sorted({citation["source"] for citation in cited}),
                "answerable": not (good and answer["abstained"]),
                "rating": row_rating,
                "comment": comment,
            }


def _has_origin(database: sqlite3.Connection) -> bool:
    columns = database.execute("PRAGMA table_info(conversations)").fetchall()
    return "origin" in {name for _, name, *_ in columns}


def _unknown(conversation_id: str) -> NotFound:
    return NotFound(f"Unknown conversation {conversation_id[:100]!r}.")


def as_pattern(quote: str) -> str:
    """A regular expression that matches the quote with any markup and line breaks."""
    return r"\W+".join(re.escape(word) for word in re.findall(r"\w+", quote))
