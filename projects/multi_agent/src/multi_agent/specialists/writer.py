"""Writes texts from the results of other steps: a summary, a mail, a list.

Every number and link of a text must be in the results or in the task; otherwise it is written once
more with the problem, and then refused.
"""

from __future__ import annotations

from multi_agent.brain import Refusal
from multi_agent.runs.state import Result, Step
from multi_agent.specialists import Context, Workspace
from multi_agent.tools.evidence import facts_of, foreign_numbers, links


class Writer:
    """Puts results into words."""

    name = "writer"
    description = "Writes a text, such as a summary or a mail, from the answers of other steps."

    def work(self, step: Step, context: Context) -> Result:
        """The text; its evidence is that of the results it was made of."""
        if not context.inputs:
            return Result(step=step.id, problem="There are no results to write about.")
        facts, problem = facts_of(step.task, context.inputs), ""
        evidence = tuple(e for one in context.inputs.values() for e in one.evidence)
        for _ in range(2):
            text = context.brain.compose(step.task, context.inputs, problem)
            foreign = [*foreign_numbers(text, facts), *sorted(links(text) - links(facts))]
            if not foreign:
                return Result(step=step.id, answer=text, evidence=evidence)
            problem = f"It had {', '.join(foreign)}, which is not in the results."
        raise Refusal(f"The text has numbers or links that no step found: {', '.join(foreign)}.")


def open_specialist(workspace: Workspace) -> Writer:  # noqa: ARG001
    return Writer()
