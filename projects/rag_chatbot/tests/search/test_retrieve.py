"""Search over a small store: order, repeats and fusion."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rag_chatbot.ingest import ingest
from rag_chatbot.search.retrieve import Retriever, Scale, fuse, mix, smooth
from rag_chatbot.store.records import joined
from rag_chatbot.store.store import Store
from seedbed.models.embeddings.hash import HashEmbeddings

FILES = {
    "trees.md": "# Trees\n\nAn oak grows slowly and lives for centuries.\n\n"
    "## Fruit\n\nAcorns are the fruit of the oak; squirrels bury acorns in autumn.\n",
    "boats.md": "# Boats\n\nA keel keeps a sailing boat upright in strong wind.\n",
    "copy.txt": "A keel keeps a sailing boat upright in strong wind.\n",
    "bread.txt": "Bread rises because yeast makes gas in the dough.\n",
}


@pytest.fixture
def retriever(store: Store, folder: Path) -> Retriever:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    ingest(store, [folder])
    return Retriever(store, store.embeddings, store.config)


def test_search_ranks_hits_with_their_cosine_and_bm25(retriever: Retriever) -> None:
    first, *rest = retriever.search("Who buries acorns in autumn?")
    assert first.chunk.source == "files/trees.md" and "squirrels" in first.chunk.text
    text = joined("Trees", first.chunk.heading, first.chunk.text.partition("\n\n")[2])
    embeddings = retriever.embeddings
    query = embeddings.embed_query("Who buries acorns in autumn?")
    assert first.cosine == pytest.approx(float(embeddings.embed([text])[0] @ query), abs=1e-5)
    assert first.bm25 is not None and first.bm25 > 0
    assert any(hit.bm25 is None for hit in rest), "found by its vector alone"
    scores = [first.score, *(hit.score for hit in rest)]
    assert scores == sorted(scores, reverse=True)
    assert len(retriever.search("oak boat bread", k=2)) == 2
    assert len(retriever.search("oak boat bread", k=50)) == 4


def test_search_drops_copies_of_better_chunks(retriever: Retriever) -> None:
    ranked, _ = retriever.candidates("What keeps a sailing boat upright?")
    hits = retriever.search("What keeps a sailing boat upright?")
    assert len(ranked) == 5
    assert [hit.chunk.id for hit in hits if "keel" in hit.chunk.text] == [ranked[0].chunk.id]


@pytest.mark.parametrize("question", ["zzz qqq", "the of and", '") OR * NEAR('])
def test_search_without_known_words_returns_the_nearest(
    retriever: Retriever, question: str
) -> None:
    assert retriever.search(question)
    assert retriever.search(question, retriever.store.collections.create("empty")) == []


def test_search_does_not_return_deleted_documents(retriever: Retriever) -> None:
    assert retriever.search("yeast in dough")[0].chunk.source == "files/bread.txt"
    retriever.store.delete_document("default", "files/bread.txt")
    assert "files/bread.txt" not in {hit.chunk.source for hit in retriever.search("yeast in dough")}


def test_search_with_embeddings_without_a_measured_scale_says_so(
    retriever: Retriever, caplog: pytest.LogCaptureFixture
) -> None:
    embeddings = HashEmbeddings(retriever.embeddings.dimension)
    del embeddings.scale
    hits = Retriever(retriever.store, embeddings, retriever.store.config).search("yeast in dough")
    assert hits[0].chunk.source == "files/bread.txt"
    assert f"not calibrated for the embeddings {embeddings.name}" in caplog.text


# Fusion


def unit(*rows: Sequence[float]) -> np.ndarray:
    array = np.array(rows, dtype=np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [0.001, 0.03, 1, 1000])
def test_mix_does_not_depend_on_the_scale_of_a_search(scale: float) -> None:
    cosines, bm25 = np.array([0.6, 0.2, -0.1], np.float32), np.array([4, 0, 10], np.float32)
    expected = mix(cosines, bm25, 0.6)
    assert np.allclose(mix(cosines, bm25 * np.float32(scale), 0.6), expected)
    assert np.allclose(mix(cosines * np.float32(min(1, scale)), bm25, 0.6), expected)


@pytest.mark.parametrize("scale", [None, (0.0, 0.6, 0.5), (0.2, 0.9, 0.0), (0.9, 0.5, 0.5)])
def test_fuse_scores_are_between_0_and_1(scale: Scale | None) -> None:
    rng = np.random.default_rng(0)
    vectors = unit(*rng.normal(size=(80, 16)))
    scores = fuse(vectors[0], vectors, rng.uniform(0, 30, 80).astype(np.float32), scale)
    assert scores.shape == (80,)
    assert scores.min() >= 0 and scores.max() <= 1
    assert int(scores.argmax()) == 0 or scores[0] > np.median(scores)


def test_smooth_raises_a_chunk_among_good_ones() -> None:
    good = [[1, 0.02 * n, 0] for n in range(30)]
    far = [[0, 0.02 * n, 1] for n in range(30)]
    scores = np.array([0.9] * 29 + [0.4] + [0.4] * 30, dtype=np.float32)
    moved = smooth(scores, unit(*good, *far))
    assert moved[29] > 0.5 > moved[30]
