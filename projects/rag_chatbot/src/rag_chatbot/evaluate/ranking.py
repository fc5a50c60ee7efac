"""Ranking metrics: how well an order of documents fits the relevant ones.

    ndcg_at_k(["a", "x", "b"], {"a", "b"}, k=10)    # 0.92

A ranking is a sequence of document ids, best first. `beir.py` averages over queries.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from seedbed.errors import BadInput


def ndcg_at_k(ranked: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """Normalized discounted cumulative gain with binary relevance; 0.0 if nothing is relevant.

    DCG / ideal DCG, where DCG is the sum of 1 / log2(i + 1) over the relevant documents at ranks
    i <= k. Järvelin and Kekäläinen, 2002; https://doi.org/10.1145/582415.582418.
    Raises BadInput if a document occurs twice.

    >>> ndcg_at_k(["a", "b", "c"], {"a", "b"})
    1.0
    >>> round(ndcg_at_k(["x", "a"], {"a"}), 3)
    0.631
    """
    _require_distinct(ranked)
    targets = set(relevant)
    gain = sum(1 / math.log2(i + 2) for i, doc in enumerate(ranked[:k]) if doc in targets)
    ideal = sum(1 / math.log2(i + 2) for i in range(min(len(targets), k)))
    return gain / ideal if ideal else 0.0


def recall_at_k(ranked: Sequence[str], relevant: Collection[str], k: int = 100) -> float:
    """The share of the relevant documents among the first k; 0.0 if nothing is relevant.

    Raises BadInput if a document occurs twice.

    >>> recall_at_k(["a", "x"], {"a", "b"})
    0.5
    """
    _require_distinct(ranked)
    targets = set(relevant)
    return len(targets.intersection(ranked[:k])) / len(targets) if targets else 0.0


def mrr_at_k(ranked: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """1 / rank of the first relevant document among the first k, else 0.0 (TREC-8 QA, 1999).

    The mean over all queries is the mean reciprocal rank.

    >>> mrr_at_k(["x", "a", "b"], {"a", "b"})
    0.5
    """
    targets = set(relevant)
    return next((1 / (i + 1) for i, doc in enumerate(ranked[:k]) if doc in targets), 0.0)


def _require_distinct(ranked: Sequence[str]) -> None:
    if len(set(ranked)) != len(ranked):
        raise BadInput("The ranking contains a document twice.", hint="Remove duplicates first.")
