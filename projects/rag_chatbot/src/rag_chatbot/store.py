"""Where documents, chunks and their vectors are kept, and the two ways to search them.

The catalogue (SQLite) is the truth. A document's text, chunks, vectors and the changes that the
vector index still has to see (the outbox) are written in one transaction; the index follows, and
`repair` brings it up to date after a crash. This module does not parse, rank or answer.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag_chatbot.access import Collection, Collections
from rag_chatbot.chunk import Piece, context, plain
from rag_chatbot.config import Config
from rag_chatbot.database import Database
from rag_chatbot.index import Index
from rag_chatbot.parse.document import Document
from rag_chatbot.sync import Sync
from seedbed.errors import BadInput, ConfigError, NotFound

# Weights of the columns title, heading, body in bm25.
BM25_WEIGHTS = (1.5, 1.5, 1.0)
MAX_TERMS = 64
STOP_WORDS = frozenset(
    "a about after again against all also am an and any are as at be because been before being"
    " below between both but by can could did do does doing down during each few for from"
    " further get had has have having he her here hers him his how i if in into is it its itself"
    " just me more most my no nor not now of off on once one only or other our out over own same"
    " she should so some such than that the their them then there these they this those through"
    " to too under until up upon us very was we were what when where which while who whom why"
    " will with would you your".split()
)
_DOCUMENT = "id, source, title, type, chunks, added, data_hash, path, size, mtime_ns"
_CHUNK = (
    "c.id, c.document_id, d.source, c.ordinal, c.text, c.heading, c.page, c.start, c.end, d.title"
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """`start` and `end` are its span in the document's text; `page` counts from 1."""

    id: int
    document_id: int
    source: str
    ordinal: int
    text: str
    heading: str
    page: int | None
    start: int
    end: int
    title: str


