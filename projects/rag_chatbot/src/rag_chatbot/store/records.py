"""The rows of the catalogue as Python objects, and the SQL that writes a document's rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from rag_chatbot.read.chunk import Piece
from rag_chatbot.read.document import Document
from rag_chatbot.read.language import context, plain
from rag_chatbot.store.catalogue import Collection

DOCUMENT = "id, source, title, type, chunks, added, data_hash, path, size, mtime_ns"
CHUNK = (
    "c.id, c.document_id, d.source, c.ordinal, c.text, c.heading, c.page, c.start, c.end,"
    " d.title, d.type, c.cuts"
)

Parts = tuple[str, str, str]  # title, heading path and body of a chunk, as indexed


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored chunk: `text` is `[start:end]` of its document's text.

    `heading` is the path of headings above it, `page` counts from 1, and `type` is the format of
    the document, see `read.TYPES`. `cuts` is that of `read.chunk.Piece`.
    """

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
    type: str
    cuts: int = 0


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file's path, size and time of change: equal values mean that it need not be read again."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document; only `Store.document` reads its text.

    `path`, `size` and `mtime_ns` are those of its file, if it was ingested from one.
    """

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
    pieces: Sequence[Piece],
    parts: Sequence[Parts],
) -> list[int]:
    """Insert a document and its chunks, with the parts that are indexed; returns their ids."""
    stat = (file.path, file.size, file.mtime_ns) if file else (None, None, None)
    row = db.execute(
        "INSERT INTO documents (collection_id, source, title, type, text, data_hash, path, size,"
        " mtime_ns, chunks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(owner.id, source, document.title, document.type, document.text, data_hash),
            *(*stat, len(pieces)),
        ),
    )
    ids: list[int] = []
    for n, (p, part) in enumerate(zip(pieces, parts, strict=True)):
        text = document.text[p.start : p.end]
        chunk = db.execute(
            "INSERT INTO chunks (document_id, ordinal, start, end, heading, page, text, cuts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (row.lastrowid, n, p.start, p.end, p.heading, p.page, text, p.cuts),
        )
        ids.append(chunk.lastrowid or 0)
        db.execute(
            f"INSERT INTO {owner.fts} (rowid, title, heading, body) VALUES (?, ?, ?, ?)",
            (ids[-1], *part),
        )
    return ids


def delete_document(db: sqlite3.Connection, owner: Collection, document_id: int) -> None:
    """Delete a document with its chunks."""
    chunk_ids = "SELECT id FROM chunks WHERE document_id = ?"
    db.execute(f"DELETE FROM {owner.fts} WHERE rowid IN ({chunk_ids})", (document_id,))
    db.execute("DELETE FROM chunks WHERE document_id = ?", (document_id,))
    db.execute("DELETE FROM documents WHERE id = ?", (document_id,))


def index_parts(document: Document, pieces: Sequence[Piece]) -> list[Parts]:
    """Title, heading path and body without markup of each chunk: what full-text search indexes."""
    text = document.text
    return [
        (document.title, p.heading, plain(text[max(p.start, p.body) : p.end], document.type))
        for p in pieces
    ]


def joined(title: str, heading: str, body: str) -> str:
    """The text that is embedded for a chunk: its context, then its words."""
    return f"{context(title, heading)}\n{body}".strip()
