"""The decisions that need a model, as one protocol: by a model (`llm.py`) or by rules (`offline/`).

    brain = run.brain("analyst")                       # AGENTS_MODELS decides which of the two
    query = brain.write_sql("How many orders are open?")
    query.sql, query.reading                           # raises Refusal if it cannot

A brain proposes and never acts: queries and expressions are run by tools, within the
budget and the permissions, and quotes and numbers are checked by `answer/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from multi_agent.runs.state import Result, Step
from seedbed.errors import SeedbedError

if TYPE_CHECKING:
    from multi_agent.data.passages import Passage


class Refusal(SeedbedError):
    """A brain has no answer. With a `question`, the user may decide: an option, or own words."""

    status = 422

    def __init__(self, reason: str, question: str = "", options: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.question, self.options = question, tuple(options)


class Query(NamedTuple):
    """A SELECT, and in words what it computes. `unit` is the unit of its number, if any."""

    sql: str
    reading: str = ""
    unit: str = ""


class Quote(NamedTuple):
    """A short answer, and the verbatim quote of a passage that contains it."""

    answer: str
    quote: str


class Expression(NamedTuple):
    """Arithmetic to be computed exactly: "279 * (1 - 20 / 100)", whose result is in `unit`."""

    text: str
    unit: str = ""
    reading: str = ""


class Attempt(NamedTuple):
    """A query that failed, with its error."""

    text: str
    error: str


@dataclass(frozen=True)
class Progress:
    """The current plan and its results; empty before the first plan."""

    plan: Sequence[Step] = ()
    results: Mapping[str, Result] = field(default_factory=dict)

    @property
    def done(self) -> dict[str, Result]:
        """Results with an answer: steps that keep it, whatever the next plan is."""
        return {id: result for id, result in self.results.items() if not result.problem}


class Member(Protocol):
    """A specialist, as planners see it."""

    name: str
    description: str


class Brain(Protocol):
    """Every method raises Refusal where it has no answer, and ModelError if its model fails."""

    preamble: str
    """What each prompt of a model begins with: the date."""

    def plan(self, task: str, team: Sequence[Member], progress: Progress) -> tuple[Step, ...]:
        """The steps still to do; `{s1}` stands for the answer of a done one. Empty: none left."""

    def write_sql(self, question: str, failed: Attempt | None = None) -> Query:
        """A SELECT over the database of the workspace."""

    def quote(self, question: str, passages: Sequence[Passage]) -> Quote:
        """The answer that the passages contain, with its quote."""

    def compute(self, task: str) -> Expression:
        """The expression whose value the task asks for."""

    def compose(self, task: str, results: Mapping[str, Result], problem: str = "") -> str:
        """A text from results, without new numbers; `problem` is what was wrong with the last."""

    def complete(self, task: str, earlier: Sequence[str]) -> str:
        """A follow-up ("And in 2024?") as a task of its own; `earlier` has the newest one last."""
