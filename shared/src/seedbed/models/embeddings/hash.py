"""Deterministic embeddings without a model, for tests and offline examples.

    HashEmbeddings(64).embed(["some text"])    # float32 (1, 64)

They compare words only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from langchain_core.embeddings import Embeddings

_SUFFIX = re.compile(r"(ations?|ing|ed|ly|ies|es|s|y|e)$")  # English; a stemmer is slow to import


class HashEmbeddings(Embeddings):
    """Hashed bags of word stems, L2-normalised: texts that share words are similar."""

    def __init__(self, dimension: int = 384) -> None:
        self.dimension = dimension
        self.name = f"hash-{dimension}"
        self.scale = (0.0, 0.6, 0.5)  # as in `catalog.Model`

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of n texts as float32 (n, dimension); texts without words share one vector."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                digest = hashlib.blake2b(stem(word).encode(), digest_size=8).digest()
                number = int.from_bytes(digest, "big")
                # The rest of the hash picks the position, its highest bit the sign.
                vector[number % self.dimension] += 1.0 if number >> 63 else -1.0
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[norms[:, 0] == 0, 0] = 1.0  # the words of a text may cancel each other out
        return vectors / np.where(norms == 0, 1.0, norms)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(x) for x in vector] for vector in self.embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def stem(word: str) -> str:
    """A lower-case word without its English suffix; a stem has at least three letters."""
    base = _SUFFIX.sub("", word)
    return base if len(base) >= 3 else word
