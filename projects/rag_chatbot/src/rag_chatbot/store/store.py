"""Where documents, chunks and their vectors are kept, and the two ways to search them.

The catalogue (SQLite) is the truth. A document's text, chunks, vectors and the changes that the
vector index still has to see (the outbox) are written in one transaction; the index follows, and
`repair` brings it up to date after a crash. This module does not parse, rank or answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag_chatbot.config import Config
from rag_chatbot.read.chunk import Piece
from rag_chatbot.read.document import Document
from rag_chatbot.store.collections import Collection, Collections, new_index_name
from rag_chatbot.store.database import Database
from rag_chatbot.store.embed import embed_texts, embedder_name, text_hash
from rag_chatbot.store.full_text import Frequencies, Where, dense_filtered, text_search
from rag_chatbot.store.index_sync import Sync
from rag_chatbot.store.records import (
    CHUNK,
    DOCUMENT,
    Chunk,
    FileStat,
    Parts,
    StoredDocument,
    index_parts,
    insert_chunks,
    insert_document,
    joined,
    remove,
)
from rag_chatbot.store.vector_index import Index
from seedbed.errors import ConfigError, NotFound

_SELECT_CHUNK = f"SELECT {CHUNK} FROM chunks c JOIN documents d ON d.id = c.document_id"
__all__ = ["Chunk", "FileStat", "Store", "StoredDocument"]


class Store:
    """Safe to use from many threads. Readers never wait for writers."""

    def __init__(self, config: Config, embeddings: Any) -> None:
        """Opens (and creates) the catalogue; the index is opened when it is first needed."""
        self.config = config
        self.embeddings = embeddings
        self.embedder = embedder_name(embeddings)
        self._frequencies = Frequencies()
        self.database = Database(Path(config.data_dir))
        self._sync = Sync(self.database, Index(Path(config.data_dir) / "chroma", config.chroma_url))
        self._access = Collections(self.database, self.embedder)
        self.collection = self._access.get
        self.collections = self._access.names
        self.require = self._access.require
        self.set_access = self._access.set_access
        self.repair = self._sync.repair
        self.apply_outbox = self._sync.apply

    def close(self) -> None:
        self._sync.close()
        self.database.close()

    def create_collection(
        self, name: str, readers: Sequence[str] = ("*",), writers: Sequence[str] = ("*",)
    ) -> Collection:
        """Create it, or return the one that is there, with its rule as it is."""
        return self._access.create(name, readers, writers)

    def delete_collection(self, name: str) -> None:
        """With all its documents. Raises NotFound."""
        owner = self.collection(name)
        with self.database.writing():
            with self.database.transaction() as db:
                ids = db.execute(
                    "SELECT id FROM documents WHERE collection_id = ?", (owner.id,)
                ).fetchall()
                for (document_id,) in ids:
                    remove(db, owner, document_id)
                db.execute(f"DROP TABLE {owner.fts}")
                db.execute("DELETE FROM collections WHERE id = ?", (owner.id,))
                db.execute("DELETE FROM outbox WHERE index_name = ?", (owner.index_name,))
                db.execute("INSERT INTO outbox (op, index_name) VALUES ('drop', ?)",
                           (owner.index_name,))  # fmt: skip
            self.apply_outbox()

    def embed(self, texts: Sequence[str]) -> dict[bytes, bytes]:
        """sha256 of each text → its vector (float32 bytes). Known ones are not embedded again."""
        by_hash = {text_hash(text): text for text in texts}
        known: dict[bytes, bytes] = {}
        hashes = list(by_hash)
        known.update(
            self._by_ids(
                "SELECT hash, vector FROM vectors WHERE embedder = ? AND hash IN ({})",
                hashes,
                self.embedder,
            )
        )
        missing = [h for h in hashes if h not in known]
        if missing:
            vectors = embed_texts(self.embeddings, [by_hash[h] for h in missing])
            known.update(zip(missing, (v.tobytes() for v in vectors), strict=True))
        return known

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
        """Add a document, or replace the one of the same source. Returns its id.

        `parts` (of `index_parts`) and `vectors` (of `embed`) may be there already. With
        `apply=False` the caller runs `apply_outbox` later, for many documents at once.
        """
        owner = self.usable(collection)
        parts = index_parts(document, pieces) if parts is None else parts
        texts = [joined(*part) for part in parts]
        known = self.embed(texts) if vectors is None else vectors
        entries = [(p, part, text_hash(t)) for p, part, t in zip(pieces, parts, texts, strict=True)]
        self._frequencies.clear()
        with self.database.writing():
            with self.database.transaction() as db:
                old = db.execute(
                    "SELECT id FROM documents WHERE collection_id = ? AND source = ?",
                    (owner.id, source),
                ).fetchone()
                if old:
                    remove(db, owner, old[0])
                db.executemany(
                    "INSERT OR IGNORE INTO vectors (hash, embedder, vector) VALUES (?, ?, ?)",
                    [(h, self.embedder, known[h]) for h in {entry[2] for entry in entries}],
                )
                document_id = insert_document(
                    db, owner, source, data_hash, document, file, len(pieces)
                )
                insert_chunks(db, owner, document_id, document.text, entries)
            if apply:
                self.apply_outbox()
        return document_id

    def delete_document(self, collection: str, source: str, *, apply: bool = True) -> None:
        """Raises NotFound where there is no such document."""
        owner = self.collection(collection)
        with self.database.writing():
            with self.database.transaction() as db:
                row = db.execute(
                    "SELECT id FROM documents WHERE collection_id = ? AND source = ?",
                    (owner.id, source),
                ).fetchone()
                if row is None:
                    raise NotFound(f"There is no document {source!r} in {collection!r}.")
                remove(db, owner, row[0])
            if apply:
                self.apply_outbox()

    def documents(self, collection: str) -> list[StoredDocument]:
        """All of a collection, by source, without their text."""
        rows = self._db.execute(
            f"SELECT {DOCUMENT} FROM documents WHERE collection_id = ? ORDER BY source",
            (self.collection(collection).id,),
        )
        return [StoredDocument(*row) for row in rows]

    def document(self, collection: str, source: str) -> StoredDocument:
        """With its text. Raises NotFound."""
        row = self._db.execute(
            f"SELECT {DOCUMENT}, text FROM documents WHERE collection_id = ? AND source = ?",
            (self.collection(collection).id, source),
        ).fetchone()
        if row is None:
            raise NotFound(f"There is no document {source!r} in {collection!r}.")
        return StoredDocument(*row)

    def touch(self, document_id: int, file: FileStat) -> None:
        """Remember where and when an unchanged file was last seen."""
        with self.database.transaction() as db:
            db.execute(
                "UPDATE documents SET path = ?, size = ?, mtime_ns = ? WHERE id = ?",
                (file.path, file.size, file.mtime_ns, document_id),
            )

    def reembed(self, collection: str) -> int:
        """Give every chunk of a collection a vector of the present embeddings; text stays as it is.

        Returns how many chunks. The old vectors stay in use until all new ones are written.
        """
        owner = self.collection(collection)
        with self.database.writing():
            rows = self._db.execute(
                f"SELECT c.id, c.hash, f.title, f.heading, f.body FROM {owner.fts} f"
                " JOIN chunks c ON c.id = f.rowid ORDER BY c.id"
            ).fetchall()
            vectors: dict[bytes, bytes] = {}
            for at in range(0, len(rows), 1000):
                vectors.update(self.embed([joined(*row[2:]) for row in rows[at : at + 1000]]))
            with self.database.transaction() as db:
                self._replace_vectors(db, owner, rows, vectors)
            self.apply_outbox()
        return len(rows)

    def _replace_vectors(
        self,
        db: sqlite3.Connection,
        owner: Collection,
        rows: list[tuple[Any, ...]],
        vectors: dict[bytes, bytes],
    ) -> None:
        name = new_index_name()
        db.executemany(
            "INSERT OR IGNORE INTO vectors (hash, embedder, vector) VALUES (?, ?, ?)",
            [(digest, self.embedder, vector) for digest, vector in vectors.items()],
        )
        db.execute(
            "UPDATE collections SET embedder = ?, index_name = ? WHERE id = ?",
            (self.embedder, name, owner.id),
        )
        db.execute(  # vectors of embeddings that no collection with such a chunk uses any more
            "DELETE FROM vectors WHERE embedder = ?1 AND NOT EXISTS (SELECT 1 FROM chunks c"
            " JOIN documents d ON d.id = c.document_id JOIN collections l ON l.id = d.collection_id"
            " WHERE c.hash = vectors.hash AND l.embedder = ?1)",
            (owner.embedder,),
        )
        db.executemany(
            "INSERT INTO outbox (op, index_name, chunk_id) VALUES (?, ?, ?)",
            [("drop", owner.index_name, 0)] + [("upsert", name, row[0]) for row in rows],
        )

    def chunks(self, ids: Sequence[int]) -> list[Chunk]:
        """In the order of `ids`; those that are gone are left out."""
        rows = self._by_ids(f"{_SELECT_CHUNK} WHERE c.id IN ({{}})", ids)
        found = {row[0]: Chunk(*row) for row in rows}
        return [found[i] for i in ids if i in found]

    def document_chunks(self, document_id: int) -> list[Chunk]:
        """All chunks of a document, in order."""
        rows = self._db.execute(
            f"{_SELECT_CHUNK} WHERE c.document_id = ? ORDER BY c.ordinal",
            (document_id,),
        )
        return [Chunk(*row) for row in rows]

    def neighbours(self, chunk: Chunk, before: int = 1, after: int = 1) -> list[Chunk]:
        """The chunks around it in its document, in order, without itself."""
        rows = self._db.execute(
            f"{_SELECT_CHUNK} WHERE c.document_id = ? AND c.ordinal BETWEEN ? AND ?"
            " AND c.ordinal != ? ORDER BY c.ordinal",
            (chunk.document_id, chunk.ordinal - before, chunk.ordinal + after, chunk.ordinal),
        )
        return [Chunk(*row) for row in rows]

    def vectors(self, chunk_ids: Sequence[int]) -> np.ndarray:
        """float32 (len(chunk_ids), dimension), normalised, in that order. Raises NotFound."""
        rows = self._by_ids(
            "SELECT c.id, v.vector FROM chunks c JOIN vectors v ON v.hash = c.hash"
            " AND v.embedder = ? WHERE c.id IN ({})", chunk_ids, self.embedder
        )  # fmt: skip
        found = dict(rows)
        missing = [i for i in chunk_ids if i not in found]
        if missing:
            raise NotFound(f"There is no vector of {self.embedder!r} for chunk {missing[0]}.")
        if not chunk_ids:
            return np.zeros((0, 0), dtype=np.float32)
        return np.stack([np.frombuffer(found[i], dtype=np.float32) for i in chunk_ids])

    def dense(
        self, collection: str, vector: np.ndarray, k: int, where: Where | None = None
    ) -> list[tuple[int, float]]:
        """The k chunks nearest to `vector` with their cosine, best first. For `where` see `text`.

        Raises Unavailable when the Chroma server does not answer.
        """
        owner = self.usable(collection)
        vector = np.asarray(vector, dtype=np.float32)
        if where:
            return dense_filtered(self._db, owner, vector, k, where)
        found = self._sync.query(owner.index_name, vector, k)
        ids = [i for i, _ in found]
        alive = {i for (i,) in self._by_ids("SELECT id FROM chunks WHERE id IN ({})", ids)}
        return [(i, cosine) for i, cosine in found if i in alive]

    def text(
        self, collection: str, query: str, k: int, where: Where | None = None
    ) -> list[tuple[int, float]]:
        """The k best chunks by bm25 (higher is better), best first; any text is a valid query.

        `where` narrows both searches alike: {"source": glob or globs (`*` also crosses /),
        "type": one or more of the parsers' types, "page": number}. Raises BadInput for others.
        """
        owner = self.collection(collection)
        return text_search(self._db, owner, query, k, where, self._frequencies)

    @property
    def _db(self) -> sqlite3.Connection:
        return self.database.connection()

    def _by_ids(self, sql: str, ids: Sequence[Any], *before: Any) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for at in range(0, len(ids), 900):
            part = list(ids[at : at + 900])
            rows += self._db.execute(sql.format(",".join("?" * len(part))), (*before, *part))
        return rows

    def usable(self, name: str) -> Collection:
        """The collection, if it was made with these embeddings; else ConfigError."""
        found = self.collection(name)
        if found.embedder != self.embedder:
            raise ConfigError(
                f"Collection {name!r} was made with the embeddings {found.embedder!r},"
                f" not with {self.embedder!r}.",
                hint="Set SEEDBED_EMBEDDINGS back, or embed its chunks again with:"
                f" rag-chatbot collections reembed {name!r}",
            )
        return found
