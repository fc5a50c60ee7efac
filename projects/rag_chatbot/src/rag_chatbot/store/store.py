"""The store: documents, chunks and vectors, and the two searches over them.

    store = Store(Config(), load_embeddings())
    store.text("default", "change the port", k=10)     # [(chunk id, bm25), …]

The catalogue (SQLite) is the truth. A document's text, chunks and vectors are written in one
transaction, together with the changes that the vector index has yet to receive (the outbox); the
index follows, and `repair` brings it up to date after a crash. Parsing, ranking and answering are
left to others.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag_chatbot.config import Config
from rag_chatbot.read.chunk import Piece
from rag_chatbot.read.document import Document
from rag_chatbot.store.callers import Caller
from rag_chatbot.store.collections import Action, Collection, Collections, new_index_name
from rag_chatbot.store.database import Database
from rag_chatbot.store.full_text import Frequencies, text_search
from rag_chatbot.store.records import (
    CHUNK,
    DOCUMENT,
    Chunk,
    FileStat,
    Parts,
    StoredDocument,
    delete_document,
    embedder_name,
    index_parts,
    insert_chunks,
    insert_document,
    joined,
    text_hash,
)
from rag_chatbot.store.vector_index import IndexSync, VectorIndex
from seedbed.errors import ConfigError, NotFound
from seedbed.models.embeddings.load import embed_texts

__all__ = ["Chunk", "FileStat", "Store", "StoredDocument"]

log = logging.getLogger(__name__)
_FROM_CHUNKS = "FROM chunks c JOIN documents d ON d.id = c.document_id"
_INSERT_VECTOR = "INSERT OR IGNORE INTO vectors (hash, embedder, vector) VALUES (?, ?, ?)"


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
        index = VectorIndex(Path(config.data_dir) / "chroma", config.chroma_url)
        self._sync = IndexSync(self.database, index)

    def close(self) -> None:
        """Close the vector index and the connections of all threads."""
        self._sync.close()
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
        owner = self.require_embedder(collection)
        return self._sync.query(owner.index_name, np.asarray(vector, dtype=np.float32), k)

    def fetch(self, chunk_ids: Sequence[int]) -> tuple[list[Chunk], np.ndarray]:
        """Chunks with their vectors: float32 (n, dimension), each row of length 1.

        In the order of `chunk_ids`; chunks that have been deleted are left out.
        """
        rows = self._by_ids(
            f"SELECT {CHUNK}, v.vector {_FROM_CHUNKS}"
            " JOIN vectors v ON v.hash = c.hash AND v.embedder = ? WHERE c.id IN ({})",
            chunk_ids,
            self.embedder,
        )
        by_id = {row[0]: row for row in rows}
        rows = [by_id[chunk_id] for chunk_id in chunk_ids if chunk_id in by_id]
        if not rows:
            return [], np.zeros((0, 0), dtype=np.float32)
        vectors = np.frombuffer(b"".join(row[-1] for row in rows), dtype=np.float32)
        return [Chunk(*row[:-1]) for row in rows], vectors.reshape(len(rows), -1)

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
        parts: Sequence[Parts] | None = None,
        vectors: dict[bytes, bytes] | None = None,
        apply: bool = True,
    ) -> int:
        """Add a document, or replace the one with the same source; returns its id.

        Pass `parts` (from `index_parts`) and `vectors` (from `embed`) where they were computed for
        many documents at once, and `apply=False` to call `apply_outbox` once after all of them.
        """
        owner = self.require_embedder(collection)

        # 1. Embed the texts of all chunks, before the lock is taken.
        parts = index_parts(document, pieces) if parts is None else parts
        texts = [joined(*part) for part in parts]
        vectors = self.embed(texts) if vectors is None else vectors
        entries = [(p, part, text_hash(t)) for p, part, t in zip(pieces, parts, texts, strict=True)]

        # 2. Replace the document in one transaction: rows, vectors and the outbox.
        self._frequencies.clear()
        with self.database.writing():
            with self.database.transaction() as db:
                _delete_if_present(db, owner, source)
                hashes = {entry[2] for entry in entries}
                db.executemany(_INSERT_VECTOR, [(h, self.embedder, vectors[h]) for h in hashes])
                document_id = insert_document(
                    db, owner, source, data_hash, document, file, len(pieces)
                )
                insert_chunks(db, owner, document_id, document.text, entries)

            # 3. Bring the vector index up to date; after a crash here `repair` does it.
            if apply:
                self._update_index()
        return document_id

    def delete_document(self, collection: str, source: str, *, apply: bool = True) -> None:
        """Delete a document with its chunks and vectors. Raises NotFound."""
        owner = self.collection(collection)
        with self.database.writing():
            with self.database.transaction() as db:
                if not _delete_if_present(db, owner, source):
                    raise _unknown_document(source, collection)
            if apply:
                self._update_index()

    def touch(self, document_id: int, file: FileStat) -> None:
        """Record the path, size and time of a file whose content has not changed."""
        with self.database.transaction() as db:
            db.execute(
                "UPDATE documents SET path = ?, size = ?, mtime_ns = ? WHERE id = ?",
                (file.path, file.size, file.mtime_ns, document_id),
            )

    # Vectors

    def embed(self, texts: Sequence[str]) -> dict[bytes, bytes]:
        """sha256 of each text → its vector as float32 bytes. Stored vectors are reused."""
        by_hash = {text_hash(text): text for text in texts}
        rows = self._by_ids(
            "SELECT hash, vector FROM vectors WHERE embedder = ? AND hash IN ({})",
            list(by_hash),
            self.embedder,
        )
        vectors: dict[bytes, bytes] = dict(rows)
        missing = [key for key in by_hash if key not in vectors]
        if missing:
            arrays = embed_texts(self.embeddings, [by_hash[key] for key in missing])
            vectors |= {key: a.tobytes() for key, a in zip(missing, arrays, strict=True)}
        return vectors

    def reembed(self, collection: str) -> int:
        """Replace the vectors of all chunks by those of the current embeddings; returns how many.

        Texts stay as they are. The old vectors stay in use until all new ones are written.
        """
        owner = self.collection(collection)
        with self.database.writing():
            rows = self._db.execute(
                f"SELECT c.id, c.hash, f.title, f.heading, f.body FROM {owner.fts} f"
                " JOIN chunks c ON c.id = f.rowid ORDER BY c.id"
            ).fetchall()
            vectors: dict[bytes, bytes] = {}
            for at in range(0, len(rows), 1000):
                vectors |= self.embed([joined(*row[2:]) for row in rows[at : at + 1000]])
            with self.database.transaction() as db:
                self._replace_vectors(db, owner, [row[0] for row in rows], vectors)
            self._update_index()
        return len(rows)

    def apply_outbox(self, *, rebuild: bool = True) -> str:
        """Bring the vector index up to date, and rebuild a broken one.

        Returns "", or why it could not: the documents are stored, and a later call continues.
        """
        return self._sync.follow(rebuild=rebuild)

    def repair(self) -> None:
        """Compare the vector index with the catalogue, and make it equal. Raises Unavailable."""
        self._sync.repair()

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
                db.execute(
                    "INSERT INTO outbox (op, index_name) VALUES ('drop', ?)", (owner.index_name,)
                )
            self._update_index()

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
                hint="Set SEEDBED_EMBEDDINGS back, or embed its chunks again with:"
                f" rag-chatbot collections reembed {name!r}",
            )
        return collection

    def _update_index(self) -> None:
        """Bring the index up to date after a change, which is done even where that fails."""
        if reason := self.apply_outbox():
            log.warning("%s", reason)

    def _replace_vectors(
        self,
        db: sqlite3.Connection,
        owner: Collection,
        chunk_ids: list[int],
        vectors: dict[bytes, bytes],
    ) -> None:
        """Write new vectors, and give the collection a new name in the index to fill with them."""
        name = new_index_name()
        db.executemany(_INSERT_VECTOR, [(key, self.embedder, v) for key, v in vectors.items()])
        db.execute(
            "UPDATE collections SET embedder = ?, index_name = ? WHERE id = ?",
            (self.embedder, name, owner.id),
        )
        db.execute(  # the old vectors, except those that another collection still uses
            "DELETE FROM vectors WHERE embedder = ?1 AND NOT EXISTS (SELECT 1 FROM chunks c"
            " JOIN documents d ON d.id = c.document_id JOIN collections l ON l.id = d.collection_id"
            " WHERE c.hash = vectors.hash AND l.embedder = ?1)",
            (owner.embedder,),
        )
        db.executemany(
            "INSERT INTO outbox (op, index_name, chunk_id) VALUES (?, ?, ?)",
            [("drop", owner.index_name, 0), *(("upsert", name, i) for i in chunk_ids)],
        )

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
