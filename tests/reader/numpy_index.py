"""A vector store of one's own for rag_chatbot, added to its `store/vector_index.py`.

It is in memory: another process computes the vectors again from the stored documents.
"""

from collections import defaultdict

import numpy as np

from rag_chatbot.store.vector_index import VectorIndex


class NumpyIndex(VectorIndex):
    """The vectors of each collection in a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, np.ndarray]] = defaultdict(dict)

    def upsert(self, name: str, vectors: dict[int, np.ndarray]) -> None:
        self.rows[name].update(vectors)

    def delete(self, name: str, ids: list[int] | None = None) -> None:
        for chunk in list(self.rows[name]) if ids is None else ids:
            self.rows[name].pop(chunk, None)

    def query(self, name: str, vector: np.ndarray, k: int) -> list[tuple[int, float]]:
        cosines = [(chunk, float(row @ vector)) for chunk, row in self.rows[name].items()]
        return sorted(cosines, key=lambda pair: -pair[1])[:k]

    def ids(self, name: str) -> set[int]:
        return set(self.rows[name])
