"""Retrieval figures on a tiny BEIR folder."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.beir import evaluate_beir
from rag_chatbot.config import Config
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
    documents = [{"_id": i, "title": t, "text": x} for i, (t, x) in DOCUMENTS.items()]
    queries = [{"_id": i, "text": x} for i, x in QUERIES.items()]
    for name, rows in (("corpus.jsonl", documents), ("queries.jsonl", queries)):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "qrels").mkdir()
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in QRELS)]
    (tmp_path / "qrels/test.tsv").write_text("\n".join(lines))
    return tmp_path


def test_beir_measures_three_rankings_and_counts_missing_documents(folder: Path) -> None:
    result = evaluate_beir(folder, Config(), HashEmbeddings())
    assert (result["queries"], result["documents"]) == (3, 5)
    assert result["ndcg@10"] == {"bm25": 1.0, "dense": 1.0, "hybrid": 1.0}
    qrels = folder / "qrels/test.tsv"
    qrels.write_text(qrels.read_text().replace("q2\td3\t2", "q2\td3\t0\nq2\tabsent\t1"))
    result = evaluate_beir(folder, Config(), HashEmbeddings())
    assert math.isclose(result["ndcg@10"]["hybrid"], 2 / 3, abs_tol=1e-4)
