"""The values that the page shows: the steps of a run, and errors. No browser."""

from __future__ import annotations

import time
from typing import Any

import gradio as gr
import pytest

from multi_agent.serve.page import errors_shown, step_views
from multi_agent.state import Result, Step
from seedbed.errors import NotFound

FIRST = Step(id="s1", specialist="analyst", task="How many?")
SECOND = Step(id="s2", specialist="writer", task="Report {s1}.", after=("s1",))
PLAN = (FIRST, SECOND)
DONE = Result(step="s1", answer="14")


def statuses(results: dict[str, Result], asking: str = "", ended: bool = False) -> list[str]:
    return [view["status"] for view in step_views(PLAN, results, asking, ended)]


def test_step_waits_works_asks_and_is_done_or_failed() -> None:
    assert statuses({}) == ["working", "waiting"]
    assert statuses({}, asking="s1") == ["asking", "waiting"]
    assert statuses({"s1": DONE}) == ["done", "working"]
    failed = Result(step="s2", problem="Too long.")
    assert statuses({"s1": DONE, "s2": failed}) == ["done", "failed"]
    assert statuses({"s1": DONE}, ended=True) == ["done", "skipped"]


def test_step_shows_what_it_was_given_and_what_it_found() -> None:
    first, second = step_views(PLAN, {"s1": DONE}, "", False)
    assert (first["id"], first["task"], first["answer"]) == ("s1", "How many?", "14")
    assert (second["id"], second["task"], second["answer"]) == ("s2 after s1", "Report 14.", "")


def test_progress_has_a_step_that_ended_beside_one_that_has_not(clerk_team: Any) -> None:
    team, clerk = clerk_team.team, clerk_team.clerk
    clerk.gate.clear()
    run = team.start("How many orders? How many slow orders?")
    end = time.monotonic() + 60
    while not (results := team.progress(run)[1]):
        assert time.monotonic() < end
    views = step_views(*team.progress(run), "", False)
    clerk.gate.set()
    assert list(results) == ["s1"]
    assert [view["status"] for view in views] == ["done", "working"]
    assert team.wait(run).status == "done"


def test_error_message_is_escaped_as_gradio_renders_it_as_html(hostile: str) -> None:
    with pytest.raises(gr.Error) as shown, errors_shown():
        raise NotFound(f"Unknown run {hostile}.")
    assert "&lt;img src=x onerror=" in shown.value.message and "<img" not in shown.value.message


def test_unexpected_error_keeps_its_details_to_the_log() -> None:
    with pytest.raises(gr.Error) as shown, errors_shown():
        raise RuntimeError("a private detail")
    assert "private" not in shown.value.message
