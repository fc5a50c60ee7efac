"""The BEIR figures on a tiny folder, the comparison, and what is said about broken files."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from rag_chatbot.config import Config
from rag_chatbot.evaluate.beir import read_beir
from rag_chatbot.evaluate.questions import compare, evaluate_beir, evaluate_qa, read_questions, run
from seedbed.errors import BadInput
from seedbed.testing import HashEmbeddings

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
    "q3": "nobody judged this one",
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


def test_figures_of_the_three_orders(folder: Path) -> None:
    result = evaluate_beir(folder, Config(), HashEmbeddings())
    assert (result["queries"], result["documents"]) == (3, 5)
    for arm in ("bm25", "dense", "hybrid"):
        assert result[arm] == {"ndcg@10": 1.0, "recall@100": 1.0, "mrr@10": 1.0}
    assert [case["id"] for case in result["cases"]] == ["q1", "q2", "q4"]
    assert json.loads(json.dumps(result)) == result


def test_a_wrong_answer_lowers_the_figures(folder: Path) -> None:
    qrels = folder / "qrels" / "test.tsv"
    qrels.write_text(qrels.read_text().replace("q2\td3\t2", "q2\td3\t0\nq2\tabsent\t1"))
    result = evaluate_beir(folder, Config(), HashEmbeddings())
    assert math.isclose(result["hybrid"]["ndcg@10"], 2 / 3, abs_tol=1e-4)
    assert result["cases"][1]["hybrid mrr@10"] == 0


def test_progress_is_told(folder: Path) -> None:
    told: list[tuple[int, int, str]] = []
    evaluate_beir(folder, Config(), HashEmbeddings(), progress=lambda *values: told.append(values))
    assert told[0] == (5, 5, "documents")
    assert told[-1] == (3, 3, "queries")


def test_the_users_own_store_is_left_alone(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    evaluate_beir(folder, Config(data_dir=own), HashEmbeddings())
    assert not own.exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "corpus.jsonl",
            '{"_id": "a", "text": "x"}\n{"_id": ',
            "line 2: Not valid JSON",
        ),
        ("corpus.jsonl", '{"_id": 7, "text": "x"}', r"corpus.jsonl, line 1: '_id' must be text"),
        ("queries.jsonl", '["q"]', r"queries.jsonl, line 1: a JSON list, not an object"),
        ("queries.jsonl", '{"_id": "q1"}', r"queries.jsonl, line 1: 'text' must be text"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1 d1 1\n", r"test.tsv, line 2"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", r"no query with a relevant document"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(
    folder: Path, name: str, content: str, says: str
) -> None:
    (folder / name).write_text(content)
    with pytest.raises(BadInput, match=says):
        read_beir(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "queries.jsonl").unlink()
    with pytest.raises(BadInput, match=r"queries.jsonl cannot be read.*A BEIR folder has"):
        read_beir(folder)


def result(**scores: float) -> dict[str, object]:
    return {"cases": [{"id": i, "ndcg@10": score} for i, score in scores.items()]}


def test_compare_pairs_the_cases() -> None:
    before = result(**{f"q{n}": 0.1 * (n % 5) for n in range(40)})
    now = result(**{f"q{n}": 0.1 * (n % 5) + 0.2 for n in range(40)}, extra=0.0)
    found = compare(now, before)["ndcg@10"]
    assert found["n"] == 40
    assert math.isclose(found["difference"], 0.2)
    assert found["significant"] and found["low"] > 0


def test_compare_needs_a_case_in_common() -> None:
    with pytest.raises(BadInput, match="in common"):
        compare(result(a=1.0), result(b=1.0))


# Questions


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sea").mkdir(parents=True)
    (folder / "trees.md").write_text("# Oak\n\nAn oak lives for about 600 years in good soil.\n")
    (folder / "sea" / "boats.md").write_text(
        "# Keel\n\nThe keel is made of lead, which keeps a sailing boat upright.\n"
    )
    return folder


def ask(tmp_path: Path, docs: Path, *rows: dict[str, object]) -> dict[str, Any]:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    config = Config(mode="quote", strictness=0.0)
    return evaluate_qa(path, docs, config, HashEmbeddings(), None)


OAK = {
    "id": "oak",
    "question": "How many years does an oak live?",
    "answers": ["never", r"6\d\d YEARS"],
    "source": ["trees.md"],
    "answerable": True,
}


def test_a_right_answer_with_a_right_citation(tmp_path: Path, docs: Path) -> None:
    result = ask(tmp_path, docs, OAK)
    case = result["cases"][0]
    assert (result["questions"], result["answer_accuracy"]) == (1, 1.0)
    assert case["correct"] and case["right_citations"] >= 1
    assert result["citation_recall"] == 1.0
    assert result["intervals"]["answer_accuracy"]["n"] == 1
    assert result["intervals"]["answer_accuracy"]["low"] < 0.5
    assert 0 < result["latency_p50_s"] <= result["latency_p95_s"]
    assert result["words_per_answer"] > 3


def test_a_wrong_fact_and_a_wrong_source_count_against_it(tmp_path: Path, docs: Path) -> None:
    result = ask(tmp_path, docs, {**OAK, "answers": ["700"], "source": ["boats.md"]})
    assert result["answer_accuracy"] == 0.0
    assert result["citation_precision"] < 1.0


def test_a_source_may_be_named_from_further_down(tmp_path: Path, docs: Path) -> None:
    question = "What is the keel of a sailing boat made of?"
    row = {**OAK, "question": question, "answers": ["lead"], "source": ["boats.md"]}
    result = ask(tmp_path, docs, row)
    assert result["cases"][0]["cited_sources"] == 1
    assert result["answer_accuracy"] == 1.0


def test_abstentions_are_counted_on_both_sides(tmp_path: Path, docs: Path) -> None:
    absent = {"id": "x", "question": "Zwölf quux zzz?", "answerable": False}
    result = ask(tmp_path, docs, OAK, absent)
    silent = sum(case["abstained"] for case in result["cases"])
    right = int(result["cases"][1]["abstained"])
    assert result["intervals"]["abstention_recall"]["n"] == 1
    assert result["abstention_recall"] == right
    assert result["intervals"]["abstention_precision"]["n"] == silent


def test_a_follow_up_is_asked_with_its_history(tmp_path: Path, docs: Path) -> None:
    history = [{"question": "Tell me about the oak."}]
    result = ask(tmp_path, docs, {**OAK, "question": "How long does it live?", "history": history})
    assert "oak" in result["cases"][0]["question"]
    assert result["answer_accuracy"] == 1.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answers": ["ok", "(open"]}, r"line 2: '\(open' is no regular expression"),
        ({"answers": []}, r"line 2: an answerable question needs a pattern"),
        ({"answers": "600"}, r"line 2: 'answers' must be a list of texts"),
        ({"answerable": "yes"}, r"line 2: 'answerable' must be true or false"),
        ({"question": None}, r"line 2: 'question' must be text"),
        ({"history": ["What?"]}, r"line 2: 'history' must be a list of objects"),
        ({"id": "oak"}, r"line 2: the id 'oak' is there already"),
    ],
)
def test_a_malformed_question_is_named_with_its_line(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (OAK, {**OAK, "id": "second", **change})))
    with pytest.raises(BadInput, match=says):
        read_questions(path)


def test_documents_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        ask(tmp_path, tmp_path / "nowhere", OAK)


@pytest.mark.parametrize("options", [{}, {"qa": Path("q")}, {"beir": Path("b"), "qa": Path("q")}])
def test_the_verb_wants_one_thing_to_measure(options: dict[str, Path]) -> None:
    with pytest.raises(BadInput, match=r"--beir DIR, or --qa FILE with --docs PATH"):
        run(**options)


def test_a_baseline_that_is_no_result(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "baseline.json"
    with pytest.raises(BadInput, match="cannot be read"):
        run(beir=folder, baseline=path)
    path.write_text("[1]")
    with pytest.raises(BadInput, match="no result of an evaluation"):
        run(beir=folder, baseline=path)


def test_the_verb_compares_with_a_baseline(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDBED_EMBEDDINGS", "hash:")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(run(beir=folder)))
    again = run(beir=folder, baseline=path)
    assert again["compared"]["hybrid ndcg@10"]["difference"] == 0
    assert not again["compared"]["hybrid ndcg@10"]["significant"]
