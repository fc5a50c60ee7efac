"""Figures on a set of questions, comparison of results, and errors in question files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_chatbot.config import Config
from rag_chatbot.evaluate.questions import evaluate_qa, read_questions
from seedbed.errors import BadInput
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sea").mkdir(parents=True)
    (folder / "trees.md").write_text("# Oak\n\nAn oak lives for about 600 years in good soil.\n")
    (folder / "sea" / "boats.md").write_text(
        "# Keel\n\nThe keel is made of lead, which keeps a sailing boat upright.\n"
    )
    return folder


@pytest.fixture
def ask(
    tmp_path: Path, docs: Path, answer_mode: str, repeating_model: ScriptedChatModel
) -> Callable[..., dict[str, Any]]:
    def evaluate(*rows: dict[str, object], folder: Path = docs) -> dict[str, Any]:
        path = tmp_path / "questions.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        config = Config.model_validate({"mode": answer_mode, "strictness": 0.0})
        return evaluate_qa(path, folder, config, HashEmbeddings(), lambda: repeating_model)

    return evaluate


OAK = {
    "id": "oak",
    "question": "How many years does an oak live?",
    "answers": ["never", r"6\d\d YEARS"],
    "source": ["trees.md"],
}


def test_qa_counts_answers_citations_and_abstentions(ask: Ask) -> None:
    keel = {
        "id": "keel",
        "question": "What is the keel of a sailing boat made of?",
        "answers": ["lead"],
        "source": ["boats.md"],  # in a subfolder
    }
    nothing = {"id": "nothing", "question": "Zwölf quux zzz?", "answerable": False}
    result = ask(OAK, keel, nothing)
    assert (result["questions"], result["answer_accuracy"]) == (3, 1.0)
    assert result["citation_recall"] == 1.0
    assert result["intervals"]["answer_accuracy"]["n"] == 2
    assert result["intervals"]["answer_accuracy"]["low"] < 0.5
    assert 0 < result["latency_p50_s"] <= result["latency_p95_s"]
    abstained = [case["abstained"] for case in result["cases"]]
    assert result["intervals"]["abstention_precision"]["n"] == sum(abstained)
    assert result["intervals"]["abstention_recall"]["n"] == 1
    assert result["abstention_recall"] == abstained[2]


def test_qa_asks_follow_up_with_history(ask: Ask) -> None:
    history = [{"question": "Tell me about the oak."}]
    result = ask({**OAK, "question": "How long does it live?", "history": history})
    assert "oak" in result["cases"][0]["question"]
    assert result["answer_accuracy"] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"answers": ["ok", "(open"]},
            r"line 2: answers.1: .* valid regular expression",
        ),
        ({"answers": []}, r"line 2: an answerable question needs a pattern"),
        ({"answerable": "yes"}, r"line 2: answerable: Input should be a valid boolean"),
        ({"history": ["What?"]}, r"line 2: history.0: Input should be"),
        ({"id": "oak"}, r"line 2: duplicate id 'oak'"),
    ],
)
def test_read_questions_error_names_line(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (OAK, {**OAK, "id": "second", **change})))
    with pytest.raises(BadInput, match=message):
        read_questions(path)
