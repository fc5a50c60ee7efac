"""Questions through a strict vendor's API, with replies as a good and as a mediocre model gives.

The replies are files beside this one, one line per call, and were written by hand: this proves the
path, not a model. A reply of the judge is left over where the check needs none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_chatbot.evaluate.questions import read_questions

HERE = Path(__file__).parent
CASES = {case.id: case for case in read_questions(HERE.parents[1] / "eval/questions.jsonl")}
GOOD = sorted((HERE / "good").glob("*.jsonl"))
MEDIOCRE = sorted((HERE / "mediocre").glob("*.jsonl"))


def test_there_are_replies_for_questions_of_all_kinds() -> None:
    assert len(GOOD) >= 15 and len(MEDIOCRE) >= 6
    assert sum(not CASES[path.stem].answerable for path in GOOD) >= 2
    assert sum(bool(CASES[path.stem].history) for path in GOOD) >= 2


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_replies_answer_the_question(
    ask: Callable[..., Any], check_spent: Callable[[Any], None], path: Path
) -> None:
    case = CASES[path.stem]
    history = [exchange.question for exchange in case.history]
    asked = ask(case.question, path, history, agrees=True)
    answer = asked.answer
    assert not asked.vendor.problems, "a request was refused, or had no reply"
    assert answer["abstained"] == (not case.answerable), answer
    assert not case.answers or any(p.search(answer["answer"]) for p in case.answers), answer
    assert "]?" not in answer["answer"], answer
    assert not [notice for notice in answer["notices"] if "instruct" not in notice]
    for citation in answer["citations"]:
        document = asked.chatbot.store.document("default", citation["source"])
        assert document.text[citation["start"] : citation["end"]] == citation["quote"]
    if case.answerable:
        cited = {citation["source"].removeprefix("docs/") for citation in answer["citations"]}
        assert cited & set(case.source)
    check_spent(asked)


WRONG = {
    "context-window": r"16,384|Meta",  # what the model invented
    "retry-after": r"503",
    "otlp": r"3 times",
    "rrf-k": r"\bk = 90",
    "multi-cost": r"fünfzehn.*\]\.? ?[^?]*$",
    "u-slack": r"Slack",
    "mrr": r"```|\{",
    "prompt-version": r"(first line.*){2}",
}


@pytest.mark.parametrize("path", MEDIOCRE, ids=lambda path: path.stem)
def test_mediocre_replies_are_cut_down_to_what_is_supported(
    ask: Callable[..., Any], check_spent: Callable[[Any], None], path: Path
) -> None:
    case = CASES[path.stem]
    asked = ask(case.question, path)
    answer = asked.answer
    assert not asked.vendor.problems, "a request was refused, or had no reply"
    assert not re.search(WRONG[path.stem], answer["answer"]), answer
    assert answer["abstained"] or any(p.search(answer["answer"]) for p in case.answers), answer
    check_spent(asked)
