"""The vector index in Chroma, and how it is kept equal to the catalogue.

`VectorIndex` wraps Chroma, embedded in a folder or as a server. Its entries (chunk id, vector) are
copies, and the catalogue can rebuild all of them. `IndexSync` applies the outbox: the catalogue's
list of changes that the index has not received. Applying a change twice is harmless, so the process
may die between any two lines here.

An embedded Chroma does not see what another process wrote until it is reopened.
"""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from rag_chatbot.store.database import WRITE_SECONDS, Database
from seedbed.errors import Busy, ConfigError, SeedbedError, Unavailable

# The space is cosine, so a distance is 1 - cosine.
HNSW = {"space": "cosine", "ef_search": 200}
PREFIX = "seedbed-"  # of our names in Chroma, which other programs may use too
BATCH = 2000  # changes applied in one go
PROBES = 8  # newest chunks of a collection, whose vectors show whether an index is this catalogue's
LOW_DISK_MB = 100  # with less space left, an error of Chroma is taken to be a full disk
RETRY_SECONDS = 10.0  # before another attempt to repair while another process writes
_IN_COLLECTION = "document_id IN (SELECT id FROM documents WHERE collection_id = ?)"


class VectorIndex:
    """(chunk id, vector) pairs by collection. Any failure of Chroma is raised as Unavailable."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.url = url
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._lock = threading.RLock()

    def upsert(self, name: str, ids: Sequence[int], vectors: np.ndarray) -> None:
        """Add or replace. vectors: float32 (len(ids), dimension)."""
        with self._translated():
            collection = self._collection(name)
            for at in range(0, len(ids), 1000):
                collection.upsert(
                    ids=[str(i) for i in ids[at : at + 1000]], embeddings=vectors[at : at + 1000]
                )

    def delete(self, name: str, ids: Sequence[int]) -> None:
        """Delete entries; ids without an entry are ignored."""
        with self._translated():
            collection = self._collection(name)
            for at in range(0, len(ids), 1000):
                collection.delete(ids=[str(i) for i in ids[at : at + 1000]])

    def drop(self, name: str) -> None:
        """Delete a collection if it exists."""
        from chromadb.errors import NotFoundError

        with self._translated():
            self._collections.pop(name, None)
            with suppress(NotFoundError, ValueError):
                self._open().delete_collection(name)

    def query(self, name: str, vector: np.ndarray, k: int) -> list[tuple[int, float]]:
        """(chunk id, cosine) of the `k` nearest entries, best first. vector: (dimension,)."""
        with self._translated():
            result = self._collection(name).query(
                query_embeddings=vector.reshape(1, -1), n_results=k, include=["distances"]
            )
        pairs = zip(result["ids"][0], result["distances"][0], strict=True)
        return [(int(i), 1.0 - float(distance)) for i, distance in pairs]

    def ids(self, name: str) -> set[int]:
        """The chunk ids of all entries."""
        with self._translated():
            return {int(i) for i in self._collection(name).get(include=[])["ids"]}

    def count(self, name: str) -> int:
        """The number of entries."""
        with self._translated():
            return int(self._collection(name).count())

    def vectors(self, name: str, ids: Sequence[int]) -> dict[int, np.ndarray]:
        """The vectors of those chunks that have an entry."""
        with self._translated():
            result = self._collection(name).get([str(i) for i in ids], include=["embeddings"])
        return dict(zip(map(int, result["ids"]), result["embeddings"], strict=True))

    def reopen(self) -> None:
        """Close the client; the next call opens it again and reads what is on disk then."""
        with self._lock:
            client, self._client = self._client, None
            self._collections.clear()
            if client is not None:
                with suppress(Exception):
                    client.close()

    def reset(self) -> None:
        """Delete an embedded index, to be rebuilt from the catalogue. A server is left alone."""
        self.reopen()
        if not self.url:
            from chromadb.api.shared_system_client import SharedSystemClient

            SharedSystemClient.clear_system_cache()  # of a client that failed to start
            if self.folder.is_file():
                self.folder.unlink()
            shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Close the client."""
        self.reopen()

    def _collection(self, name: str) -> Any:
        with self._lock:
            if name not in self._collections:
                self._collections[name] = self._open().get_or_create_collection(
                    name, embedding_function=None, configuration={"hnsw": HNSW}
                )
            return self._collections[name]

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                import chromadb
                from chromadb.config import Settings

                settings = Settings(anonymized_telemetry=False)
                if self.url:
                    host, port, ssl = _address(self.url)
                    self._client = chromadb.HttpClient(host, port, ssl=ssl, settings=settings)
                else:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    self._client = chromadb.PersistentClient(str(self.folder), settings=settings)
            return self._client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SeedbedError:
            raise
        except BaseException as error:  # Chroma's Rust core panics with a BaseException
            if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
            self.reopen()
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            if self.url:
                raise Unavailable(
                    f"The Chroma server at {self.url} is not available ({reason}).",
                    hint="Start it (chroma run) or unset SEEDBED_CHROMA_URL.",
                ) from None
            raise self._local_error(reason) from None

    def _local_error(self, reason: str) -> Unavailable:
        """Chroma names no cause for most failed writes, so the disk is looked at here."""
        name = f"The vector index in {str(self.folder)!r}"
        free_mb = shutil.disk_usage(self.folder.parent).free >> 20
        if free_mb < LOW_DISK_MB:
            return Unavailable(
                f"{name} cannot be written: its disk has {free_mb} MB left ({reason}).",
                hint="Free some space. The documents are stored; the next question or ingest"
                " completes the index.",
            )
        return Unavailable(
            f"{name} failed ({reason}).",
            hint="The documents are stored; the next question or ingest rebuilds the index.",
        )


