"""Writes texts from the results of other steps: a summary, a mail, a list.

Every number of a text must be in the results or in the task; otherwise it is written once more with
the problem, and then refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from multi_agent.brain import Brain, Refusal
from multi_agent.specialists import Context, Workspace
from multi_agent.state import Result, Step
from multi_agent.tools.evidence import foreign_numbers


class Writer:
    """Puts results into words."""

    name = "writer"
    description = "Writes a text, such as a summary or a mail, from the answers of other steps."

    def work(self, step: Step, context: Context) -> Result:
        """The text; its evidence is that of the results it was made of."""
        if not context.inputs:
            return Result(step=step.id, problem="There are no results to write about.")
        text = checked_text(context.brain, step.task, context.inputs)
        evidence = tuple(e for one in context.inputs.values() for e in one.evidence)
        return Result(step=step.id, answer=text, evidence=evidence)


def checked_text(
    brain: Brain,
    task: str,
    results: Mapping[str, Result],
    draft: Callable[[str], None] | None = None,
) -> str:
    """A text from results without other numbers; `draft` gets it while it is written.

    Raises Refusal if the second text has other numbers, too.
    """
    facts = " ".join([task, *(f"{one.reading} {one.answer}" for one in results.values())])
    problem = ""
    for _ in range(2):
        text = brain.compose(task, results, problem, draft)
        if not (foreign := ", ".join(foreign_numbers(text, facts))):
            return text
        problem = f"It had {foreign}, which is not in the results."
    raise Refusal(f"The text has numbers that no step found: {foreign}.")


def open_specialist(workspace: Workspace) -> Writer:  # noqa: ARG001
    """The writer."""
    return Writer()
