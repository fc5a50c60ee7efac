"""The store: documents, chunks and vectors, and the two searches over them.

    store = Store(Config(), load_embeddings())
    store.keyword_search(collection, "change the port", k=10)     # [(chunk id, bm25), …]

The catalogue (SQLite) is the source of truth: documents, chunks and the keyword index. Only the
vectors are in Chroma, which is kept in step: `mend_index` compares the ids of both at the first
search and after a failure, `update_index` after a change. Until then a chunk's vector is in memory,
or is computed from its text. Parsing, ranking and answering are left to others.

Keyword search is that of SQLite (FTS5, BM25), for which any text becomes a safe query.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rag_chatbot.config import Config
from rag_chatbot.read.chunk import Piece
from rag_chatbot.read.document import Document
from rag_chatbot.read.find_files import is_gone
from rag_chatbot.read.language import STOP_WORDS
from rag_chatbot.store.catalogue import Collection, Collections, Database
from rag_chatbot.store.records import (
    CHUNK,
    DOCUMENT,
    Chunk,
    FileStat,
    StoredDocument,
    delete_document,
    index_parts,
    insert_document,
    joined,
)
from rag_chatbot.store.vector_index import open_index
from seedbed.errors import BadInput, Busy, NotFound, Unavailable
from seedbed.models.embeddings.load_embeddings import embed_texts

__all__ = ["Chunk", "FileStat", "Store", "StoredDocument"]

log = logging.getLogger(__name__)
BM25_WEIGHTS = "1.5, 1.5, 1.0"  # of the columns title, heading and body
MAX_TERMS = 64  # words of one keyword search
MAX_ROWS = 4000  # rows that one search scores, about: 1 to 2 µs each, and common words add little
CACHED = 50_000  # vectors kept in memory, 77 MB with 384 dimensions: Chroma takes 30 µs for one
BATCH = 512  # chunks whose vectors are written to the index together


class Store:
    """Safe to use from many threads. Readers never wait for writers."""

    def __init__(self, config: Config, embeddings: Any) -> None:
        """Open the catalogue, or create it. The vector index is opened at its first use."""
        self.config = config
        self.embeddings = embeddings
        self.database = Database(Path(config.data_dir))
        self._counts: dict[tuple[str, str], int] = {}  # (table, word) → chunks that contain it
        writers = [name.strip() for name in config.writers.split(",")]
        self.collections = Collections(self.database, writers)
        self._index = open_index(config, embeddings)
        # By chunk id. A chunk never changes, and ids are not used again, so neither does a vector.
        self._cache: dict[int, np.ndarray] = {}
        self._unindexed = 0  # chunks added or documents deleted since the index was changed
        self._compared = False  # whether the ids of index and catalogue were found to be equal

    def close(self) -> None:
        """Close the vector index and the connections of all threads."""
        self._index.close()
        self.database.close()

    # Searching

    def keyword_search(self, collection: Collection, query: str, k: int) -> list[tuple[int, float]]:
        """(chunk id, bm25) of the `k` best chunks, higher is better; any text is a valid query."""
        match = match_expression(query, partial(self._count, collection.fts))
        if not match:
            return []
        rows = self._db.execute(
            f"SELECT rowid, rank FROM {collection.fts} WHERE {collection.fts} MATCH ?"
            f" AND rank MATCH 'bm25({BM25_WEIGHTS})' ORDER BY rank LIMIT ?",
            (match, k),
        )
        return [(i, -rank) for i, rank in rows]

    def _count(self, table: str, word: str) -> int:
        """The number of chunks with `word`; always 0 in a table of at most MAX_ROWS chunks."""
        if word and self._count(table, "") <= MAX_ROWS:
            return 0
        if (table, word) not in self._counts:
            if len(self._counts) > 50_000:
                self._counts.clear()
            condition = f" WHERE {table} MATCH '\"{word}\"'" if word else ""
            (count,) = self._db.execute(f"SELECT count(*) FROM {table}{condition}").fetchone()
            self._counts[table, word] = count
        return self._counts[table, word]

    def vector_search(
        self, collection: Collection, vector: np.ndarray, k: int
    ) -> list[tuple[int, float]]:
        """(chunk id, cosine) of the `k` chunks nearest to `vector`, best first.

        A chunk that was deleted a moment ago may be among them. Raises Unavailable when the Chroma
        server does not answer.
        """
        vector = np.asarray(vector, dtype=np.float32)
        for retry in (True, False):
            if not self._compared:
                with suppress(Busy):  # another process is writing; the next question tries again
                    self.mend_index()
            try:
                return self._index.query(collection.index_name, vector, k)
            except Unavailable:  # the index may be damaged, or a server may have lost its data
                self._compared = False
                if not retry:
                    raise
        raise AssertionError("the second attempt returns or raises")

    def fetch(
        self, collection: Collection, chunk_ids: Sequence[int]
    ) -> tuple[list[Chunk], np.ndarray]:
        """Chunks of a collection with their vectors: float32 (n, dimension), rows of length 1.

        In the order of `chunk_ids`; chunks that have been deleted are left out.
        """
        chunks = self.chunks(chunk_ids)
        vectors = self._vectors(collection, [chunk.id for chunk in chunks])
        chunks = [chunk for chunk in chunks if chunk.id in vectors]
        if not chunks:
            return [], np.zeros((0, 0), dtype=np.float32)
        return chunks, np.stack([vectors[chunk.id] for chunk in chunks])

    def chunks(self, chunk_ids: Sequence[int]) -> list[Chunk]:
        """Chunks in the order of `chunk_ids`; those that were deleted are left out."""
        rows = self._db.execute(
            f"SELECT {CHUNK} FROM chunks c JOIN documents d ON d.id = c.document_id"
            " WHERE c.id IN (SELECT value FROM json_each(?))",
            (json.dumps(chunk_ids),),
        )
        by_id = {row[0]: Chunk(*row) for row in rows}
        return [by_id[chunk_id] for chunk_id in chunk_ids if chunk_id in by_id]

    # Documents

    def documents(self, collection: str) -> list[StoredDocument]:
        """All documents of a collection, ordered by source, without their text."""
        rows = self._db.execute(
            f"SELECT {DOCUMENT} FROM documents WHERE collection_id = ? ORDER BY source",
            (self.collections.get(collection).id,),
        )
        return [StoredDocument(*row) for row in rows]

    def document(self, collection: str, source: str) -> StoredDocument:
        """One document with its text. Raises NotFound."""
        document = self.find(self.collections.get(collection), source)
        if document is None:
            raise NotFound(
                f"Unknown document {source!r} in collection {collection!r}.",
                hint="List its documents with: rag-chatbot documents list",
            )
        return document

    def find(self, owner: Collection, source: str) -> StoredDocument | None:
        """One document with its text, or None."""
        row = self._db.execute(
            f"SELECT {DOCUMENT}, text FROM documents WHERE collection_id = ? AND source = ?",
            (owner.id, source),
        ).fetchone()
        return StoredDocument(*row) if row else None

    def add_document(
        self,
        collection: str,
        source: str,
        data_hash: str,
        document: Document,
        pieces: Sequence[Piece],
        *,
        file: FileStat | None = None,
    ) -> StoredDocument | None:
        """Add a document; returns the one of the same source that it replaces.

        `update_index` must follow after the last one. Raises BadInput if the source is that of an
        upload or of another file: one never replaces the other.
        """
        owner = self.collections.get(collection)

        # 1. Embed the texts of all chunks, before the lock is taken.
        parts = index_parts(document, pieces)
        vectors = embed_texts(self.embeddings, [joined(*part) for part in parts]) if parts else ()

        # 2. Replace the document in one transaction.
        self._counts.clear()
        with self.database.writing():
            old = self.find(owner, source)
            if old is not None and not _may_replace(old, file):
                raise BadInput(
                    f"{source!r} is the name of another document.",
                    hint="Rename the file, or delete the other document first.",
                )
            with self.database.transaction() as db:
                if old is not None:
                    delete_document(db, owner, old.id)
                chunk_ids = insert_document(
                    db, owner, source, data_hash, document, file, pieces, parts
                )

        # 3. Keep the vectors until enough of them are written together.
        self._remember(dict(zip(chunk_ids, vectors, strict=True)))
        self._unindexed += 1 + len(chunk_ids)
        if self._unindexed >= BATCH:
            self.update_index()
        return old

    def delete_document(self, collection: str, source: str) -> None:
        """Delete a document with its chunks; `update_index` must follow. Raises NotFound."""
        owner = self.collections.get(collection)
        with self.database.writing():
            old = self.document(collection, source)
            with self.database.transaction() as db:
                delete_document(db, owner, old.id)
        self._unindexed += 1

    def touch(self, document_id: int, file: FileStat) -> None:
        """Record the path, size and time of a file whose content has not changed."""
        with self.database.writing(), self.database.transaction() as db:
            db.execute(
                "UPDATE documents SET path = ?, size = ?, mtime_ns = ? WHERE id = ?",
                (file.path, file.size, file.mtime_ns, document_id),
            )

    def delete_collection(self, name: str) -> None:
        """Delete a collection with all its documents.

        Raises NotFound, and Unavailable if its vectors cannot be deleted.
        """
        owner = self.collections.get(name)
        with self.database.writing():
            # The vectors first: if the process is killed in between, they are computed again.
            self._index.delete(owner.index_name)
            with self.database.transaction() as db:
                for document in self.documents(name):
                    delete_document(db, owner, document.id)
                db.execute(f"DROP TABLE {owner.fts}")
                db.execute("DELETE FROM collections WHERE id = ?", (owner.id,))

    # Vectors

    def update_index(self) -> None:
        """Bring changes of the catalogue into the index. A failure is logged, and mended later."""
        if self._unindexed:
            try:
                self._mend()
            except (Unavailable, Busy) as error:
                self._compared = False
                log.warning("%s", error)

    def mend_index(self) -> None:
        """Make the ids of the index those of the catalogue.

        Raises Unavailable, and Busy when another process writes.
        """
        try:
            self._mend()
        except Unavailable:
            with self.database.writing():
                self._index.repair()
            self._mend()
        self._compared = True

    def _mend(self) -> None:
        self._unindexed = 0
        for owner in self.collections.all():
            # Read the index first: a chunk that is added meanwhile is then missing, not surplus.
            indexed = self._index.ids(owner.index_name)
            stored = {i for (i,) in self._db.execute(f"SELECT rowid FROM {owner.fts}")}
            if surplus := list(indexed - stored):
                with self.database.writing():
                    self._index.delete(owner.index_name, surplus)
            missing = sorted(stored - indexed)
            if lost := sum(i not in self._cache for i in missing):
                log.warning("%d vectors of %r are computed.", lost, owner.name)
            for at in range(0, len(missing), BATCH):
                vectors = self._vectors(owner, missing[at : at + BATCH])
                with self.database.writing():
                    self._index.upsert(owner.index_name, vectors)

    def _vectors(self, owner: Collection, chunk_ids: Sequence[int]) -> dict[int, np.ndarray]:
        """The vectors of those chunks that are stored: from memory, the index, or computed."""
        cached = ((i, self._cache.get(i)) for i in chunk_ids)
        vectors = {i: vector for i, vector in cached if vector is not None}
        if missing := [i for i in chunk_ids if i not in vectors]:
            vectors |= self._index.vectors(owner.index_name, missing)
        missing = [i for i in missing if i not in vectors]
        rows = self._db.execute(
            f"SELECT rowid, title, heading, body FROM {owner.fts}"
            " WHERE rowid IN (SELECT value FROM json_each(?))",
            (json.dumps(missing),),
        ).fetchall()
        if rows:
            embedded = embed_texts(self.embeddings, [joined(*parts) for _, *parts in rows])
            vectors |= zip((row[0] for row in rows), embedded, strict=True)
        self._remember(vectors)
        return vectors

    def _remember(self, vectors: dict[int, np.ndarray]) -> None:
        if len(self._cache) > CACHED:
            self._cache.clear()
        self._cache.update(vectors)

    @property
    def _db(self) -> sqlite3.Connection:
        return self.database.connection


def _may_replace(old: StoredDocument, file: FileStat | None) -> bool:
    """Whether a document is an older version: of the same file, or an upload of an upload."""
    if file is None or old.path is None:
        return file is None and old.path is None
    return file.path == old.path or is_gone(old.path)


def match_expression(query: str, rows_with: Callable[[str], int] = lambda _: 0) -> str:
    """Any text as an FTS5 query: its words, each quoted, joined by OR. Empty without words.

    A repeated word counts twice and no more. Common words are left out where all words together
    would match more than MAX_ROWS chunks; `rows_with` returns the number for one word.
    """
    text = query[:20000].encode("utf-8", "ignore").decode("utf-8").lower()
    words = [word[:100] for word in re.findall(r"\w+", text)]
    counts = Counter(word for word in words if word not in STOP_WORDS) or Counter(words)
    # If there are too many words, keep the longest, which tend to be rare.
    longest = set(sorted(counts, key=len, reverse=True)[:MAX_TERMS])
    rows = {word: rows_with(word) for word in counts if word in longest}
    total = 0
    affordable: list[str] = []
    for word in sorted(rows, key=rows.__getitem__):
        total += rows[word]
        if affordable and total > MAX_ROWS:
            break
        affordable.append(word)
    return " OR ".join(f'"{word}"' for word in affordable for _ in range(min(counts[word], 2)))
