"""`HashEmbeddings`: deterministic embeddings without a model, for tests and offline examples."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from langchain_core.embeddings import Embeddings


class HashEmbeddings(Embeddings):
    """A bag of hashed word stems: texts that share words are near. float32, L2-normalised."""

    def __init__(self, dimension: int = 384) -> None:
        self.dimension = dimension
        self.name = f"hash-{dimension}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """(n, dimension) for n texts; a text without words becomes one fixed unit vector."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                digest = hashlib.blake2b(_stem(word).encode(), digest_size=8).digest()
                number = int.from_bytes(digest, "big")
                vector[number % self.dimension] += 1.0 if number >> 63 else -1.0
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[norms[:, 0] == 0, 0] = 1.0  # two words may cancel out
        return vectors / np.where(norms == 0, 1.0, norms)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(x) for x in vector] for vector in self.embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def _stem(word: str) -> str:
    stem = re.sub(r"(ations?|ing|ed|ly|ies|es|s|y|e)$", "", word)
    return stem if len(stem) >= 3 else word
