"""Full-text search in SQLite (FTS5, bm25): any text becomes a safe query."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable

from rag_chatbot.read.language import STOP_WORDS
from rag_chatbot.store.collections import Collection

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
    frequencies: Frequencies,
) -> list[tuple[int, float]]:
    """(chunk id, bm25) of the `k` best chunks, higher is better; [] for a query without words."""
    match = match_expression(query, lambda word: frequencies.of(db, owner, word))
    if not match:
        return []
    weights = ", ".join(str(float(w)) for w in BM25_WEIGHTS)
    rows = db.execute(
        f"SELECT rowid, rank FROM {owner.fts} WHERE {owner.fts} MATCH ?"
        f" AND rank MATCH 'bm25({weights})' ORDER BY rank LIMIT ?",
        (match, k),
    )
    return [(i, -rank) for i, rank in rows]


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
