"""A specialist in a file of its own: it is planned with, and gets its model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import multi_agent.specialists
from seedbed.errors import ConfigError
from seedbed.testing.vendor.script import Reply

POET = """
from multi_agent.runs.state import Evidence, Result


class Poet:
    name = "poet"
    description = "Writes a rhyme about a subject."

    def work(self, step, context):
        rhyme = str(context.model.invoke("Rhyme: " + step.task).text)
        evidence = Evidence(kind="tool", source="poet", text=step.task, output=rhyme)
        return Result(step=step.id, answer=rhyme, evidence=(evidence,))


def open_specialist(workspace):
    return Poet()
"""
RHYME = "The tent is bent, the money spent."


@pytest.fixture
def poet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beside the specialists, in a folder that the package has too."""
    (tmp_path / "poet.py").write_text(POET)
    folders = [*multi_agent.specialists.__path__, str(tmp_path)]
    monkeypatch.setattr(multi_agent.specialists, "__path__", folders)


@pytest.mark.usefixtures("poet")
def test_added_specialist_is_planned_with_and_gets_its_model(
    solve: Callable[..., Any], check_spent: Callable[[Any], None], replies: Any
) -> None:
    plan = Reply(replies.plan(("poet", "tents")), match="poet: Writes a rhyme about a subject.")
    solved = solve("Rhyme about tents.", [plan, Reply(RHYME, match="Rhyme: tents")], max_parallel=2)
    assert (solved.run.status, solved.run.answer.text) == ("done", RHYME)
    assert not solved.vendor.problems
    check_spent(solved)


def test_model_of_an_unknown_role_is_refused(solve: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="AGENTS_MODELS: unknown role 'poet'"):
        solve("Rhyme.", [], models={"poet": "openai:gpt-4o-mini"})