@dataclass(frozen=True, slots=True)
class FileStat:
    """Where a document came from, and how to see cheaply that it has not changed since."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """`path`, `size` and `mtime_ns` are those of its file; `text` only where one was asked for."""

    id: int
    source: str
    title: str
    type: str
    chunks: int
    added: str
    data_hash: str
    path: str | None
    size: int | None
    mtime_ns: int | None
    text: str = ""


class Store:
    """Safe to use from many threads. Readers never wait for writers."""

    def __init__(self, config: Config, embeddings: Any) -> None:
        """Opens (and creates) the catalogue; the index is opened when it is first needed."""
        self.config = config
        self.embeddings = embeddings
        self.embedder = embedder_name(embeddings)
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
                    _remove(db, owner, document_id)
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
        for at in range(0, len(hashes), 500):
            part = hashes[at : at + 500]
            known.update(
                self._db.execute(
                    f"SELECT hash, vector FROM vectors WHERE embedder = ? AND hash IN ({','.join('?' * len(part))})",
                    (self.embedder, *part),
                ).fetchall()
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
        vectors: dict[bytes, bytes] | None = None,
        apply: bool = True,
    ) -> int:
        """Add a document, or replace the one of the same source. Returns its id.

        `vectors` may hold what `embed` returned for its texts. With `apply=False` the caller runs
        `apply_outbox` later, for many documents at once.
        """
        owner = self.usable(collection)
        parts = [index_parts(document, piece) for piece in pieces]
        texts = [joined(*part) for part in parts]
        known = self.embed(texts) if vectors is None else vectors
        entries = [(p, part, text_hash(t)) for p, part, t in zip(pieces, parts, texts, strict=True)]
        with self.database.writing():
            with self.database.transaction() as db:
                old = db.execute(
                    "SELECT id FROM documents WHERE collection_id = ? AND source = ?",
                    (owner.id, source),
                ).fetchone()
                if old:
                    _remove(db, owner, old[0])
                db.executemany(
                    "INSERT OR IGNORE INTO vectors (hash, embedder, vector) VALUES (?, ?, ?)",
                    [(h, self.embedder, known[h]) for h in {entry[2] for entry in entries}],
                )
                document_id = _insert_document(
                    db, owner, source, data_hash, document, file, len(pieces)
                )
                _insert_chunks(db, owner, document_id, document.text, entries)
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
                _remove(db, owner, row[0])
            if apply:
                self.apply_outbox()

    def documents(self, collection: str) -> list[StoredDocument]:
        """All of a collection, by source, without their text."""
        rows = self._db.execute(
            f"SELECT {_DOCUMENT} FROM documents WHERE collection_id = ? ORDER BY source",
            (self.collection(collection).id,),
        )
        return [StoredDocument(*row) for row in rows]

    def document(self, collection: str, source: str) -> StoredDocument:
        """With its text. Raises NotFound."""
        row = self._db.execute(
            f"SELECT {_DOCUMENT}, text FROM documents WHERE collection_id = ? AND source = ?",
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

    def chunks(self, ids: Sequence[int]) -> list[Chunk]:
        """In the order of `ids`; those that are gone are left out."""
        rows = self._by_ids(f"SELECT {_CHUNK} FROM chunks c JOIN documents d ON d.id = c.document_id"
                            " WHERE c.id IN ({})", ids)  # fmt: skip
        found = {row[0]: Chunk(*row) for row in rows}
        return [found[i] for i in ids if i in found]

    def document_chunks(self, document_id: int) -> list[Chunk]:
        """All chunks of a document, in order."""
        rows = self._db.execute(
            f"SELECT {_CHUNK} FROM chunks c JOIN documents d ON d.id = c.document_id"
            " WHERE c.document_id = ? ORDER BY c.ordinal",
            (document_id,),
        )
        return [Chunk(*row) for row in rows]

    def neighbours(self, chunk: Chunk, before: int = 1, after: int = 1) -> list[Chunk]:
        """The chunks around it in its document, in order, without itself."""
        rows = self._db.execute(
            f"SELECT {_CHUNK} FROM chunks c JOIN documents d ON d.id = c.document_id"
            " WHERE c.document_id = ? AND c.ordinal BETWEEN ? AND ? AND c.ordinal != ?"
            " ORDER BY c.ordinal",
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
        self, collection: str, vector: np.ndarray, k: int, where: Mapping[str, Any] | None = None
    ) -> list[tuple[int, float]]:
        """The k chunks nearest to `vector` with their cosine, best first. For `where` see `text`.

        Raises Unavailable when the Chroma server does not answer.
        """
        owner = self.usable(collection)
        vector = np.asarray(vector, dtype=np.float32)
        if not where:
            found = self._sync.query(owner.index_name, vector, k)
            alive = {i for (i,) in self._by_ids("SELECT id FROM chunks WHERE id IN ({})",
                                                [i for i, _ in found])}  # fmt: skip
            return [(i, cosine) for i, cosine in found if i in alive]
        condition, values = _condition(where)
        # Exact, over the chunks that pass: Chroma's own filters take longer from the first chunk on.
        rows = self._db.execute(
            "SELECT c.id, v.vector FROM documents d JOIN chunks c ON c.document_id = d.id"
            " JOIN vectors v ON v.hash = c.hash AND v.embedder = ?"
            f" WHERE d.collection_id = ?{condition}",
            (self.embedder, owner.id, *values),
        ).fetchall()
        if not rows:
            return []
        matrix = np.frombuffer(b"".join(v for _, v in rows), dtype=np.float32).reshape(
            len(rows), -1
        )
        cosines = matrix @ (vector / max(float(np.linalg.norm(vector)), 1e-12))
        best = np.argsort(-cosines, kind="stable")[:k]
        return [(rows[n][0], float(cosines[n])) for n in best]

    def text(
        self, collection: str, query: str, k: int, where: Mapping[str, Any] | None = None
    ) -> list[tuple[int, float]]:
        """The k best chunks by bm25 (higher is better), best first; any text is a valid query.

        `where` narrows both searches alike: {"source": glob or globs (`*` also crosses /),
        "type": one or more of the parsers' types, "page": number}. Raises BadInput for others.
        """
        owner = self.collection(collection)
        match = match_expression(query)
        if not match:
            return []
        condition, values = _condition(where) if where else ("", ())
        if condition:
            condition = (" AND rowid IN (SELECT c.id FROM documents d JOIN chunks c"
                         f" ON c.document_id = d.id WHERE d.collection_id = ?{condition})")  # fmt: skip
            values = (owner.id, *values)
        weights = ", ".join(str(float(w)) for w in BM25_WEIGHTS)
        rows = self._db.execute(
            f"SELECT rowid, rank FROM {owner.fts} WHERE {owner.fts} MATCH ?"
            f" AND rank MATCH 'bm25({weights})'{condition} ORDER BY rank LIMIT ?",
            (match, *values, k),
        )
        return [(i, -rank) for i, rank in rows]

    @property
    def _db(self) -> sqlite3.Connection:
        return self.database.connection()

    def _by_ids(self, sql: str, ids: Sequence[int], *before: Any) -> list[tuple[Any, ...]]:
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
                hint=f"Set SEEDBED_EMBEDDINGS back, or run: rag-chatbot collections --reembed {name!r}",
            )
        return found


def _insert_document(db, owner, source, data_hash, document, file, count) -> int:  # type: ignore[no-untyped-def]
    stat = (file.path, file.size, file.mtime_ns) if file else (None, None, None)
    return db.execute(
        "INSERT INTO documents (collection_id, source, title, type, text, data_hash, path, size,"
        " mtime_ns, chunks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (owner.id, source, document.title, document.type, document.text, data_hash, *stat, count),
    ).lastrowid


def _insert_chunks(db, owner, document_id, text, entries) -> None:  # type: ignore[no-untyped-def]
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
    numbered = list(enumerate(entries, (row[0] if row else 0) + 1))
    db.executemany(
        "INSERT INTO chunks (id, document_id, ordinal, start, end, heading, page, text, hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (i, document_id, n, p.start, p.end, p.heading, p.page, text[p.start : p.end], digest)
            for n, (i, (p, _, digest)) in enumerate(numbered)
        ],
    )
    db.executemany(
        f"INSERT INTO {owner.fts} (rowid, title, heading, body) VALUES (?, ?, ?, ?)",
        [(i, *part) for i, (_, part, _) in numbered],
    )
    db.executemany(
        "INSERT INTO outbox (op, index_name, chunk_id) VALUES ('upsert', ?, ?)",
        [(owner.index_name, i) for i, _ in numbered],
    )


def _remove(db: sqlite3.Connection, owner: Collection, document_id: int) -> None:
    rows = db.execute(
        "SELECT id, hash FROM chunks WHERE document_id = ?", (document_id,)
    ).fetchall()
    db.executemany(f"DELETE FROM {owner.fts} WHERE rowid = ?", [(i,) for i, _ in rows])
    db.execute("DELETE FROM chunks WHERE document_id = ?", (document_id,))
    db.execute("DELETE FROM documents WHERE id = ?", (document_id,))
    db.executemany(
        "INSERT INTO outbox (op, index_name, chunk_id) VALUES ('delete', ?, ?)",
        [(owner.index_name, i) for i, _ in rows],
    )
    db.executemany(  # a vector that no chunk needs any more still says something about the text
        "DELETE FROM vectors WHERE hash = ?1"
        " AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.hash = ?1)",
        [(digest,) for _, digest in rows],
    )


def _condition(where: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """`where` as SQL over documents `d` and chunks `c`."""
    sql, values = "", []
    for key, value in where.items():
        options = [value] if isinstance(value, str | int) else list(value)
        test = {"source": "d.source GLOB ?", "type": "d.type = ?", "page": "c.page = ?"}.get(key)
        if test is None or not options or not all(isinstance(o, str | int) for o in options):
            raise BadInput(
                f"The filter {key!r}: {value!r} is not known.",
                hint="Filters are source (a glob), type and page.",
            )
        sql += f" AND ({' OR '.join([test] * len(options))})"
        values += options
    return sql, tuple(values)


def match_expression(query: str) -> str:
    """Any text as an FTS5 query: its words, each quoted, joined by OR. Empty when it has none.

    A word that is said twice counts twice, as in the original bm25.
    """
    words = re.findall(r"\w+", query[:20000].lower())
    kept = [word for word in words if word not in STOP_WORDS] or words
    if len(kept) > MAX_TERMS:  # of a long text the rarer words, for which length is a fair guess
        kept = sorted(kept, key=len, reverse=True)[:MAX_TERMS]
    text = " OR ".join(f'"{word[:100]}"' for word in kept)
    return text.encode("utf-8", "ignore").decode("utf-8")


def embedding_texts(document: Document, pieces: Sequence[Piece]) -> list[str]:
    """What `add_document` will look for among its vectors."""
    return [joined(*index_parts(document, piece)) for piece in pieces]


def index_parts(document: Document, piece: Piece) -> tuple[str, str, str]:
    """Title, heading path and cleaned body of a chunk: the columns of the full-text table."""
    return document.title, piece.heading, plain(document.text[piece.start : piece.end])


def joined(title: str, heading: str, body: str) -> str:
    """What is embedded; equal to `chunk.embedding_text` of the raw text."""
    return f"{context(title, heading)}\n{body}".strip()


def text_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def embedder_name(embeddings: Any) -> str:
    name = getattr(embeddings, "name", None) or getattr(embeddings, "model", None)
    return str(name or type(embeddings).__name__)


def embed_texts(embeddings: Any, texts: Sequence[str]) -> np.ndarray:
    """float32 (n, dimension), normalised, from ours (`embed`) or any LangChain embeddings."""
    if hasattr(embeddings, "embed"):
        vectors = embeddings.embed(texts)
    else:
        vectors = embeddings.embed_documents(list(texts))
    array = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    return np.ascontiguousarray(array / np.maximum(norms, 1e-12))
