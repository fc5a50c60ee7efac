"""A plan by a model that can follow instructions: typed steps under a schema, checked.

    model_plan(model, "…", specialists, examples=())        # the steps, or None: use the rules

The model sees the task and what is remembered, never a document or the result of a tool, so that
no text that the team reads can add a step.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from multi_agent.specialists import Specialist
from multi_agent.state import Step
from seedbed.errors import ModelError
from seedbed.models.prompts import load_prompt
from seedbed.models.structured_reply import structured_reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

log = logging.getLogger(__name__)
MAX_STEPS = 8
_REFERENCE = re.compile(r"\{(s\d+)\}")


class PlannedStep(BaseModel):
    """One step, as the model writes it."""

    id: str = Field(description="s1, s2 and so on.")
    specialist: str
    task: str = Field(description="Complete without the others; {s1} for the answer of step s1.")


class ModelPlan(BaseModel):
    """The plan, as the model writes it."""

    steps: list[PlannedStep]


def model_plan(
    model: BaseChatModel,
    task: str,
    specialists: Sequence[Specialist],
    *,
    examples: Sequence[str] = (),
    problem: str = "",
) -> tuple[Step, ...] | None:
    """The steps; None if the model fails twice. `problem` is why the plan before failed."""
    prompt = load_prompt("multi_agent.plan", "plan").render(
        team="\n".join(f"- {one.name}: {one.description}" for one in specialists),
        task=task,
        examples="\n".join(examples) or "(none)",
        problem=problem or "-",
        reference="{s1}",
    )
    names = {one.name for one in specialists}
    try:
        plan = structured_reply(
            model, prompt, ModelPlan, check=lambda plan: plan_problem(plan, names)
        )
    except ModelError as error:
        log.warning("The model has no plan: %s", error)
        return None
    return tuple(
        Step(
            id=step.id,
            specialist=step.specialist,
            task=step.task,
            after=tuple(dict.fromkeys(_REFERENCE.findall(step.task))),
        )
        for step in plan.steps
    )


def plan_problem(plan: ModelPlan, names: set[str]) -> str:
    """What is wrong with a plan, in one line for the model; empty if nothing is."""
    if not 0 < len(plan.steps) <= MAX_STEPS:
        return f"A plan has 1 to {MAX_STEPS} steps, not {len(plan.steps)}."
    earlier: set[str] = set()
    for step in plan.steps:
        if step.specialist not in names:
            return f"Unknown specialist {step.specialist!r}. Available: {', '.join(sorted(names))}."
        if not step.task.strip():
            return f"{step.id} has no task."
        if missing := set(_REFERENCE.findall(step.task)) - earlier:
            return f"{step.id} needs {', '.join(sorted(missing))}, which no earlier step gives."
        if step.id in earlier or not _REFERENCE.fullmatch(f"{{{step.id}}}"):
            return f"The id {step.id!r} is used twice or is not of the form s1."
        earlier.add(step.id)
    return ""
