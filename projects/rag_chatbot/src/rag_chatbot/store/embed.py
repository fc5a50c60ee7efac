"""From texts to vectors with any embeddings, and the names under which vectors are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np


def text_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def embedder_name(embeddings: Any) -> str:
    name = getattr(embeddings, "name", None) or getattr(embeddings, "model", None)
    return str(name or type(embeddings).__name__)


def embed_texts(embeddings: Any, texts: Sequence[str]) -> np.ndarray:
    """float32 (n, dimension), normalised, from ours (`embed`) or any LangChain embeddings."""
    if hasattr(embeddings, "embed"):
        vectors = embeddings.embed(texts)
    else:
        vectors = embeddings.embed_documents(list(texts))
    array = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    return np.ascontiguousarray(array / np.maximum(norms, 1e-12))
