"""The outbox: changes of the catalogue that the vector index has not received yet.

    with database.writing():
        with database.transaction() as db:     # the document, and what the index has to do for it
            add(db, "upsert", collection.index_name, chunk_ids)
        outbox.drain()                         # after a crash in between, the next start does it

No transaction covers both SQLite and Chroma, so each change is recorded in the catalogue, together
with the document, and then applied: the transactional outbox pattern. Applying a change twice is
harmless, so the process may die between any two lines here.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from rag_chatbot.store.database import Database
from rag_chatbot.store.vector_index import VectorIndex

BATCH = 2000  # changes applied together
Op = Literal["upsert", "delete", "drop"]


def add(db: sqlite3.Connection, op: Op, index_name: str, chunk_ids: Sequence[int] = (0,)) -> None:
    """Record a change of these chunks, or with `drop` of the whole index."""
    db.executemany(
        "INSERT INTO outbox (op, index_name, chunk_id) VALUES (?, ?, ?)",
        [(op, index_name, chunk_id) for chunk_id in chunk_ids],
    )


class Outbox:
    """Applies the changes recorded in one catalogue to one vector index."""

    def __init__(
        self,
        database: Database,
        index: VectorIndex,
        embed: Callable[[str, list[int]], Mapping[int, np.ndarray]],
    ) -> None:
        """`embed` returns the vectors of chunks by id; chunks that were deleted are left out."""
        self.database = database
        self.index = index
        self.embed = embed

    def drain(self) -> int:
        """Apply all recorded changes to the index, oldest first; returns how many.

        Raises Unavailable and leaves the rest in the outbox, for a later call to continue.
        """
        count = 0
        with self.database.writing():
            self.index.reopen_if_changed(self.database.connections.get())
            while True:
                # 1. Read the oldest changes.
                db = self.database.connections.get()
                rows = db.execute(
                    "SELECT id, op, index_name, chunk_id FROM outbox ORDER BY id LIMIT ?", (BATCH,)
                ).fetchall()
                if not rows:
                    return count
                # 2. Write them to the index. After a crash here they are written again.
                self._write(rows)
                # 3. Only then delete them from the outbox, together with the new generation.
                with self.database.transaction() as db:
                    db.execute("DELETE FROM outbox WHERE id <= ?", (rows[-1][0],))
                    self.note_change(db)
                count += len(rows)

    def note_change(self, db: sqlite3.Connection) -> None:
        """Let other processes know that the index has changed."""
        self.index.generation = uuid.uuid4().hex
        db.execute("INSERT OR REPLACE INTO meta VALUES ('generation', ?)", (self.index.generation,))

    def _write(self, rows: Sequence[tuple[int, Op, str, int]]) -> None:
        """Write (id, op, index name, chunk id) changes; the last one of a chunk wins."""
        last_op: dict[str, dict[int, Op]] = {}
        for _, op, name, chunk_id in rows:
            if op == "drop":
                last_op.pop(name, None)
                self.index.drop(name)
            else:
                last_op.setdefault(name, {})[chunk_id] = op
        for name, ops in last_op.items():
            vectors = self.embed(name, [i for i, op in ops.items() if op == "upsert"])
            deleted = [i for i in ops if i not in vectors]  # or gone from the catalogue since
            if deleted:
                self.index.delete(name, deleted)
            if vectors:
                self.index.upsert(name, list(vectors), np.stack(list(vectors.values())))
