"""The values that the page shows: the steps from the events of a run, and errors. No browser."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import gradio as gr
import pytest

from multi_agent.runs.store import Event
from multi_agent.serve.page import errors_shown, step_views
from seedbed.errors import NotFound

FIRST = {"id": "s1", "specialist": "analyst", "task": "How many?", "after": []}
SECOND = {"id": "s2", "specialist": "writer", "task": "Report {s1}.", "after": ["s1"]}
Parts = tuple[str, str, dict[str, Any]]


def views(*parts: Parts, ended: bool = False) -> list[tuple[str, str, str]]:
    """(id, status, answer) of each step."""
    steps = step_views(events_of(*parts), ended)
    return [(step["id"], step["status"], step["answer"]) for step in steps]


def events_of(*parts: Parts) -> list[Event]:
    now = datetime.now(UTC)
    numbered = enumerate(parts, 1)
    return [
        Event(id=id, run="r1", at=now, kind=kind, step=step, data=data)
        for id, (kind, step, data) in numbered
    ]


def planned(*steps: dict[str, Any], kind: str = "plan") -> Parts:
    return kind, "", {"steps": list(steps)}


def started(step: str, task: str = "How many?") -> Parts:
    return "step_started", step, {"specialist": "analyst", "task": task}


def ended(step: str, answer: str = "", problem: str = "") -> Parts:
    evidence = [{"kind": "query", "text": "SELECT 14", "checked": ""}]
    return (
        "step_ended",
        step,
        {"result": {"answer": answer, "problem": problem, "evidence": evidence}},
    )


def test_step_waits_works_asks_and_is_done() -> None:
    run = [planned(FIRST, SECOND)]
    assert views(*run) == [("s1", "waiting", ""), ("s2 after s1", "waiting", "")]
    run += [started("s1"), ("tool_started", "s1", {"tool": "query_database"})]
    assert views(*run)[0] == ("s1", "working: query_database", "")
    run += [("question", "s1", {"question": "Which?"})]
    assert views(*run)[0] == ("s1", "asking", "")
    run += [started("s1"), ended("s1", "14")]
    assert views(*run)[0] == ("s1", "done", "14")


def test_task_of_a_step_is_the_one_that_was_worked_on() -> None:
    run = [planned(FIRST, SECOND), started("s2", "Report 14.")]
    assert [step["task"] for step in step_views(events_of(*run), False)] == [
        "How many?",
        "Report 14.",
    ]


def test_result_that_does_not_hold_is_failed_and_not_verified() -> None:
    run = [planned(FIRST, SECOND), ended("s1", "14"), ended("s2", "14 orders.")]
    run += [("verified", "s1", {"problem": "The query returns 15.", "checked": []})]
    run += [("verified", "s2", {"problem": "", "checked": ["query repeated"]})]
    steps = step_views(events_of(*run), True)
    checks = [step["result"]["evidence"][0]["checked"] for step in steps]
    assert checks == ["", "query repeated"]
    assert steps[0]["status"] == "failed"
    assert steps[0]["answer"] == "Not verified: The query returns 15."


def test_new_plan_keeps_what_a_step_found_and_forgets_what_another_specialist_tried() -> None:
    run = [planned(FIRST, SECOND), ended("s1", "14"), ended("s2", problem="Too long.")]
    assert views(*run)[1] == ("s2 after s1", "failed", "Too long.")
    run += [planned(FIRST, {**SECOND, "specialist": "coder"}, kind="replanned")]
    assert views(*run) == [("s1", "done", "14"), ("s2 after s1", "waiting", "")]


def test_steps_of_an_ended_run_no_longer_wait_or_work() -> None:
    run = [planned(FIRST, SECOND, {**FIRST, "id": "s3"}), started("s1"), ended("s3", "7")]
    assert [status for _, status, _ in views(*run, ended=True)] == ["stopped", "skipped", "done"]


def test_error_message_is_escaped_as_gradio_renders_it_as_html(hostile: str) -> None:
    with pytest.raises(gr.Error) as shown, errors_shown():
        raise NotFound(f"Unknown run {hostile}.")
    assert "&lt;img src=x onerror=" in shown.value.message and "<img" not in shown.value.message


def test_unexpected_error_keeps_its_details_to_the_log() -> None:
    with pytest.raises(gr.Error) as shown, errors_shown():
        raise RuntimeError("a private detail")
    assert "private" not in shown.value.message
