"""Retrieval figures on a tiny BEIR folder, and errors in its files."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.beir import evaluate_beir, mrr_at_k, ndcg_at_k, read_beir, recall_at_k
from rag_chatbot.config import Config
from seedbed.errors import BadInput
from seedbed.models.embeddings.hash import HashEmbeddings

DOCUMENTS = {
    "d1": ("Oaks", "An oak lives for centuries. " + "Its wood is hard and heavy. " * 40),
    "d2": ("Boats", "A keel keeps a boat upright."),
    "d3": ("Yeast makes bread rise", ""),
    "q4": ("", "A long argument about wind and weather at sea."),
    "d5": ("", "Another argument about wind and weather, on land."),
}
QUERIES = {
    "q1": "Which tree lives for centuries?",
    "q2": "bread with yeast",
    "q3": "a query without judgements",
    "q4": "A long argument about wind and weather at sea.",
}
QRELS = [("q1", "d1", 1), ("q2", "d3", 2), ("q2", "d2", 0), ("q4", "d5", 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    def lines(rows: list[dict[str, str]]) -> str:
        return "\n".join(json.dumps(row) for row in rows) + "\n"

    documents = [{"_id": i, "title": t, "text": x} for i, (t, x) in DOCUMENTS.items()]
    (tmp_path / "corpus.jsonl").write_text(lines(documents))
    (tmp_path / "queries.jsonl").write_text(
        lines([{"_id": i, "text": x} for i, x in QUERIES.items()])
    )
    (tmp_path / "qrels").mkdir()
    rows = "".join(f"{q}\t{d}\t{s}\n" for q, d, s in QRELS)
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    return tmp_path


def test_beir_measures_three_rankings(folder: Path) -> None:
    result = evaluate_beir(folder, Config(), HashEmbeddings())
    assert (result["queries"], result["documents"]) == (3, 5)
    for arm in ("bm25", "dense", "hybrid"):
        assert result[arm] == {"ndcg@10": 1.0, "recall@100": 1.0, "mrr@10": 1.0}
    assert [case["id"] for case in result["cases"]] == ["q1", "q2", "q4"]
    assert json.loads(json.dumps(result)) == result


def test_beir_counts_missing_relevant_document(folder: Path) -> None:
    qrels = folder / "qrels" / "test.tsv"
    qrels.write_text(qrels.read_text().replace("q2\td3\t2", "q2\td3\t0\nq2\tabsent\t1"))
    result = evaluate_beir(folder, Config(), HashEmbeddings())
    assert math.isclose(result["hybrid"]["ndcg@10"], 2 / 3, abs_tol=1e-4)
    assert result["cases"][1]["hybrid mrr@10"] == 0


def test_beir_does_not_touch_data_folder(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    evaluate_beir(folder, Config(data_dir=own), HashEmbeddings())
    assert not own.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "corpus.jsonl",
            '{"_id": "a", "text": "x"}\n{"_id": ',
            "corpus.jsonl, line 2: Invalid JSON",
        ),
        ("corpus.jsonl", '{"_id": 7, "text": "x"}', r"corpus.jsonl, line 1: '_id' must be text"),
        ("queries.jsonl", '["q"]', r"queries.jsonl, line 1: a JSON list, not an object"),
        ("queries.jsonl", '{"_id": "q1"}', r"queries.jsonl, line 1: 'text' must be text"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1 d1 1\n", r"test.tsv, line 2"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", r"no query with a relevant document"),
    ],
)
def test_read_beir_error_names_file_and_line(
    folder: Path, name: str, content: str, message: str
) -> None:
    (folder / name).write_text(content)
    with pytest.raises(BadInput, match=message):
        read_beir(folder)


def test_read_beir_error_names_missing_file(folder: Path) -> None:
    (folder / "queries.jsonl").unlink()
    with pytest.raises(BadInput, match=r"queries.jsonl cannot be read.*A BEIR folder has"):
        read_beir(folder)


def test_ndcg_equals_hand_calculation():
    # Relevant at ranks 1 and 3 of two relevant: (1 + 1/2) / (1 + 1/log2(3)).
    expected = (1 + 0.5) / (1 + 1 / math.log2(3))
    assert ndcg_at_k(["a", "x", "b"], {"a", "b"}) == pytest.approx(expected)
    assert ndcg_at_k(["x", "a"], {"a"}, k=1) == 0
    assert ndcg_at_k(["a", "x"], ["a", "a"]) == 1


def test_ndcg_ideal_is_truncated_at_k():
    relevant = {str(i) for i in range(50)}
    assert ndcg_at_k([str(i) for i in range(10)], relevant, k=10) == pytest.approx(1)


def test_recall_and_mrr_equal_hand_calculation():
    assert recall_at_k(["a", "x", "b"], {"a", "b", "c", "d"}, k=2) == 0.25
    assert mrr_at_k(["x", "y", "a"], {"a"}) == pytest.approx(1 / 3)
    assert mrr_at_k(["x", "y", "a"], {"a"}, k=2) == 0


def test_metrics_are_zero_without_relevant_or_ranked_documents():
    for metric in (ndcg_at_k, recall_at_k, mrr_at_k):
        assert metric(["a"], set()) == metric([], {"a"}) == 0


def test_ndcg_rejects_a_repeated_document():
    with pytest.raises(BadInput, match="twice"):
        ndcg_at_k(["a", "a"], {"a"})
