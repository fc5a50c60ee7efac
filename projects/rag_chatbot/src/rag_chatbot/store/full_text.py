"""Full-text search in SQLite (FTS5, bm25): any text becomes a safe query."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter

from rag_chatbot.read.language import STOP_WORDS
from rag_chatbot.store.collections import Collection

BM25_WEIGHTS = (1.5, 1.5, 1.0)  # of the columns title, heading and body
MAX_TERMS = 64  # words of one query


def text_search(
    db: sqlite3.Connection, owner: Collection, query: str, k: int
) -> list[tuple[int, float]]:
    """(chunk id, bm25) of the `k` best chunks, higher is better; [] for a query without words."""
    match = match_expression(query)
    if not match:
        return []
    weights = ", ".join(str(float(w)) for w in BM25_WEIGHTS)
    rows = db.execute(
        f"SELECT rowid, rank FROM {owner.fts} WHERE {owner.fts} MATCH ?"
        f" AND rank MATCH 'bm25({weights})' ORDER BY rank LIMIT ?",
        (match, k),
    )
    return [(i, -rank) for i, rank in rows]


def match_expression(query: str) -> str:
    """Any text as an FTS5 query: its words, each quoted, joined by OR. Empty without words.

    A repeated word counts twice and no more.
    """
    text = query[:20000].encode("utf-8", "ignore").decode("utf-8").lower()
    words = [word[:100] for word in re.findall(r"\w+", text)]
    counts = Counter(word for word in words if word not in STOP_WORDS) or Counter(words)
    distinct = list(counts)
    if len(distinct) > MAX_TERMS:  # the longest, which tend to be rare
        distinct = sorted(distinct, key=len, reverse=True)[:MAX_TERMS]
    return " OR ".join(f'"{word}"' for word in distinct for _ in range(min(counts[word], 2)))
