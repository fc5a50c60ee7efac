"""Plans by a model: what it sees, and what it may return."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from multi_agent.plan.model_plan import model_plan
from seedbed.errors import Unavailable
from seedbed.models.scripted import ScriptedChatModel


@dataclass
class Member:
    name: str
    description: str


TEAM: Any = [Member("analyst", "Queries."), Member("calculator", "Computes.")]


def plan(*steps: tuple[str, str, str]) -> str:
    named = [dict(zip(("id", "specialist", "task"), step, strict=True)) for step in steps]
    return json.dumps({"steps": named})


def test_plan_has_the_dependencies_of_its_references() -> None:
    text = plan(
        ("s1", "analyst", "fines"),
        ("s2", "analyst", "orders"),
        ("s3", "calculator", "{s1} / {s2} + {s1}"),
    )
    steps = model_plan(ScriptedChatModel([text]), "…", TEAM)
    assert steps is not None
    assert [step.after for step in steps] == [(), (), ("s1", "s2")]


def test_prompt_has_team_examples_and_a_task_that_cannot_add_placeholders() -> None:
    model = ScriptedChatModel([plan(("s1", "analyst", "x"))])
    model_plan(model, "Say {team}.", TEAM, examples=["Task A: two steps"], problem="No table.")
    prompt = model.calls[0].text
    assert "- analyst: Queries." in prompt and "Task A: two steps" in prompt
    assert "No table." in prompt and "Say {team}." in prompt


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ('{"steps": []}', "A plan has 1 to 8 steps, not 0."),
        (plan(("s1", "poet", "x")), "Unknown specialist 'poet'. Available: analyst, calculator."),
        (plan(("s1", "analyst", "{s1}")), "s1 needs s1, which no earlier step gives."),
        (plan(("first", "analyst", "x")), "The id 'first'"),
        (plan(("s1", "analyst", " ")), "s1 has no task."),
    ],
)
def test_plan_is_written_again_with_its_problem(bad: str, problem: str) -> None:
    model = ScriptedChatModel([bad, plan(("s1", "analyst", "x"))])
    steps = model_plan(model, "…", TEAM)
    assert steps is not None and steps[0].task == "x"
    assert problem in model.calls[1].text


def test_two_bad_plans_are_given_up() -> None:
    model = ScriptedChatModel([plan(("s1", "poet", "x"))] * 2)
    assert model_plan(model, "…", TEAM) is None


def test_error_of_the_model_is_raised() -> None:
    with pytest.raises(Unavailable):
        model_plan(ScriptedChatModel([Unavailable("down")]), "…", TEAM)
