"""Collections and their access rules: which callers may read and write each of them.

To a caller, a collection that it may not read looks exactly like one that does not exist.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from rag_chatbot.store.database import Database
from seedbed.errors import BadInput, Forbidden, NotFound

Action = Literal["read", "write"]


class Operator(Enum):
    """The person who runs commands on this machine, and may use every collection."""

    OPERATOR = "operator"


OPERATOR = Operator.OPERATOR
LOCAL = "local"  # the caller on a server without API keys
Caller = str | Operator  # the name of an API key, LOCAL or OPERATOR

PREFIX = "seedbed-"  # of our names in Chroma, which other programs may use too
_COLUMNS = "id, name, readers, writers, embedder, index_name"


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of documents with access rules.

    `readers` and `writers` are names of API keys, or `"*"` for every caller.

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

    def create(
        self, name: str, readers: Sequence[str] = ("*",), writers: Sequence[str] = ()
    ) -> Collection:
        """Create a collection, or return the existing one with its rules unchanged.

        Without `writers` it is the operator's, see `Config.writers`. Raises BadInput for a name
        that is empty, over 200 characters or not printable.
        """
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise BadInput(
                f"Invalid collection name {name[:60]!r}.", hint="Use 1 to 200 printable characters."
            )
        with self.database.writing(), self.database.transaction() as db:
            index_name = f"{PREFIX}{uuid.uuid4().hex}"  # Chroma's names allow few characters
            created = db.execute(
                f"INSERT OR IGNORE INTO collections ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?)",
                (name, _dump(readers), _dump(writers), self.embedder, index_name),
            )
            if created.rowcount:
                db.execute(
                    f"CREATE VIRTUAL TABLE fts_{created.lastrowid} USING fts5"
                    "(title, heading, body, tokenize='porter unicode61')"
                )
        return self.get(name)

    def get(self, name: str) -> Collection:
        """The collection, without a check of access. Raises NotFound."""
        return self.require(name, OPERATOR, "read")

    def require(self, name: str, caller: Caller, action: Action) -> Collection:
        """The collection, if `caller` may do this with it.

        Raises the same NotFound whether it does not exist or the caller may not read it, and
        Forbidden for one that it may read but not write.
        """
        db = self.database.connections.get()
        row = db.execute(f"SELECT {_COLUMNS} FROM collections WHERE name = ?", (name,)).fetchone()
        if row is not None:
            collection = _collection(row)
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

    def all(self, caller: Caller = OPERATOR) -> list[Collection]:
        """All collections that `caller` may read, in alphabetical order."""
        db = self.database.connections.get()
        rows = db.execute(f"SELECT {_COLUMNS} FROM collections ORDER BY name")
        return [c for c in map(_collection, rows) if _allows(c.readers, caller)]

    def names(self, caller: Caller = OPERATOR) -> list[str]:
        """The names of `all`."""
        return [collection.name for collection in self.all(caller)]


def _allows(names: Sequence[str], caller: Caller) -> bool:
    return caller is OPERATOR or "*" in names or caller in names


def _dump(names: Sequence[str]) -> str:
    return json.dumps(list(names))


def _collection(row: tuple[int, str, str, str, str, str]) -> Collection:
    number, name, readers, writers, embedder, index_name = row
    return Collection(
        number, name, tuple(json.loads(readers)), tuple(json.loads(writers)), embedder, index_name
    )
