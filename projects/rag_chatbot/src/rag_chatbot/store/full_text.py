"""Full-text search in SQLite (FTS5, bm25), and the filters of both searches.

Functions over the connection of a catalogue: any text becomes a safe query, `where` becomes SQL.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rag_chatbot.read.language import STOP_WORDS
from rag_chatbot.store.collections import Collection
from seedbed.errors import BadInput

Where = Mapping[str, Any]

BM25_WEIGHTS = (1.5, 1.5, 1.0)  # of the columns title, heading and body
MAX_TERMS = 64  # words of one query
MAX_ROWS = 4000  # rows that one query scores, about: 1 to 2 µs each, and common words add little


class Frequencies:
    """In how many chunks each word occurs, counted at its first use and cached until `clear`."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def clear(self) -> None:
        """Count again from now on."""
        self._counts.clear()

    def of(self, db: sqlite3.Connection, owner: Collection, word: str) -> int:
        """The chunks of a collection that contain `word`.

        0 for every word where the whole collection has no more than MAX_ROWS chunks.
        """
        if self._count(db, owner, "") <= MAX_ROWS:
            return 0
        return self._count(db, owner, f" WHERE {owner.fts} MATCH '\"{word}\"'")

    def _count(self, db: sqlite3.Connection, owner: Collection, condition: str) -> int:
        key = (owner.fts, condition)
        if key not in self._counts:
            if len(self._counts) > 50_000:
                self.clear()
            (count,) = db.execute(f"SELECT count(*) FROM {owner.fts}{condition}").fetchone()
            self._counts[key] = count
        return self._counts[key]


def text_search(
    db: sqlite3.Connection,
    owner: Collection,
    query: str,
    k: int,
    where: Where | None,
    frequencies: Frequencies,
) -> list[tuple[int, float]]:
    """(chunk id, bm25) of the `k` best chunks, higher is better; [] for a query without words."""
    match = match_expression(query, lambda word: frequencies.of(db, owner, word))
    if not match:
        return []
    condition = ""
    values: tuple[Any, ...] = ()
    if where:
        inner, values = _condition(where)
        # The plus keeps SQLite from running the whole match once for each row that passes.
        condition = (
            " AND +rowid IN (SELECT c.id FROM documents d JOIN chunks c ON c.document_id = d.id"
            f" WHERE d.collection_id = ?{inner})"
        )
        values = (owner.id, *values)
    weights = ", ".join(str(float(w)) for w in BM25_WEIGHTS)
    rows = db.execute(
        f"SELECT rowid, rank FROM {owner.fts} WHERE {owner.fts} MATCH ?"
        f" AND rank MATCH 'bm25({weights})'{condition} ORDER BY rank LIMIT ?",
        (match, *values, k),
    )
    return [(i, -rank) for i, rank in rows]


def dense_filtered(
    db: sqlite3.Connection, owner: Collection, vector: np.ndarray, k: int, where: Where
) -> list[tuple[int, float]]:
    """(chunk id, cosine) of the `k` nearest among the chunks that pass the filter, exactly.

    Chroma's own filters are slower, even for ten documents.
    """
    condition, values = _condition(where)
    rows = db.execute(
        "SELECT c.id, v.vector FROM documents d JOIN chunks c ON c.document_id = d.id"
        " JOIN vectors v ON v.hash = c.hash AND v.embedder = ?"
        f" WHERE d.collection_id = ?{condition}",
        (owner.embedder, owner.id, *values),
    ).fetchall()
    if not rows:
        return []
    matrix = np.frombuffer(b"".join(v for _, v in rows), dtype=np.float32).reshape(len(rows), -1)
    cosines = matrix @ (vector / max(float(np.linalg.norm(vector)), 1e-12))
    best = np.argsort(-cosines, kind="stable")[:k]
    return [(rows[n][0], float(cosines[n])) for n in best]


def _condition(where: Where) -> tuple[str, tuple[Any, ...]]:
    """`where` as SQL over documents `d` and chunks `c`."""
    sql = ""
    values: list[str | int] = []
    for key, value in where.items():
        options = [value] if isinstance(value, str | int) else list(value)
        test = {"source": "d.source GLOB ?", "type": "d.type = ?", "page": "c.page = ?"}.get(key)
        if test is None or not options or not all(isinstance(o, str | int) for o in options):
            raise BadInput(
                f"Unknown filter {key!r}: {value!r}.",
                hint="Available: source (a glob), type and page.",
            )
        sql += f" AND ({' OR '.join([test] * len(options))})"
        values += options
    return sql, tuple(values)


def match_expression(query: str, rows_with: Callable[[str], int] = lambda _: 0) -> str:
    """Any text as an FTS5 query: its words, each quoted, joined by OR. Empty without words.

    A repeated word counts twice and no more. Common words are left out where all words together
    would match more than MAX_ROWS chunks; `rows_with` returns the number for one word.
    """
    text = query[:20000].encode("utf-8", "ignore").decode("utf-8").lower()
    words = [word[:100] for word in re.findall(r"\w+", text)]
    counts = Counter(word for word in words if word not in STOP_WORDS) or Counter(words)
    distinct = list(counts)
    if len(distinct) > MAX_TERMS:  # the longest, which tend to be rare
        distinct = sorted(distinct, key=len, reverse=True)[:MAX_TERMS]
    rows = {word: rows_with(word) for word in distinct}
    total = 0
    affordable: list[str] = []
    for word in sorted(distinct, key=rows.__getitem__):
        total += rows[word]
        if affordable and total > MAX_ROWS:
            break
        affordable.append(word)
    return " OR ".join(f'"{word}"' for word in affordable for _ in range(min(counts[word], 2)))
