"""Collections and who may use them: names of API keys, or `"*"` for anyone.

A collection that a caller may not read and one that does not exist look the same from outside.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rag_chatbot.store.database import Database
from rag_chatbot.store.vector_index import PREFIX
from seedbed.errors import BadInput, NotFound

_COLUMNS = "id, name, readers, writers, embedder, index_name"


@dataclass(frozen=True, slots=True)
class Collection:
    """`readers` and `writers` are names of API keys; `"*"` is anyone. `index_name` is Chroma's."""

    id: int
    name: str
    readers: tuple[str, ...]
    writers: tuple[str, ...]
    embedder: str
    index_name: str

    @property
    def fts(self) -> str:
        """Its own full-text table, so that word frequencies of others neither count nor show."""
        return f"fts_{self.id}"


class Collections:
    def __init__(self, database: Database, embedder: str) -> None:
        self.database = database
        self.embedder = embedder

    def create(self, name: str, readers: Sequence[str], writers: Sequence[str]) -> Collection:
        """Create it, or return the one that is there, with its rule as it is."""
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise BadInput(
                f"{name[:60]!r} is no name for a collection: 1 to 200 printable characters."
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
        row = self.database.connection().execute(
            f"SELECT {_COLUMNS} FROM collections WHERE name = ?", (name,)
        ).fetchone()  # fmt: skip
        return _collection(row) if row else None

    def get(self, name: str) -> Collection:
        """Raises NotFound. For a caller from outside use `require`."""
        found = self.find(name)
        if found is None:
            raise _not_found(name, "use")
        return found

    def names(self, caller: str | None = None) -> list[str]:
        """Those that `caller` may read; every one for None."""
        rows = self.database.connection().execute(
            f"SELECT {_COLUMNS} FROM collections ORDER BY name"
        )
        found = [_collection(row) for row in rows]
        return [c.name for c in found if caller is None or allowed(c.readers, caller)]

    def require(self, name: str, caller: str, action: Literal["read", "write"]) -> Collection:
        """The collection, if `caller` may do this with it; else NotFound, absent or not.

        Somebody who may read but not write learns nothing new from the same answer.
        """
        found = self.find(name)
        if found is None or not allowed(
            found.readers if action == "read" else found.writers, caller
        ):
            raise _not_found(name, action)
        return found

    def set_access(self, name: str, readers: Sequence[str], writers: Sequence[str]) -> Collection:
        with self.database.writing(), self.database.transaction() as db:
            db.execute(
                "UPDATE collections SET readers = ?, writers = ? WHERE name = ?",
                (_dump(readers), _dump(writers), name),
            )
        return self.get(name)


def allowed(names: Sequence[str], caller: str) -> bool:
    return "*" in names or caller in names


def new_index_name() -> str:
    """Chroma allows few characters in a name; ours may hold any. Never used twice."""
    return f"{PREFIX}{uuid.uuid4().hex}"


def _not_found(name: str, action: str) -> NotFound:
    return NotFound(
        f"There is no collection {name[:200]!r} that you may {action}.",
        hint="List yours with: rag-chatbot collections list",
    )


def _dump(names: Sequence[str]) -> str:
    return json.dumps(list(names))


def _collection(row: tuple[int, str, str, str, str, str]) -> Collection:
    number, name, readers, writers, embedder, index_name = row
    return Collection(
        number, name, tuple(json.loads(readers)), tuple(json.loads(writers)), embedder, index_name
    )
