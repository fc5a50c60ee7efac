"""The rows of the catalogue as Python sees them, and how a document's rows are written together."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from rag_chatbot.read.chunk import Piece, context, plain
from rag_chatbot.read.document import Document
from rag_chatbot.store.collections import Collection

DOCUMENT = "id, source, title, type, chunks, added, data_hash, path, size, mtime_ns"
CHUNK = (
    "c.id, c.document_id, d.source, c.ordinal, c.text, c.heading, c.page, c.start, c.end, d.title"
)


Parts = tuple[str, str, str]


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


def insert_document(
    db: sqlite3.Connection,
    owner: Collection,
    source: str,
    data_hash: str,
    document: Document,
    file: FileStat | None,
    count: int,
) -> int:
    stat = (file.path, file.size, file.mtime_ns) if file else (None, None, None)
    inserted = db.execute(
        "INSERT INTO documents (collection_id, source, title, type, text, data_hash, path, size,"
        " mtime_ns, chunks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (owner.id, source, document.title, document.type, document.text, data_hash, *stat, count),
    ).lastrowid
    assert inserted is not None
    return inserted


def insert_chunks(
    db: sqlite3.Connection,
    owner: Collection,
    document_id: int,
    text: str,
    entries: Sequence[tuple[Piece, Parts, bytes]],
) -> None:
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


def remove(db: sqlite3.Connection, owner: Collection, document_id: int) -> None:
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


def index_parts(document: Document, pieces: Sequence[Piece]) -> list[Parts]:
    """Title, heading path and cleaned body of each chunk: the columns of the full-text table."""
    text = document.text
    return [(document.title, p.heading, plain(text[p.start : p.end])) for p in pieces]


def joined(title: str, heading: str, body: str) -> str:
    """What is embedded; equal to `chunk.embedding_text` of the raw text."""
    return f"{context(title, heading)}\n{body}".strip()