class IndexSync:
    """Keeps one index equal to one catalogue, after every change and after every crash."""

    def __init__(self, database: Database, index: VectorIndex) -> None:
        self.database = database
        self.index = index
        # A random id that changes with every write to the index: another process's write shows.
        self._generation = ""
        # When to compare index and catalogue next, by time.monotonic(); infinity once they agreed.
        self._check_at = 0.0

    def query(self, name: str, vector: np.ndarray, k: int) -> list[tuple[int, float]]:
        """(chunk id, cosine) of the `k` nearest, from an index that agrees with the catalogue.

        An index that fails is repaired once: it may be damaged, or a server's data may be new.
        Raises Unavailable when a server does not answer.
        """
        self.ready()
        try:
            return self.index.query(name, vector, k)
        except Unavailable:
            self._check_at = 0.0
        self.repair()
        return self.index.query(name, vector, k)

    def follow(self, *, rebuild: bool = True) -> str:
        """Apply the outbox after a change of the catalogue, and rebuild an index that is broken.

        Returns "", or why the index is not up to date: the change itself is stored, and the next
        call or search continues.
        """
        try:
            try:
                self.apply()
            except Unavailable:
                if self.index.url or not rebuild:
                    raise
                self.repair()
        except Unavailable as error:
            return str(error)
        return ""

    def ready(self) -> None:
        """Repair once per process; reopen the index when another process has changed it."""
        if time.monotonic() >= self._check_at:
            try:
                self.repair(timeout=0.5)
            except Busy:  # another process is writing, and applies the outbox itself
                self._check_at = time.monotonic() + RETRY_SECONDS
        generation = self._stored_generation()
        if generation != self._generation:
            if not self.index.url and self._generation:
                self.index.reopen()
            self._generation = generation

    def apply(self) -> int:
        """Apply all changes in the outbox to the index; returns how many.

        Raises Unavailable and leaves the rest in the outbox, for a later call to continue.
        """
        count = 0
        with self.database.writing():
            while True:
                # 1. Read the oldest changes.
                db = self.database.connections.get()
                rows = db.execute(
                    "SELECT id, op, index_name, chunk_id FROM outbox ORDER BY id LIMIT ?", (BATCH,)
                ).fetchall()
                if not rows:
                    return count
                # 2. Write them to the index. After a crash here they are written again.
                try:
                    self._write(rows)
                except Unavailable:
                    self._check_at = 0.0
                    raise
                # 3. Only then delete them from the outbox, together with the new generation.
                generation = uuid.uuid4().hex
                with self.database.transaction() as db:
                    db.execute("DELETE FROM outbox WHERE id <= ?", (rows[-1][0],))
                    db.execute(
                        "INSERT OR REPLACE INTO meta VALUES ('generation', ?)", (generation,)
                    )
                self._generation = generation
                count += len(rows)

    def repair(self, timeout: float = WRITE_SECONDS) -> None:
        """Apply the outbox, then compare index and catalogue; rebuild a broken embedded index.

        Raises Busy when another process holds the writers' lock for `timeout` seconds.
        """
        with self.database.writing(timeout):
            try:
                self._repair()
            except Unavailable:
                if self.index.url:
                    raise
                self.index.reset()
                self._repair()
        self._check_at = float("inf")

    def close(self) -> None:
        """Close the index, whatever state it is in."""
        with suppress(Exception):
            self.index.close()

    def _repair(self) -> None:
        generation = self._stored_generation()
        if generation != self._generation:
            self.index.reopen()
            self._generation = generation
        self.apply()
        db = self.database.connections.get()
        for collection_id, name in db.execute("SELECT id, index_name FROM collections").fetchall():
            if self._is_foreign(collection_id, name):
                self._refill(collection_id, name)
            # Counting is cheap; only where the counts differ are the ids compared.
            (count,) = db.execute(
                f"SELECT count(*) FROM chunks WHERE {_IN_COLLECTION}", (collection_id,)
            ).fetchone()
            if self.index.count(name) != count:
                self._reconcile(collection_id, name)

    def _is_foreign(self, collection_id: int, name: str) -> bool:
        """Whether the index is an older one, or that of another copy of the catalogue.

        Ids are never reused, so an older index lacks the newest chunks; in another copy their ids
        belong to other texts. An index that is behind by a few changes only has the outbox full.
        """
        db = self.database.connections.get()
        rows = db.execute(
            f"SELECT id FROM chunks WHERE {_IN_COLLECTION} ORDER BY id DESC LIMIT {PROBES}",
            (collection_id,),
        )
        expected = self._vectors([chunk_id for (chunk_id,) in rows])
        actual = self.index.vectors(name, list(expected)) if expected else {}
        return any(
            chunk_id not in actual
            or actual[chunk_id].size * 4 != len(vector)
            or not np.allclose(actual[chunk_id], np.frombuffer(vector, np.float32), atol=1e-4)
            for chunk_id, vector in expected.items()
        )

    def _refill(self, collection_id: int, name: str) -> None:
        """Empty one collection of the index, and write all its chunks again."""
        with self.database.transaction() as db:
            db.execute("INSERT INTO outbox (op, index_name) VALUES ('drop', ?)", (name,))
            db.execute(
                "INSERT INTO outbox (op, index_name, chunk_id) SELECT 'upsert', ?, id FROM chunks"
                f" WHERE {_IN_COLLECTION} ORDER BY id",
                (name, collection_id),
            )
        self.apply()

    def _reconcile(self, collection_id: int, name: str) -> None:
        """Put all differences between catalogue and index into the outbox, and apply it."""
        with self.database.transaction() as db:
            rows = db.execute(f"SELECT id FROM chunks WHERE {_IN_COLLECTION}", (collection_id,))
            expected = {chunk_id for (chunk_id,) in rows}
            actual = self.index.ids(name)
            db.executemany(
                "INSERT INTO outbox (op, index_name, chunk_id) VALUES (?, ?, ?)",
                [("delete", name, i) for i in sorted(actual - expected)]
                + [("upsert", name, i) for i in sorted(expected - actual)],
            )
        self.apply()

    def _write(self, rows: list[tuple[int, str, str, int]]) -> None:
        """Write (id, op, index name, chunk id) changes; the last one of a chunk wins."""
        last_op: dict[str, dict[int, str]] = {}
        for _, op, name, chunk_id in rows:
            if op == "drop":
                last_op.pop(name, None)
                self.index.drop(name)
            else:
                last_op.setdefault(name, {})[chunk_id] = op
        for name, ops in last_op.items():
            vectors = self._vectors([i for i, op in ops.items() if op == "upsert"])
            deleted = [i for i in ops if i not in vectors]  # or gone from the catalogue since
            if deleted:
                self.index.delete(name, deleted)
            if vectors:
                array = np.stack([np.frombuffer(v, dtype=np.float32) for v in vectors.values()])
                self.index.upsert(name, list(vectors), array)

    def _vectors(self, chunk_ids: list[int]) -> dict[int, bytes]:
        """Chunk id → float32 bytes, for those chunks that still exist."""
        db = self.database.connections.get()
        vectors: dict[int, bytes] = {}
        for at in range(0, len(chunk_ids), 500):
            part = chunk_ids[at : at + 500]
            vectors |= db.execute(
                "SELECT c.id, v.vector FROM chunks c JOIN documents d ON d.id = c.document_id"
                " JOIN collections l ON l.id = d.collection_id"
                " JOIN vectors v ON v.hash = c.hash AND v.embedder = l.embedder"
                f" WHERE c.id IN ({','.join('?' * len(part))})",
                part,
            ).fetchall()
        return vectors

    def _stored_generation(self) -> str:
        db = self.database.connections.get()
        row = db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
        return row[0] if row else ""


def _address(url: str) -> tuple[str, int, bool]:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"Invalid SEEDBED_CHROMA_URL={url!r}.", hint="Example: http://127.0.0.1:8000"
        )
    ssl = parts.scheme == "https"
    return parts.hostname, parts.port or (443 if ssl else 8000), ssl
