"""The catalogue of indexed images: one SQLite file, from which the vector index can be rebuilt.

    catalog = Catalog(Path("var/vision_app"))
    catalog.put([entry])                  # replaces entries with the same path
    catalog.keywords("invoice acme", 10)  # ids, best first (BM25)

An id is never used twice, so what belongs to an id never changes: after a process was killed, the
vector index differs from the catalogue only by the ids that it lacks or has too many.
"""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vision_app.search.kinds import kinds_of
from seedbed.database import SqliteConnections, sqlite_errors

Vectors = npt.NDArray[np.float32]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (
  id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL, model TEXT NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, labels TEXT NOT NULL, hash BLOB NOT NULL, thumbnail BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS vectors (
  image_id INTEGER NOT NULL REFERENCES images ON DELETE CASCADE, space TEXT NOT NULL,
  vector BLOB NOT NULL, PRIMARY KEY (image_id, space)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS vectors_space ON vectors (space, image_id);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
  name, labels, text, tokenize = 'porter unicode61 remove_diacritics 2');
"""

_COLUMNS = "path size mtime_ns sha256 model width height text hash thumbnail".split()


@dataclass(frozen=True)
class Entry:
    """One image as it is stored; `vectors` are by space, i.e. by the model that made them."""

    path: str
    size: int
    mtime_ns: int
    sha256: str
    model: str
    width: int
    height: int
    text: str
    hash: bytes
    thumbnail: bytes
    labels: tuple[tuple[str, float], ...]
    vectors: dict[str, Vectors] = field(default_factory=dict)
    id: int = 0


class Catalog:
    """Entries by path. Writers hold the lock of `ImageIndex`; readers need none."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "images.sqlite"
        self._connections = SqliteConnections(self.path, foreign_keys=1)
        with self._errors():
            db = self._connections.get()
            db.executescript(_SCHEMA)
            # The id of this catalogue: Chroma servers may contain the vectors of several.
            for name in ("catalog", "generation"):
                db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, uuid.uuid4().hex))

    def meta(self, name: str) -> str:
        """`catalog`, the id of this file, or `generation`, which changes with every write."""
        with self._errors():
            query = "SELECT value FROM meta WHERE name = ?"
            return str(self._connections.get().execute(query, (name,)).fetchone()[0])

    def stamps(self) -> dict[str, tuple[int, int, str, str]]:
        """(size, mtime_ns, sha256, model) of every path."""
        with self._errors():
            query = "SELECT path, size, mtime_ns, sha256, model FROM images"
            return {path: tuple(row) for path, *row in self._connections.get().execute(query)}

    def put(self, entries: Sequence[Entry]) -> tuple[list[int], list[int]]:
        """Add entries in one transaction; returns the ids that they replace, and the new ones."""
        with self._transaction() as db:
            obsolete = _delete(db, [entry.path for entry in entries])
            return obsolete, [_insert(db, entry) for entry in entries]

    def touch(self, path: str, size: int, mtime_ns: int) -> None:
        """Store a new time of change for a file whose content is the same."""
        with self._errors():
            query = "UPDATE images SET size = ?, mtime_ns = ? WHERE path = ?"
            self._connections.get().execute(query, (size, mtime_ns, path))

    def remove(self, paths: Collection[str]) -> list[int]:
        """Delete entries in one transaction; returns their ids."""
        with self._transaction() as db:
            return _delete(db, paths)

    def entries(self, ids: Sequence[int]) -> dict[int, Entry]:
        """Entries by id, without vectors; ids that do not exist are left out."""
        query = f"""SELECT i.id, i.labels, {", ".join(_COLUMNS)}
            FROM images i JOIN words ON words.rowid = i.id
            WHERE i.id IN (SELECT value FROM json_each(?))"""
        with self._errors():
            rows = self._connections.get().execute(query, (json.dumps(list(ids)),)).fetchall()
        entries = {}
        for number, labels, *values in rows:
            columns = dict(zip(_COLUMNS, values, strict=True))
            likely = tuple((label, confidence) for label, confidence in json.loads(labels))
            entries[number] = Entry(**columns, labels=likely, id=number)
        return entries

    def entry(self, path: str) -> Entry | None:
        """The entry of a path, if there is one."""
        with self._errors():
            query = "SELECT id FROM images WHERE path = ?"
            row = self._connections.get().execute(query, (path,)).fetchone()
        return self.entries([row[0]]).get(row[0]) if row else None

    def hashes(self) -> dict[str, bytes]:
        """The perceptual hash of every path."""
        with self._errors():
            return dict(self._connections.get().execute("SELECT path, hash FROM images"))

    def texts(self, paths: Collection[str]) -> dict[str, str]:
        """The text of each of these paths."""
        query = """SELECT path, text FROM images i JOIN words ON words.rowid = i.id
            WHERE path IN (SELECT value FROM json_each(?))"""
        with self._errors():
            return dict(self._connections.get().execute(query, (json.dumps(list(paths)),)))

    def ids(self, space: str) -> set[int]:
        """Ids of all images with a vector in this space."""
        with self._errors():
            query = "SELECT image_id FROM vectors WHERE space = ?"
            return {i for (i,) in self._connections.get().execute(query, (space,))}

    def vectors(self, space: str, ids: Sequence[int]) -> tuple[list[int], Vectors]:
        """Ids with a vector in this space, and the vectors: float32 (n, dimension)."""
        query = """SELECT image_id, vector FROM vectors
            WHERE space = ? AND image_id IN (SELECT value FROM json_each(?))"""
        with self._errors():
            rows = self._connections.get().execute(query, (space, json.dumps(list(ids)))).fetchall()
        vectors = [np.frombuffer(vector, np.float16).astype(np.float32) for _, vector in rows]
        return [i for i, _ in rows], np.array(vectors, np.float32)

    def keywords(self, query: str, k: int) -> list[int]:
        """Ids of images whose labels, text or file name contain a word of the query, best first."""
        terms = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", query)[:50])
        if not terms:
            return []
        sql = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        with self._errors():
            return [i for (i,) in self._connections.get().execute(sql, (terms, k))]

    def close(self) -> None:
        """Close the file."""
        self._connections.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            db = self._connections.get()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                generation = uuid.uuid4().hex
                db.execute("UPDATE meta SET value = ? WHERE name = 'generation'", (generation,))
                db.execute("COMMIT")
            except BaseException:
                db.execute("ROLLBACK")
                raise

    def _errors(self) -> AbstractContextManager[None]:
        hint = f"Delete {self.path} and index the folders again."
        return sqlite_errors(self.path, setting="VISION_DATA_DIR", damaged=hint)


