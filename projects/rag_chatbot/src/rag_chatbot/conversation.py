"""Conversations and feedback on answers, in a SQLite file of their own.

Documents and models are not involved: an answer is stored as the JSON that was returned, without
the passages that it does not quote.
"""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seedbed.database.sqlite import open_sqlite, sqlite_errors
from seedbed.errors import NotFound

Rating = Literal["up", "down"]
ERASED = "This answer quoted a document that was deleted."

SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, caller TEXT NOT NULL, collection TEXT NOT NULL, title TEXT NOT NULL,
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
);
CREATE INDEX IF NOT EXISTS conversations_by_caller ON conversations (caller, created);
CREATE TABLE IF NOT EXISTS turns (
    id TEXT PRIMARY KEY,
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    question TEXT NOT NULL, answer TEXT NOT NULL, rating TEXT,
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
);
CREATE INDEX IF NOT EXISTS turns_by_conversation ON turns (conversation_id);
"""
_CONVERSATION = """
SELECT id, collection, title, created,
    coalesce((SELECT max(created) FROM turns WHERE conversation_id = c.id), created) AS updated
FROM conversations c
"""


@dataclass(frozen=True)
class Conversation:
    """A conversation of one caller about one collection. Times are UTC in ISO 8601.

    `title` is its first question, `updated` the time of its last turn.
    """

    id: str
    collection: str
    title: str
    created: str
    updated: str


@dataclass(frozen=True)
class Turn:
    """A question with its answer, which is the response of `/v1/ask`, and the rating of it."""

    id: str
    question: str
    answer: dict[str, Any]
    rating: Rating | None = None


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
            # What is erased must not stay in free pages of the file.
            database.executescript(f"PRAGMA secure_delete = ON; {SCHEMA}")
            yield database

    def start(self, caller: str, collection: str, title: str) -> str:
        """Create a conversation; returns its id."""
        row = (uuid.uuid4().hex, caller, collection, title[:80])
        with self._database() as database:
            database.execute(
                "INSERT INTO conversations (id, caller, collection, title) VALUES (?, ?, ?, ?)", row
            )
        return row[0]

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

    def read(self, conversation_id: str, caller: str) -> tuple[Conversation, list[Turn]]:
        """A conversation with its turns, oldest first.

        Raises NotFound if it does not exist or belongs to another caller.
        """
        with self._database() as database:
            row = database.execute(
                f"{_CONVERSATION} WHERE id = ? AND caller = ?", (conversation_id, caller)
            ).fetchone()
            if row is None:
                raise _unknown(conversation_id)
            turns = database.execute(
                "SELECT id, question, answer, rating FROM turns WHERE conversation_id = ?"
                " ORDER BY rowid",
                (conversation_id,),
            ).fetchall()
        return Conversation(*row), [Turn(i, q, json.loads(a), r) for i, q, a, r in turns]

    def list(self, caller: str, collections: Sequence[str], limit: int = 50) -> list[Conversation]:
        """Conversations of a caller about some collections, the last updated first."""
        with self._database() as database:
            rows = database.execute(
                f"{_CONVERSATION} WHERE caller = ?"
                " AND collection IN (SELECT value FROM json_each(?))"
                " ORDER BY updated DESC, rowid DESC LIMIT ?",
                (caller, json.dumps(collections), limit),
            ).fetchall()
        return [Conversation(*row) for row in rows]

    def delete(self, conversation_id: str, caller: str) -> None:
        """Delete a conversation with its turns. Raises NotFound."""
        with self._database() as database:
            cursor = database.execute(
                "DELETE FROM conversations WHERE id = ? AND caller = ?", (conversation_id, caller)
            )
        if not cursor.rowcount:
            raise _unknown(conversation_id)

    def erase_deleted(self, collection: str, sources: Collection[str]) -> None:
        """Erase the answers about a collection that cite documents not in `sources`."""
        with self._database() as database:
            rows = database.execute(
                "SELECT t.id, t.answer FROM turns t JOIN conversations c ON c.id ="
                " t.conversation_id WHERE c.collection = ?",
                (collection,),
            ).fetchall()
            for identifier, stored in rows:
                answer = json.loads(stored)
                if all(citation["source"] in sources for citation in answer["citations"]):
                    continue
                answer |= {"answer": ERASED, "abstained": True, "citations": [], "notices": []}
                database.execute(
                    "UPDATE turns SET answer = ?, rating = NULL WHERE id = ?",
                    (json.dumps(answer, ensure_ascii=False), identifier),
                )

    def rate(self, turn_id: str, caller: str, rating: Rating | None) -> None:
        """Store a rating in place of an earlier one; None removes it. Raises NotFound."""
        with self._database() as database:
            cursor = database.execute(
                "UPDATE turns SET rating = ? WHERE id = ? AND conversation_id IN"
                " (SELECT id FROM conversations WHERE caller = ?)",
                (rating, turn_id, caller),
            )
        if not cursor.rowcount:
            raise NotFound(f"Unknown answer {turn_id[:100]!r}.")

    def export(self) -> Iterator[dict[str, Any]]:
        """Answers rated up as cases for `eval --qa`, which expect the same quotes again."""
        with self._database() as database:
            rows = database.execute(
                "SELECT id, answer FROM turns WHERE rating = 'up' ORDER BY rowid"
            ).fetchall()
        for identifier, stored in rows:
            answer = json.loads(stored)
            cited = answer["citations"]
            if not cited and not answer["abstained"]:
                continue  # a greeting
            yield {
                "id": identifier,
                "question": answer["question"],
                "answers": [as_pattern(citation["quote"]) for citation in cited],
                "source": sorted({citation["source"] for citation in cited}),
                "answerable": not answer["abstained"],
            }


def _unknown(conversation_id: str) -> NotFound:
    return NotFound(f"Unknown conversation {conversation_id[:100]!r}.")


def as_pattern(quote: str) -> str:
    """A regular expression that matches the quote with any markup and line breaks."""
    return r"\W+".join(re.escape(word) for word in re.findall(r"\w+", quote))
