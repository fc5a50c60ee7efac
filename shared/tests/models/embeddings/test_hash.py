"""Embeddings without a model."""

import numpy as np
import pytest

from seedbed.models.embeddings.hash import HashEmbeddings


def test_embed_returns_similar_vectors_for_shared_words():
    embeddings = HashEmbeddings()
    vectors = embeddings.embed(["Installing the tools", "install a tool", "yellow bananas", ""])
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]
    assert embeddings.embed_query("Installing the tools") == pytest.approx(vectors[0].tolist())
    assert embeddings.embed([]).shape == (0, 384)
