"""Brings the vector index to what the catalogue says, after every change and after every crash.

The outbox holds the changes that the index has not seen. Applying one twice does no harm, so a
process may die between any two lines here. Knows nothing of documents or of search.
"""

from __future__ import annotations

import time
import uuid
from contextlib import suppress

import numpy as np

from rag_chatbot.store.database import Database
from rag_chatbot.store.vector_index import Index
from seedbed.errors import Busy, Unavailable

BATCH = 2000
RETRY_SECONDS = 10.0


class Sync:
    def __init__(self, database: Database, index: Index) -> None:
        self.database = database
        self.index = index
        self._generation = ""  # of the index, as this process last saw it
        self._check_at = 0.0  # when to compare index and catalogue; infinity once they agreed

    def query(self, name: str, vector: np.ndarray, k: int) -> list[tuple[int, float]]:
        """(chunk id, cosine) from an index that agrees with the catalogue.

        Raises Unavailable when the server of the index does not answer.
        """
        self.ready()
        try:
            return self.index.query(name, vector, k)
        except Unavailable:
            self._check_at = 0.0
            if self.index.url:
                raise
        self.repair()
        return self.index.query(name, vector, k)

    def ready(self) -> None:
        """Repair once per process; look again when another process has changed the index."""
        if time.monotonic() >= self._check_at:
            try:
                self.repair(timeout=0.5)
            except Busy:  # somebody is writing, and applies the outbox himself
                self._check_at = time.monotonic() + RETRY_SECONDS
        generation = self._stored_generation()
        if generation != self._generation:
            if not self.index.url and self._generation:
                self.index.reopen()
            self._generation = generation

    def apply(self) -> int:
        """Write what the outbox holds to the index. Returns how many changes that were.

        Raises Unavailable with the outbox as it was; a later call continues.
        """
        done = 0
        with self.database.writing():
            while True:
                rows = self.database.connection().execute(
                    "SELECT id, op, index_name, chunk_id FROM outbox ORDER BY id LIMIT ?", (BATCH,)
                ).fetchall()  # fmt: skip
                if not rows:
                    return done
                try:
                    self._apply(rows)
                except Unavailable:
                    self._check_at = 0.0
                    raise
                generation = uuid.uuid4().hex
                with self.database.transaction() as db:
                    db.execute("DELETE FROM outbox WHERE id <= ?", (rows[-1][0],))
                    db.execute(
                        "INSERT OR REPLACE INTO meta VALUES ('generation', ?)", (generation,)
                    )
                self._generation = generation
                done += len(rows)

    def repair(self, timeout: float = 60.0) -> None:
        """Apply what is left, then compare; an embedded index that is broken is built anew."""
        with self.database.writing(timeout):
            try:
                self._repair()
            except Unavailable:
                if self.index.url:
                    raise
                self.index.reset()
                self._repair()
        self._check_at = float("inf")

    def _repair(self) -> None:
        if self._stored_generation() != self._generation:
            self.index.reopen()
            self._generation = self._stored_generation()
        self.apply()
        db = self.database.connection()
        for number, name in db.execute("SELECT id, index_name FROM collections").fetchall():
            (count,) = db.execute(
                "SELECT count(*) FROM chunks WHERE document_id IN"
                " (SELECT id FROM documents WHERE collection_id = ?)", (number,)
            ).fetchone()  # fmt: skip
            if self.index.count(name) != count:
                self._compare(number, name)

    def _compare(self, collection_id: int, name: str) -> None:
        """Put into the outbox whatever is missing or too much in the index, and apply it."""
        with self.database.transaction() as db:
            want = {i for (i,) in db.execute(
                "SELECT id FROM chunks WHERE document_id IN"
                " (SELECT id FROM documents WHERE collection_id = ?)", (collection_id,)
            )}  # fmt: skip
            have = self.index.ids(name)
            db.executemany(
                "INSERT INTO outbox (op, index_name, chunk_id) VALUES (?, ?, ?)",
                [("delete", name, i) for i in sorted(have - want)]
                + [("upsert", name, i) for i in sorted(want - have)],
            )
        self.apply()

    def _apply(self, rows: list[tuple[int, str, str, int]]) -> None:
        last: dict[str, dict[int, str]] = {}
        for _, op, name, chunk_id in rows:
            if op == "drop":
                last.pop(name, None)
                self.index.drop(name)
            else:
                last.setdefault(name, {})[chunk_id] = op
        for name, changes in last.items():
            vectors = self._vectors([i for i, op in changes.items() if op == "upsert"])
            gone = [i for i in changes if i not in vectors]
            if gone:
                self.index.delete(name, gone)
            if vectors:
                array = np.stack([np.frombuffer(v, dtype=np.float32) for v in vectors.values()])
                self.index.upsert(name, list(vectors), array)

    def _vectors(self, ids: list[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for at in range(0, len(ids), 500):
            part = ids[at : at + 500]
            found.update(
                self.database.connection()
                .execute(
                    "SELECT c.id, v.vector FROM chunks c JOIN documents d ON d.id = c.document_id"
                    " JOIN collections l ON l.id = d.collection_id"
                    " JOIN vectors v ON v.hash = c.hash AND v.embedder = l.embedder"
                    f" WHERE c.id IN ({','.join('?' * len(part))})",
                    part,
                )
                .fetchall()
            )
        return found

    def _stored_generation(self) -> str:
        row = self.database.connection().execute(
            "SELECT value FROM meta WHERE key = 'generation'"
        ).fetchone()  # fmt: skip
        return row[0] if row else ""

    def close(self) -> None:
        with suppress(Exception):
            self.index.close()
