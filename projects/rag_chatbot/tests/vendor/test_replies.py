"""Questions through a strict vendor's API, with replies as a good and as a mediocre model gives.

The replies are files beside this one, one line per call, and were written by hand: this proves the
path, not a model. A reply of the judge is left over where the check needs none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rag_chatbot.evaluate.questions import read_questions
from seedbed.testing.vendor.script import read_replies

HERE = Path(__file__).parent
CASES = {case.id: case for case in read_questions(HERE.parents[1] / "eval/questions.jsonl")}
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


@pytest.mark.parametrize("path", sorted(HERE.glob("good/*.jsonl")), ids=lambda path: path.stem)
def test_good_replies_answer_the_question(ask: Any, path: Path) -> None:
    case = CASES[path.stem]
    history = [exchange.question for exchange in case.history]
    answer = ask(case.question, read_replies(path), history)
    assert not ask.vendor.problems, "a request was refused, or had no reply"
    assert answer["abstained"] == (not case.answerable), answer
    assert not case.answers or any(p.search(answer["answer"]) for p in case.answers), answer
    assert "]?" not in answer["answer"], answer
    assert not [notice for notice in answer["notices"] if "instruct" not in notice]
    for citation in answer["citations"]:
        document = ask.bot.store.document("default", citation["source"])
        assert document.text[citation["start"] : citation["end"]] == citation["quote"]
    if case.answerable:
        cited = {citation["source"].removeprefix("docs/") for citation in answer["citations"]}
        assert cited & set(case.source)
    ask.check_spent(answer)


@pytest.mark.parametrize("path", sorted(HERE.glob("mediocre/*.jsonl")), ids=lambda path: path.stem)
def test_mediocre_replies_are_cut_down_to_what_is_supported(ask: Any, path: Path) -> None:
    case = CASES[path.stem]
    answer = ask(case.question, read_replies(path))
    assert not ask.vendor.problems, "a request was refused, or had no reply"
    assert not re.search(WRONG[path.stem], answer["answer"]), answer
    assert answer["abstained"] or any(p.search(answer["answer"]) for p in case.answers), answer
    ask.check_spent(answer)