def _insert(db: sqlite3.Connection, entry: Entry) -> int:
    labels = json.dumps(entry.labels)
    number = db.execute(
        "INSERT INTO images (path, size, mtime_ns, sha256, model, width, height, labels, hash,"
        " thumbnail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(entry.path, entry.size, entry.mtime_ns, entry.sha256, entry.model),
            *(entry.width, entry.height, labels, entry.hash, entry.thumbnail),
        ),
    ).lastrowid
    assert number is not None
    names = ", ".join(word for label, _ in entry.labels for word in (label, *kinds_of(label)))
    row = (number, re.sub(r"[\W_]+", " ", Path(entry.path).stem), names, entry.text)
    db.execute("INSERT INTO words (rowid, name, labels, text) VALUES (?, ?, ?, ?)", row)
    for space, vector in entry.vectors.items():
        # Half precision changes a cosine by less than 0.001 and takes half the space.
        half = vector.astype(np.float16).tobytes()
        db.execute("INSERT INTO vectors VALUES (?, ?, ?)", (number, space, half))
    return number


def _delete(db: sqlite3.Connection, paths: Collection[str]) -> list[int]:
    among = "IN (SELECT value FROM json_each(?))"
    query = f"SELECT id FROM images WHERE path {among}"
    ids = [i for (i,) in db.execute(query, (json.dumps(list(paths)),))]
    numbers = json.dumps(ids)
    db.execute(f"DELETE FROM words WHERE rowid {among}", (numbers,))
    db.execute(f"DELETE FROM images WHERE id {among}", (numbers,))
    return ids
