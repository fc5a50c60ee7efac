"""MiniLM on OpenVINO, compared with sentence-transformers; how any converted model behaves."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from seedbed.models.embeddings import load_embeddings as embeddings
from seedbed.models.embeddings.bert import BertEmbeddings
from seedbed.models.embeddings.load_embeddings import load_embeddings
from seedbed.models.weights.catalog import MODELS
from seedbed.models.weights.ensure import ensure

pytestmark = pytest.mark.timeout(240)  # loading torch is slow on a busy machine
# Other texts than those that the int8 ranges were measured on.
TEXTS = [
    "",
    "No",
    "What is a vector database?",
    "Ein Satz auf Deutsch über Öfen, Straßen und 25 °C.",
    "日本語の文章 and an emoji 🙂",
    "x = [i ** 2 for i in range(10) if i % 2]",
    "The court found that the contract had been broken and awarded damages of $12,500.00.",
    "Enzymes lower the activation energy of a reaction without being consumed by it. " * 3,
    "retrieval augmented generation " * 90,
    "A long line about ships, harbours and the price of grain in 1901, told slowly. " * 60,
]


@pytest.fixture(scope="module")
def fast() -> BertEmbeddings:
    model = load_embeddings("minilm")
    assert isinstance(model, BertEmbeddings)
    return model


@pytest.fixture(scope="module")
def full() -> Iterator[BertEmbeddings]:
    model = load_embeddings("minilm", fast=False)
    assert isinstance(model, BertEmbeddings)
    yield model
    embeddings.close_embeddings()


@pytest.mark.slow
def test_float32_vectors_equal_those_of_sentence_transformers(full: BertEmbeddings) -> None:
    reference = pytest.importorskip("sentence_transformers")
    entry = MODELS["minilm"]
    path = Path(str(metadata.distribution(entry.package).locate_file(entry.files[0].path)))
    model = reference.SentenceTransformer(str(path.parent), device="cpu")
    expected = model.encode(TEXTS, normalize_embeddings=True)
    cosine = (full.embed(TEXTS) * expected).sum(axis=1)
    assert cosine.min() > 0.9999, cosine


@pytest.mark.slow
def test_int8_vectors_are_close_to_float32(fast: BertEmbeddings, full: BertEmbeddings) -> None:
    cosine = (fast.embed(TEXTS) * full.embed(TEXTS)).sum(axis=1)
    assert cosine.min() > 0.985 and np.median(cosine) > 0.995, cosine


def test_embed_returns_normalised_vectors_in_order(fast: BertEmbeddings) -> None:
    texts = [f"{word} " * (1 + i * 7 % 60) for i, word in enumerate(["cat", "tax", "sea"] * 30)]
    together = fast.embed(texts)
    assert fast.token_counts(["hello world", "", "word " * 500]) == [2, 0, 500]
    assert together.shape == (90, fast.dimension) and together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for index in (0, 17, 89):
        assert together[index] @ fast.embed([texts[index]])[0] > 0.999


def test_embed_is_thread_safe(fast: BertEmbeddings) -> None:
    texts = [f"text number {i} " * (1 + i % 9) for i in range(64)]
    expected = fast.embed(texts)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: fast.embed(texts), range(8)))
    assert all(np.allclose(result, expected, atol=1e-5) for result in results)


@pytest.mark.slow
def test_inexact_int8_falls_back_to_float32(tmp_path: Path) -> None:
    ready = ensure("minilm")
    for path in ready.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "probe.npy").unlink()
    np.save(tmp_path / "probe.npy", -np.load(ready / "probe.npy"))  # int8 "disagrees" with it
    model = BertEmbeddings(tmp_path, MODELS["minilm"])
    assert model.name == f"{tmp_path.name}-f32"
    assert np.allclose(model.embed(["a"]), load_embeddings(fast=False).embed(["a"]), atol=1e-5)  # type: ignore[attr-defined]
