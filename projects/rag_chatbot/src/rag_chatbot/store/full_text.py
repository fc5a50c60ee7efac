"""Full-text search and filters: any text becomes a safe query, `where` becomes SQL.

Functions over an open catalogue; they do not know the vector index.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rag_chatbot.store.collections import Collection
from seedbed.errors import BadInput

Where = Mapping[str, Any]

# Weights of the columns title, heading, body in bm25.
BM25_WEIGHTS = (1.5, 1.5, 1.0)
MAX_TERMS = 64
MAX_ROWS = 4000  # that one query scores, about: each takes 1 to 2 µs, and common words tell little
STOP_WORDS = frozenset(
    {
        "a", "about", "after", "again", "against", "all", "also", "am", "an", "and", "any", "are",
        "as", "at", "be", "because", "been", "before", "being", "below", "between", "both", "but",
        "by", "can", "could", "did", "do", "does", "doing", "down", "during", "each", "few",
        "for", "from", "further", "get", "had", "has", "have", "having", "he", "her", "here",
        "hers", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "itself", "just",
        "me", "more", "most", "my", "no", "nor", "not", "now", "of", "off", "on", "once", "one",
        "only", "or", "other", "our", "out", "over", "own", "same", "she", "should", "so", "some",
        "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
        "those", "through", "to", "too", "under", "until", "up", "upon", "us", "very", "was",
        "we", "were", "what", "when", "where", "which", "while", "who", "whom", "why", "will",
        "with", "would", "you", "your",
    }
)  # fmt: skip


class Frequencies:
    """In how many chunks a word stands, asked once and remembered until `clear`."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}
        self.clear = self._known.clear

    def of(self, db: sqlite3.Connection, owner: Collection, word: str) -> int:
        """0 for every word of a collection so small that all of it may be scored."""
        if self._count(db, owner, "") <= MAX_ROWS:
            return 0
        return self._count(db, owner, f" WHERE {owner.fts} MATCH '\"{word}\"'")

    def _count(self, db: sqlite3.Connection, owner: Collection, condition: str) -> int:
        key = (owner.fts, condition)
        if key not in self._known:
            if len(self._known) > 50_000:
                self.clear()
            found = db.execute(f"SELECT count(*) FROM {owner.fts}{condition}").fetchone()
            self._known[key] = found[0]
        return self._known[key]


def text_search(
    db: sqlite3.Connection,
    owner: Collection,
    query: str,
    k: int,
    where: Where | None,
    frequencies: Frequencies,
) -> list[tuple[int, float]]:
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
    """Exact, over the chunks that pass: Chroma's own filters are slower even for ten documents."""
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
                f"The filter {key!r}: {value!r} is not known.",
                hint="Filters are source (a glob), type and page.",
            )
        sql += f" AND ({' OR '.join([test] * len(options))})"
        values += options
    return sql, tuple(values)


def match_expression(query: str, rows_with: Callable[[str], int] = lambda _: 0) -> str:
    """Any text as an FTS5 query: its words, each quoted, joined by OR. Empty when it has none.

    A word that is said again counts twice, as bm25 has it; from then on it counts no more. Of the
    words together only the rarest are kept, until they stand in MAX_ROWS chunks by `rows_with`.
    """
    text = query[:20000].encode("utf-8", "ignore").decode("utf-8").lower()
    words = [word[:100] for word in re.findall(r"\w+", text)]
    counts = Counter(word for word in words if word not in STOP_WORDS) or Counter(words)
    kept = list(counts)
    if len(kept) > MAX_TERMS:  # of a long text the rarer words, for which length is a fair guess
        kept = sorted(kept, key=len, reverse=True)[:MAX_TERMS]
    rows = {word: rows_with(word) for word in kept}
    total = 0
    affordable: list[str] = []
    for word in sorted(kept, key=rows.__getitem__):
        total += rows[word]
        if affordable and total > MAX_ROWS:
            break
        affordable.append(word)
    return " OR ".join(f'"{word}"' for word in affordable for _ in range(min(counts[word], 2)))
