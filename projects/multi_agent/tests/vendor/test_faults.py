"""Faults of a vendor in each role: one sentence says what failed, and what was found is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seedbed.testing.vendor.script import Reply, read_replies

GOOD = Path(__file__).parent / "good"
TASK = (
    "How many orders were placed in May 2025, and how long is the return window for gold members?"
)
FAULTS = {
    "401": Reply(fault="401"),
    "404": Reply(fault="404"),
    "429": Reply(fault="429", retry_after=0.01),
    "500": Reply(fault="500"),
    "529": Reply(fault="529"),
    "insufficient_quota": Reply(fault="insufficient_quota"),
    "cut": Reply(fault="cut"),
    "empty choices": Reply(fault="empty_choices"),
    "length": Reply('{"steps": [', finish="length"),
    "content filter": Reply("", finish="content_filter"),
    "refusal": Reply(refusal="I can't help with that."),
    "empty": Reply(""),
    "not JSON": Reply("Sure! I would count the orders."),
}
RETRIED = {"429", "529", "cut"}  # for 3.5 seconds, as "500" is


def each_fault(quick: Collection[str]) -> Any:
    """All faults, of which only some are tried in the quick tests."""
    marks = {name: () if name in quick else pytest.mark.slow for name in FAULTS}
    faults = [pytest.param(f, id=name, marks=marks[name]) for name, f in FAULTS.items()]
    return pytest.mark.parametrize("fault", faults)


PLAN, QUERY = "You plan the work of a team", "Answer a question over a database"


def with_fault(prompt: str, fault: Reply) -> list[Any]:
    """Replies to the task, with a fault in the place of those to a prompt, also when repeated."""
    good: list[Any] = read_replies(GOOD / "mixed-01.jsonl")
    rest = [reply for reply in good if not reply.match.startswith(prompt) and prompt != QUERY]
    if prompt == QUERY:
        rest = [reply for reply in good if "orders" not in reply.match]
    return [*rest, *[replace(fault, match=prompt)] * 8]


@each_fault(FAULTS.keys() - RETRIED)
def test_planner_that_fails_ends_the_run_with_one_sentence(
    solve: Callable[..., Any], fault: Reply
) -> None:
    solved = solve(TASK, with_fault(PLAN, fault))
    run = solved.run
    if fault.refusal:  # the model declines, which is an answer
        assert run.status in ("done", "failed"), run
    else:
        assert run.status == "failed", run
    assert_one_sentence(run.reason or run.answer.text)
    assert not solved.team.store.events(run.id, kind="step_started")


@each_fault(("401", "length", "refusal", "not JSON"))
def test_analyst_that_fails_keeps_what_the_others_found(
    solve: Callable[..., Any], fault: Reply
) -> None:
    run = solve(TASK, with_fault(QUERY, fault)).run
    assert run.status == "failed", run
    assert "60 days" in run.answer.text and not run.answer.confident
    assert_one_sentence(run.reason)


@pytest.mark.parametrize("fault", ["429", "500"])
def test_passing_fault_is_not_noticed(
    solve: Callable[..., Any], check_spent: Callable[[Any], None], fault: str
) -> None:
    good: list[Any] = read_replies(GOOD / "data-02.jsonl")
    solved = solve("How many orders were placed in May 2025?", [FAULTS[fault], *good])
    assert (solved.run.status, solved.run.answer.text) == ("done", "14")
    check_spent(solved)


def assert_one_sentence(text: str) -> None:
    assert text and "\n" not in text and "Traceback" not in text
    assert "logged" not in text, f"the reason is hidden: {text}"
