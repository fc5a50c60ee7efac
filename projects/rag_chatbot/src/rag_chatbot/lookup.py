"""Full-text search and filters: any text becomes a safe query, `where` becomes SQL.

Functions over an open catalogue; they do not know the vector index.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from rag_chatbot.access import Collection
from seedbed.errors import BadInput

Where = Mapping[str, Any]

# Weights of the columns title, heading, body in bm25.
BM25_WEIGHTS = (1.5, 1.5, 1.0)
MAX_TERMS = 64
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


def text_search(
    db: sqlite3.Connection, owner: Collection, query: str, k: int, where: Where | None
) -> list[tuple[int, float]]:
    match = match_expression(query)
    if not match:
        return []
    condition, values = "", ()
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

    A word that is said again counts twice, as bm25 has it; from then on it counts no more.
    """
    words = re.findall(r"\w+", query[:20000].lower())
    counts = Counter(word for word in words if word not in STOP_WORDS) or Counter(words)
    kept = [word for word, count in counts.items() for _ in range(min(count, 2))]
    if len(kept) > MAX_TERMS:  # of a long text the rarer words, for which length is a fair guess
        kept = sorted(kept, key=len, reverse=True)[:MAX_TERMS]
    text = " OR ".join(f'"{word[:100]}"' for word in kept)
    return text.encode("utf-8", "ignore").decode("utf-8")
