"""The values that the graph passes on: the plan's steps, results with evidence, the answer.

    Step(id="s1", specialist="analyst", task="How many orders were placed in May?")

All of it is JSON, so that a checkpoint, an event and an answer over HTTP show the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seedbed.errors import BadInput, ConfigError

Status = Literal["running", "waiting", "done", "stopped", "failed"]
"""Of a run: `waiting` for the user, `stopped` by the user or by a budget."""


class Value(BaseModel):
    """Base of the value types: immutable, without unexpected fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(Value):
    """What a result rests on, in a form that can be checked again."""

    kind: Literal["quote", "query", "calculation", "tool"]
    source: str
    """A document with lines ("returns.md:12-14"), a database, or a tool."""
    text: str
    """The verbatim quote, the SQL, the expression, or the arguments of the tool."""
    output: str = ""
    """What the query, the calculation or the tool returned."""
    checked: str = ""
    """What verification found: "repeated, with the same result". Empty: it was not checked."""


class Step(Value):
    """A sub-task for one specialist. `{s1}` in the task stands for the answer of step s1."""

    id: str
    specialist: str
    task: str
    after: tuple[str, ...] = ()
    """Ids of the steps whose answers this one needs."""


class Result(Value):
    """What a specialist hands over: a short answer with evidence, or the problem."""

    step: str
    answer: str = ""
    """Short: a number with its unit, a name, a phrase. Empty if there is none."""
    number: float | None = None
    reading: str = ""
    """What was understood: "orders with status delivered, placed in 2025"."""
    evidence: tuple[Evidence, ...] = ()
    problem: str = ""
    """Why there is no answer. Exactly one of `answer` and `problem` is set."""
    failure: Literal["", "model", "stop"] = ""
    """What failed if it was not the step itself: its model's vendor; or the run was stopped."""


class Answer(Value):
    """The end of a run."""

    text: str
    """The short answer, or that there is none."""
    confident: bool
    """False if the team abstains or something could not be verified."""
    number: float | None = None
    explanation: str = ""
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[str, ...] = ()
    """Parts of the task without an answer, each with its reason."""


def merge_results(old: dict[str, Result], new: Mapping[str, Result | None]) -> dict[str, Result]:
    """Parallel specialists each add their own result; None removes one, for another attempt."""
    return {id: result for id, result in {**old, **new}.items() if result is not None}


class RunState(TypedDict, total=False):
    """The state of the graph. A run is one thread of LangGraph."""

    task: str
    plan: tuple[Step, ...]
    results: Annotated[dict[str, Result], merge_results]
    replans: int
    problem: str
    """Why there is no plan."""
    answer: Answer


class Limits(Value):
    """The limits of a run; None: no limit.

    >>> Limits.parse("steps=20,usd=0.5")
    Limits(steps=20, tool_calls=None, tokens=None, usd=0.5, seconds=None)
    """

    steps: int | None = Field(None, ge=1)
    tool_calls: int | None = Field(None, ge=0)
    tokens: int | None = Field(None, ge=0)
    usd: float | None = Field(None, ge=0)
    seconds: float | None = Field(None, gt=0)

    @classmethod
    def parse(cls, text: str) -> Limits:
        """The limits of AGENTS_BUDGET. Raises ConfigError, which names the wrong part."""
        parts = [part.partition("=") for part in text.split(",") if part.strip()]
        try:
            return cls.model_validate({name.strip(): value.strip() for name, _, value in parts})
        except ValidationError as error:
            problem = error.errors()[0]
            name = ".".join(map(str, problem["loc"]))
            hint = "Write steps=20,tool_calls=40,tokens=50000,usd=0.5,seconds=120."
            raise ConfigError(f"AGENTS_BUDGET: {name}: {problem['msg']}.", hint=hint) from None

    def within(self, ceiling: Limits) -> Limits:
        """These limits, or that of the ceiling where one is None. Raises BadInput above it."""
        maxima, own = ceiling.model_dump(), self.model_dump(exclude_none=True)
        for name, limit in own.items():
            if maxima[name] is not None and limit > maxima[name]:
                problem = f"{limit:,.12g} is above this server's limit of {maxima[name]:,.12g}."
                raise BadInput(f"limits.{name}: {problem}", hint="Lower it or leave it out.")
        return Limits(**maxima | own)


def fill(task: str, inputs: Mapping[str, Result]) -> str:
    """The task with the answers of earlier steps in their places."""

    def answer(match: re.Match[str]) -> str:
        return inputs[match[1]].answer if match[1] in inputs else match[0]

    return re.sub(r"\{(s\d+)\}", answer, task)  # once: an answer may contain "{s2}"


def readable(step: Step, results: Mapping[str, Result]) -> str:
    """The task of a step with the answers that it was given."""
    answered = {id: results[id] for id in step.after if id in results and results[id].answer}
    return fill(step.task, answered)
