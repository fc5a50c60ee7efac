"""The store: documents, chunks and vectors, and the two searches over them.

    store = Store(Config(), load_embeddings())
    store.text("default", "change the port", k=10)     # [(chunk id, bm25), …]

The catalogue (SQLite) is the truth: documents, chunks and the keyword index. The vectors are in
Chroma alone. A document is written in one transaction, together with what the vector index has to
do for it (`outbox`); a vector that is missing is computed again from its text. Parsing, ranking and
answering are left to others.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rag_chatbot.config import Config
from rag_chatbot.read.chunk import Piece
from rag_chatbot.read.document import Document
from rag_chatbot.store import outbox
from rag_chatbot.store.callers import Caller
from rag_chatbot.store.collections import Action, Collection, Collections, new_index_name
from rag_chatbot.store.database import WRITE_SECONDS, Database
from rag_chatbot.store.full_text import Frequencies, text_search
from rag_chatbot.store.records import (
    CHUNK,
    DOCUMENT,
    Chunk,
    FileStat,
    StoredDocument,
    delete_document,
    embedder_name,
    index_parts,
    insert_chunks,
    insert_document,
    joined,
    text_hash,
)
from rag_chatbot.store.vector_index import VectorIndex
from seedbed.errors import Busy, ConfigError, NotFound, Unavailable
from seedbed.models.embeddings.load_embeddings import embed_texts

__all__ = ["Chunk", "FileStat", "Store", "StoredDocument"]

log = logging.getLogger(__name__)
_FROM_CHUNKS = "FROM chunks c JOIN documents d ON d.id = c.document_id"
CACHED = 50_000  # vectors kept in memory, 77 MB with 384 dimensions: Chroma takes 30 µs for one
REINDEX_BATCH = 1000  # chunks embedded together
RETRY_SECONDS = 10.0  # before the index is checked again while another process writes


class Store:
    """Safe to use from many threads. Readers never wait for writers."""

    def __init__(self, config: Config, embeddings: Any) -> None:
        """Open the catalogue, or create it. The vector index is opened at its first use."""
        self.config = config
        self.embeddings = embeddings
        self.embedder = embedder_name(embeddings)
        self.database = Database(Path(config.data_dir))
        self._frequencies = Frequencies()
        self._collections = Collections(
            self.database, self.embedder, [name.strip() for name in config.writers.split(",")]
        )
        self._index = VectorIndex(Path(config.data_dir) / "chroma", config.chroma_url)
        self._outbox = outbox.Outbox(self.database, self._index, self._vectors_to_write)
        # By chunk id. A chunk never changes, and ids are not used again, so neither does a vector.
        self._cache: dict[int, np.ndarray] = {}
        # When to compare index and catalogue next, by time.monotonic(); infinity once they agreed.
        self._check_at = 0.0

    def close(self) -> None:
        """Close the vector index and the connections of all threads."""
        with suppress(Exception):  # whatever state it is in
            self._index.close()
        self.database.close()

    # Searching

    def text(self, collection: str, query: str, k: int) -> list[tuple[int, float]]:
        """(chunk id, bm25) of the `k` best chunks, higher is better; any text is a valid query."""
        owner = self.collection(collection)
        return text_search(self._db, owner, query, k, self._frequencies)

    def dense(self, collection: str, vector: np.ndarray, k: int) -> list[tuple[int, float]]:
        """(chunk id, cosine) of the `k` chunks nearest to `vector`, best first.

        A chunk that was deleted a moment ago may be among them. Raises Unavailable when the Chroma
        server does not answer.
        """
        self.require_embedder(collection)
        vector = np.asarray(vector, dtype=np.float32)
        self._ready()
        with suppress(Unavailable):  # it may be damaged, or a server's data may be new
            return self._index.query(self.collection(collection).index_name, vector, k)
        self._check_at = 0.0
        self._ready()
        return self._index.query(self.collection(collection).index_name, vector, k)

    def fetch(self, collection: str, chunk_ids: Sequence[int]) -> tuple[list[Chunk], np.ndarray]:
        """Chunks of a collection with their vectors: float32 (n, dimension), rows of length 1.

        In the order of `chunk_ids`; chunks that have been deleted are left out.
        """
        chunks = self.chunks(chunk_ids)
        if not chunks:
            return [], np.zeros((0, 0), dtype=np.float32)
        ids = [chunk.id for chunk in chunks]
        owner = self.collection(collection)
        vectors = self._vectors(owner, ids)
        missing = [i for i in ids if i not in vectors]  # added a moment ago
        vectors |= self._embed_chunks(owner, missing)
        chunks = [chunk for chunk in chunks if chunk.id in vectors]
        return chunks, np.stack([vectors[chunk.id] for chunk in chunks])

    def chunks(self, chunk_ids: Sequence[int]) -> list[Chunk]:
        """Chunks in the order of `chunk_ids`; those that were deleted are left out."""
        rows = self._by_ids(f"SELECT {CHUNK} {_FROM_CHUNKS} WHERE c.id IN ({{}})", chunk_ids)
        by_id = {row[0]: Chunk(*row) for row in rows}
        return [by_id[chunk_id] for chunk_id in chunk_ids if chunk_id in by_id]

    # Documents

    def documents(self, collection: str) -> list[StoredDocument]:
        """All documents of a collection, ordered by source, without their text."""
        rows = self._db.execute(
            f"SELECT {DOCUMENT} FROM documents WHERE collection_id = ? ORDER BY source",
            (self.collection(collection).id,),
        )
        return [StoredDocument(*row) for row in rows]

    def document(self, collection: str, source: str) -> StoredDocument:
        """One document with its text. Raises NotFound."""
        row = self._db.execute(
            f"SELECT {DOCUMENT}, text FROM documents WHERE collection_id = ? AND source = ?",
            (self.collection(collection).id, source),
        ).fetchone()
        if row is None:
            raise _unknown_document(source, collection)
        return StoredDocument(*row)

    def add_document(
        self,
        collection: str,
        source: str,
        data_hash: str,
        document: Document,
        pieces: Sequence[Piece],
        *,
        file: FileStat | None = None,
        apply: bool = True,
    ) -> int:
        """Add a document, or replace the one with the same source; returns its id.

        Pass `apply=False` to call `update_index` once after many documents.
        """
        owner = self.require_embedder(collection)

        # 1. Embed the texts of all chunks, before the lock is taken.
        parts = index_parts(document, pieces)
        texts = [joined(*part) for part in parts]
        vectors = self.embed(collection, texts)
        entries = [(p, part, text_hash(t)) for p, part, t in zip(pieces, parts, texts, strict=True)]

        # 2. Replace the document in one transaction, with the changes of the index in the outbox.
        self._frequencies.clear()
        with self.database.writing():
            with self.database.transaction() as db:
                _delete_if_present(db, owner, source)
                document_id = insert_document(
                    db, owner, source, data_hash, document, file, len(pieces)
                )
                chunk_ids = insert_chunks(db, owner, document_id, document.text, entries)

            # 3. Bring the vector index up to date; after a crash here the next start does it.
            self._remember(zip(chunk_ids, vectors, strict=True))
            if apply:
                self._log_update()
        return document_id

    def delete_document(self, collection: str, source: str, *, apply: bool = True) -> None:
        """Delete a document with its chunks and vectors. Raises NotFound."""
        owner = self.collection(collection)
        with self.database.writing():
            with self.database.transaction() as db:
                if not _delete_if_present(db, owner, source):
                    raise _unknown_document(source, collection)
            if apply:
                self._log_update()

    def touch(self, document_id: int, file: FileStat) -> None:
        """Record the path, size and time of a file whose content has not changed."""
        with self.database.transaction() as db:
            db.execute(
                "UPDATE documents SET path = ?, size = ?, mtime_ns = ? WHERE id = ?",
                (file.path, file.size, file.mtime_ns, document_id),
            )

    # Vectors

    def embed(self, collection: str, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts: float32 (n, dimension), rows of length 1.

        A text that occurs twice, or that the collection already contains, is embedded once.
        """
        owner = self.collection(collection)
        hashes = [text_hash(text) for text in texts]
        texts_by_hash = dict(zip(hashes, texts, strict=True))
        rows = self._by_ids(
            f"SELECT c.hash, c.id {_FROM_CHUNKS} WHERE d.collection_id = ? AND c.hash IN ({{}})",
            list(texts_by_hash),
            owner.id,
        )
        by_hash: dict[bytes, np.ndarray] = {}
        if rows and owner.embedder == self.embedder:
            with suppress(Unavailable):  # then they are embedded again
                stored = self._vectors(owner, [i for _, i in rows])
                by_hash = {key: stored[i] for key, i in rows if i in stored}
        missing = [key for key in texts_by_hash if key not in by_hash]
        if missing:
            arrays = embed_texts(self.embeddings, [texts_by_hash[key] for key in missing])
            by_hash |= dict(zip(missing, arrays, strict=True))
        return np.array([by_hash[key] for key in hashes], dtype=np.float32)

    def reindex(self, collection: str) -> int:
        """Compute all vectors of a collection again, with the current embeddings; returns how many.

        This repairs an index, or changes the embeddings. The old vectors stay in use until all new
        ones are written; if the process is killed before, the next start removes the new ones.
        """
        owner, name = self.collection(collection), new_index_name()
        with self.database.writing():
            self._cache.clear()
            with self.database.transaction() as db:
                outbox.add(db, "drop", name)
                (unfinished,) = db.execute("SELECT max(id) FROM outbox").fetchone()
            rows = self._db.execute(f"SELECT rowid FROM {owner.fts} ORDER BY rowid").fetchall()
            for at in range(0, len(rows), REINDEX_BATCH):
                vectors = self._embed_chunks(owner, [i for (i,) in rows[at : at + REINDEX_BATCH]])
                self._index.upsert(name, list(vectors), np.stack(list(vectors.values())))
            with self.database.transaction() as db:
                db.execute(
                    "UPDATE collections SET embedder = ?, index_name = ? WHERE id = ?",
                    (self.embedder, name, owner.id),
                )
                db.execute(
                    "DELETE FROM outbox WHERE id = ? OR index_name = ?",
                    (unfinished, owner.index_name),
                )
                outbox.add(db, "drop", owner.index_name)
                self._outbox.note_change(db)
            self._log_update()
        return len(rows)

    def update_index(self) -> str:
        """Bring the vector index up to date with the catalogue.

        Returns "", or why it could not: the documents are stored, and a later call continues.
        """
        try:
            self._outbox.drain()
        except Unavailable as error:
            self._check_at = 0.0
            return str(error)
        return ""

    def check_index(self, timeout: float = WRITE_SECONDS) -> None:
        """Complete what a crash left unfinished, and reindex collections whose vectors are missing.

        Raises Unavailable, and Busy when another process writes for `timeout` seconds.
        """
        with self.database.writing(timeout):
            try:
                self._compare_index()
            except Unavailable:
                if self._index.url:
                    raise
                log.warning("The vector index is damaged, and is built again.")
                self._index.reset()
                self._compare_index()
        self._check_at = float("inf")

    def _compare_index(self) -> None:
        self._outbox.drain()
        for name in self._collections.names():
            owner = self.collection(name)
            (count,) = self._db.execute(f"SELECT count(*) FROM {owner.fts}").fetchone()
            if owner.embedder == self.embedder and self._index.count(owner.index_name) != count:
                log.warning("The vectors of collection %r are incomplete: reindexing it.", name)
                self.reindex(name)

    def _ready(self) -> None:
        """Check the index once per process; reopen it when another process has changed it."""
        if time.monotonic() >= self._check_at:
            try:
                self.check_index(timeout=0.5)
            except Busy:  # another process is writing, and drains the outbox itself
                self._check_at = time.monotonic() + RETRY_SECONDS
        self._index.reopen_if_changed(self._db)

    def _vectors(self, owner: Collection, chunk_ids: Sequence[int]) -> dict[int, np.ndarray]:
        """The vectors of those chunks that have one in memory or in the index."""
        missing = [i for i in chunk_ids if i not in self._cache]
        fetched = self._index.vectors(owner.index_name, missing)
        self._remember(fetched.items())
        cached = ((i, self._cache.get(i)) for i in chunk_ids)
        return {i: vector for i, vector in cached if vector is not None} | fetched

    def _vectors_to_write(self, index_name: str, chunk_ids: list[int]) -> dict[int, np.ndarray]:
        """The vectors of new chunks; those of an earlier process are computed again.

        None for a collection with other embeddings: the next process that has them finds it
        incomplete, and reindexes it.
        """
        owner = self._collections.of_index(index_name)
        if owner is None or owner.embedder != self.embedder:
            return {}
        vectors = {i: self._cache[i] for i in chunk_ids if i in self._cache}
        missing = [i for i in chunk_ids if i not in vectors]
        return vectors | self._embed_chunks(owner, missing)

    def _embed_chunks(self, owner: Collection, chunk_ids: list[int]) -> dict[int, np.ndarray]:
        """The vectors of chunks, computed from their text; deleted chunks are left out."""
        rows = self._by_ids(
            f"SELECT rowid, title, heading, body FROM {owner.fts} WHERE rowid IN ({{}})", chunk_ids
        )
        if not rows:
            return {}
        vectors = embed_texts(self.embeddings, [joined(*parts) for _, *parts in rows])
        return dict(zip((row[0] for row in rows), vectors, strict=True))

    def _remember(self, vectors: Iterable[tuple[int, np.ndarray]]) -> None:
        """Keep vectors in memory in place of the oldest ones."""
        self._cache.update(vectors)
        for chunk_id in list(islice(self._cache, max(0, len(self._cache) - CACHED))):
            self._cache.pop(chunk_id, None)

    # Collections

    def create_collection(
        self, name: str, readers: Sequence[str] = ("*",), writers: Sequence[str] = ()
    ) -> Collection:
        """Create a collection, or return the existing one with its rules unchanged.

        Without `writers` it is the operator's, see `Config.writers`.
        """
        return self._collections.create(name, readers, writers)

    def delete_collection(self, name: str) -> None:
        """Delete a collection with all its documents. Raises NotFound."""
        owner = self.collection(name)
        with self.database.writing():
            with self.database.transaction() as db:
                rows = db.execute(
                    "SELECT id FROM documents WHERE collection_id = ?", (owner.id,)
                ).fetchall()
                for (document_id,) in rows:
                    delete_document(db, owner, document_id)
                db.execute(f"DROP TABLE {owner.fts}")
                db.execute("DELETE FROM collections WHERE id = ?", (owner.id,))
                db.execute("DELETE FROM outbox WHERE index_name = ?", (owner.index_name,))
                outbox.add(db, "drop", owner.index_name)
            self._log_update()

    def collection(self, name: str) -> Collection:
        """The collection, without a check of access. Raises NotFound."""
        return self._collections.get(name)

    def collections(self, caller: Caller) -> list[str]:
        """The names of the collections that `caller` may read."""
        return self._collections.names(caller)

    def require(self, name: str, caller: Caller, action: Action) -> Collection:
        """The collection, if `caller` may do this with it. Raises NotFound or Forbidden."""
        return self._collections.require(name, caller, action)

    def require_embedder(self, name: str) -> Collection:
        """The collection, if its vectors come from this store's embeddings.

        Raises NotFound, or ConfigError for a collection made with other embeddings.
        """
        collection = self.collection(name)
        if collection.embedder != self.embedder:
            raise ConfigError(
                f"Collection {name!r} was made with the embeddings {collection.embedder!r},"
                f" not with {self.embedder!r}.",
                hint="Set SEEDBED_EMBEDDINGS back, or compute its vectors again with:"
                f" rag-chatbot collections reindex {name!r}",
            )
        return collection

    def _log_update(self) -> None:
        """Update the vector index after a change that is already committed; log a failure."""
        if reason := self.update_index():
            log.warning("%s", reason)

    def _by_ids(self, sql: str, ids: Sequence[Any], *before: Any) -> list[tuple[Any, ...]]:
        """Rows of a query with `IN ({})`; SQLite allows some 1,000 parameters in one."""
        rows: list[tuple[Any, ...]] = []
        for at in range(0, len(ids), 900):
            part = list(ids[at : at + 900])
            rows += self._db.execute(sql.format(",".join("?" * len(part))), (*before, *part))
        return rows

    @property
    def _db(self) -> sqlite3.Connection:
        return self.database.connections.get()


def _delete_if_present(db: sqlite3.Connection, owner: Collection, source: str) -> bool:
    """Delete the document of this source; returns whether there was one."""
    row = db.execute(
        "SELECT id FROM documents WHERE collection_id = ? AND source = ?", (owner.id, source)
    ).fetchone()
    if row is not None:
        delete_document(db, owner, row[0])
    return row is not None


def _unknown_document(source: str, collection: str) -> NotFound:
    return NotFound(
        f"Unknown document {source!r} in collection {collection!r}.",
        hint="List its documents with: rag-chatbot documents list",
    )
