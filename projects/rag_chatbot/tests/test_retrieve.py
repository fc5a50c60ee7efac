"""Search over a small store: order, filters, repeats, neighbours, a cross-encoder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from rag_chatbot.search.fusion import distinct, fuse, mix, smooth
from rag_chatbot.search.retrieve import Retriever
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput, ConfigError, NotFound
from seedbed.testing import HashEmbeddings

FILES = {
    "trees.md": "# Trees\n\nAn oak grows slowly and lives for centuries.\n\n"
    "## Fruit\n\nAcorns are the fruit of the oak; squirrels bury acorns in autumn.\n",
    "boats.md": "# Boats\n\nA keel keeps a sailing boat upright in strong wind.\n",
    "copy.txt": "A keel keeps a sailing boat upright in strong wind.\n",
    "bread.txt": "Bread rises because yeast makes gas in the dough.\n",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    opened = Store(Config(data_dir=tmp_path / "data"), HashEmbeddings())
    ingest(opened, [folder])
    yield opened
    opened.close()


@pytest.fixture
def retriever(store: Store) -> Retriever:
    return Retriever(store, store.embeddings, Config())


def test_the_chunk_that_holds_the_words_comes_first(retriever: Retriever) -> None:
    hits = retriever.search("Who buries acorns in autumn?")
    assert hits[0].chunk.source == "trees.md"
    assert "squirrels" in hits[0].chunk.text
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_hit_carries_the_cosine_and_the_bm25_it_was_found_with(retriever: Retriever) -> None:
    first, *rest = retriever.search("yeast in dough")
    assert first.chunk.source == "bread.txt"
    assert first.cosine is not None and 0 < first.cosine <= 1
    assert first.bm25 is not None and first.bm25 > 0
    assert any(hit.bm25 is None for hit in rest), "found by its vector alone"


def test_k_limits_the_hits(retriever: Retriever) -> None:
    assert len(retriever.search("oak boat bread", k=2)) == 2
    assert len(retriever.search("oak boat bread", k=50)) == 4


def test_a_copy_of_a_better_chunk_is_left_out(retriever: Retriever) -> None:
    ranked = retriever.rank("What keeps a sailing boat upright?")
    hits = retriever.search("What keeps a sailing boat upright?")
    assert len(ranked) == 5
    assert [hit.chunk.id for hit in hits if "keel" in hit.chunk.text] == [ranked[0].id]
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8]], dtype=np.float32)
    assert distinct(vectors, 0.98) == [0, 1, 3]


def test_filters_hold_for_both_searches(retriever: Retriever) -> None:
    hits = retriever.search("sailing boat", where={"source": "*.txt"})
    assert {hit.chunk.source for hit in hits} == {"copy.txt", "bread.txt"}
    assert retriever.search("sailing boat", where={"source": "nothing"}) == []
    with pytest.raises(BadInput, match="colour"):
        retriever.search("sailing boat", where={"colour": "red"})


def test_a_neighbour_under_the_same_heading_is_joined_word_for_word(tmp_path: Path) -> None:
    text = "\n\n".join(f"Sentence {n} tells about the harbour of town {n}." * 3 for n in range(9))
    (tmp_path / "long.txt").write_text(text)
    store = Store(Config(data_dir=tmp_path / "data", chunk_tokens=64), HashEmbeddings())
    ingest(store, [tmp_path / "long.txt"])
    retriever = Retriever(store, store.embeddings, Config())
    hit = retriever.search("the harbour of town 4")[0]
    wide = retriever.expand(hit.chunk, collection="default")
    assert wide.start < hit.chunk.start and wide.end > hit.chunk.end
    assert wide.text == text[wide.start : wide.end]
    assert hit.chunk.text in wide.text
    store.close()


def test_expansion_stops_at_a_heading(retriever: Retriever) -> None:
    hit = retriever.search("squirrels bury acorns")[0]
    assert hit.chunk.heading == "Fruit"
    assert retriever.expand(hit.chunk, collection="default") == hit.chunk


class LongestFirst:
    """A cross-encoder that likes long passages and remembers what it was asked."""

    def __init__(self) -> None:
        self.query = ""

    def score(self, query: str, passages: Sequence[str]) -> list[float]:
        self.query = query
        return [float(len(passage)) for passage in passages]


def test_a_cross_encoder_decides_the_order(store: Store) -> None:
    reranker = LongestFirst()
    hits = Retriever(store, store.embeddings, Config(), reranker).search("yeast", k=3)
    lengths = [len(hit.chunk.text) for hit in hits]
    assert reranker.query == "yeast"
    assert lengths[0] == max(lengths)
    assert hits[0].chunk.source == "trees.md"
    assert hits[0].score > hits[1].score


def test_the_configured_cross_encoder_is_loaded(store: Store) -> None:
    with pytest.raises(ConfigError, match="no-such-reranker"):
        Retriever(store, store.embeddings, Config(reranker="no-such-reranker"))


def test_a_question_without_known_words_still_finds_the_nearest(retriever: Retriever) -> None:
    assert len(retriever.search("zzz qqq")) >= 1
    assert len(retriever.search("the of and")) >= 1
    assert len(retriever.search('") OR * NEAR(')) >= 1


@pytest.mark.parametrize("question", ["", "  \n\t "])
def test_an_empty_question_is_refused(retriever: Retriever, question: str) -> None:
    with pytest.raises(BadInput, match="empty"):
        retriever.search(question)


def test_a_huge_question_is_cut_and_answered(retriever: Retriever) -> None:
    assert retriever.search("yeast dough " * 90_000)[0].chunk.source == "bread.txt"


def test_an_unknown_collection(retriever: Retriever) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        retriever.search("oak", collection="nowhere")


def test_an_empty_collection_has_no_hits(retriever: Retriever) -> None:
    retriever.store.create_collection("empty")
    assert retriever.search("oak", collection="empty") == []


def test_a_deleted_document_is_not_found(retriever: Retriever) -> None:
    assert retriever.search("yeast in dough")[0].chunk.source == "bread.txt"
    retriever.store.delete_document("default", "bread.txt")
    assert "bread.txt" not in {hit.chunk.source for hit in retriever.search("yeast in dough")}


# Fusion


def unit(*rows: Sequence[float]) -> np.ndarray:
    array = np.array(rows, dtype=np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def test_one_arm_decides_where_the_other_found_nothing() -> None:
    nothing = np.zeros(3, dtype=np.float32)
    assert list(np.argsort(-mix(np.array([0.1, 0.5, 0.3], dtype=np.float32), nothing))) == [1, 2, 0]
    assert list(np.argsort(-mix(nothing, np.array([2.0, 9.0, 5.0], dtype=np.float32)))) == [1, 2, 0]


def test_scores_lie_between_0_and_1() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(*rng.normal(size=(80, 16)))
    scores = fuse(vectors[0], vectors, rng.uniform(0, 30, 80).astype(np.float32))
    assert scores.shape == (80,)
    assert scores.min() >= 0 and scores.max() <= 1
    assert int(scores.argmax()) == 0 or scores[0] > np.median(scores)


def test_a_chunk_among_good_ones_is_drawn_up() -> None:
    good = [[1, 0.02 * n, 0] for n in range(30)]
    far = [[0, 0.02 * n, 1] for n in range(30)]
    scores = np.array([0.9] * 29 + [0.4] + [0.4] * 30, dtype=np.float32)
    moved = smooth(scores, unit(*good, *far))
    assert moved[29] > 0.5 > moved[30]


def test_fusion_of_nothing_and_of_one() -> None:
    none = np.zeros((0, 0), dtype=np.float32)
    assert fuse(unit([1, 0])[0], none, np.zeros(0, dtype=np.float32)).shape == (0,)
    one = fuse(unit([1, 0])[0], unit([1, 1]), np.zeros(1, dtype=np.float32))
    assert one.shape == (1,) and one[0] > 0
