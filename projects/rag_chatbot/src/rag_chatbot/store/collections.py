"""Collections and their access rules: which callers may read and write each of them.

To a caller, a collection that it may not read looks exactly like one that does not exist.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rag_chatbot.store.callers import LOCAL, OPERATOR, Caller
from rag_chatbot.store.database import Database
from rag_chatbot.store.vector_index import PREFIX
from seedbed.errors import BadInput, Forbidden, NotFound

Action = Literal["read", "write"]

_COLUMNS = "id, name, readers, writers, embedder, index_name"


@dataclass(frozen=True, slots=True)
class Collection:
    """`readers` and `writers` are names of API keys, or `"*"` for every caller.

    Without `writers` it is the operator's, see `Config.writers`. `embedder` names the embeddings of
    its vectors; `index_name` is its name in Chroma.
    """

    id: int
    name: str
    readers: tuple[str, ...]
    writers: tuple[str, ...]
    embedder: str
    index_name: str

    @property
    def fts(self) -> str:
        """Its full-text table. One for each collection, so that scores don't depend on others."""
        return f"fts_{self.id}"


class Collections:
    """The table of collections in one database."""

    def __init__(self, database: Database, embedder: str, writers: Sequence[str] = ()) -> None:
        """`embedder` is recorded with each collection that is created.

        `writers` are the names of the API keys that may change the operator's collections.
        """
        self.database = database
        self.embedder = embedder
        self.writers = (LOCAL, *writers)

    def create(self, name: str, readers: Sequence[str], writers: Sequence[str]) -> Collection:
        """Create a collection, or return the existing one with its rules unchanged.

        Raises BadInput for a name that is empty, over 200 characters or not printable.
        """
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise BadInput(
                f"Invalid collection name {name[:60]!r}.", hint="Use 1 to 200 printable characters."
            )
        with self.database.writing(), self.database.transaction() as db:
            created = db.execute(
                f"INSERT OR IGNORE INTO collections ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?)",
                (name, _dump(readers), _dump(writers), self.embedder, new_index_name()),
            )
            if created.rowcount:
                db.execute(
                    f"CREATE VIRTUAL TABLE fts_{created.lastrowid} USING fts5"
                    "(title, heading, body, tokenize='porter unicode61')"
                )
        return self.get(name)

    def find(self, name: str) -> Collection | None:
        """The collection, or None."""
        db = self.database.connections.get()
        row = db.execute(f"SELECT {_COLUMNS} FROM collections WHERE name = ?", (name,)).fetchone()
        return _collection(row) if row else None

    def of_index(self, index_name: str) -> Collection | None:
        """The collection with this name in Chroma, or None."""
        db = self.database.connections.get()
        query = f"SELECT {_COLUMNS} FROM collections WHERE index_name = ?"
        row = db.execute(query, (index_name,)).fetchone()
        return _collection(row) if row else None

    def get(self, name: str) -> Collection:
        """The collection, without a check of access. Raises NotFound."""
        return self.require(name, OPERATOR, "read")

    def require(self, name: str, caller: Caller, action: Action) -> Collection:
        """The collection, if `caller` may do this with it.

        Raises the same NotFound whether it does not exist or the caller may not read it, and
        Forbidden for one that it may read but not write.
        """
        collection = self.find(name)
        if collection is not None:
            can_read = _allows(collection.readers, caller)
            can_write = _allows(collection.writers or self.writers, caller)
            if can_write if action == "write" else can_read:
                return collection
            if can_read:
                raise Forbidden(
                    f"Collection {name!r} is read-only for this API key.",
                    hint="The operator of the server can change that, see RAG_WRITERS.",
                )
        raise NotFound(
            f"Unknown collection {name[:200]!r}, or no permission to {action} it.",
            hint="List yours: rag-chatbot collections list, or GET /v1/collections.",
        )

    def names(self, caller: Caller = OPERATOR) -> list[str]:
        """The names of all collections that `caller` may read, in alphabetical order."""
        db = self.database.connections.get()
        rows = db.execute(f"SELECT {_COLUMNS} FROM collections ORDER BY name")
        collections = [_collection(row) for row in rows]
        return [c.name for c in collections if _allows(c.readers, caller)]


def new_index_name() -> str:
    """A fresh name for Chroma, whose names allow few characters, while ours may contain any."""
    return f"{PREFIX}{uuid.uuid4().hex}"


def _allows(names: Sequence[str], caller: Caller) -> bool:
    return caller is OPERATOR or "*" in names or caller in names


def _dump(names: Sequence[str]) -> str:
    return json.dumps(list(names))


def _collection(row: tuple[int, str, str, str, str, str]) -> Collection:
    number, name, readers, writers, embedder, index_name = row
    return Collection(
        number, name, tuple(json.loads(readers)), tuple(json.loads(writers)), embedder, index_name
    )
