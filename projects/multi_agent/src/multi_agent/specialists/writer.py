"""Writes texts from the results of other steps: a summary, a mail, a list.

Without a model that can write it joins the results; with one, every number of its text has to be in
the results, or else the text is written once more and then refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multi_agent.specialists import Context, Workspace
from multi_agent.state import Result, Step
from seedbed.errors import SeedbedError
from seedbed.models.prompts import load_prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_ORDER = re.compile(r"^(?:please\s+)?(?:write|draft|compose|summari[sz]e)\b", re.IGNORECASE)


class Writer:
    """Puts results into words."""

    name = "writer"
    description = "Writes a text, such as a summary or a mail, from the answers of other steps."

    def bid(self, task: str) -> float:
        """High for an order to write; a question is not one."""
        return 0.8 if _ORDER.match(task) else 0.0

    def work(self, step: Step, context: Context) -> Result:
        """The text; its evidence is that of the results it was made of."""
        if not context.inputs:
            return Result(step=step.id, problem="There are no results to write about.")
        facts = "\n".join(
            f"- {one.reading or id}: {one.answer}" for id, one in context.inputs.items()
        )
        if context.model is None:
            text, problem = facts, ""
        else:
            text, problem = write(context.model, step.task, facts)
        if problem:
            return Result(step=step.id, problem=problem)
        evidence = tuple(e for one in context.inputs.values() for e in one.evidence)
        return Result(step=step.id, answer=text, evidence=evidence)


def write(model: BaseChatModel, task: str, facts: str) -> tuple[str, str]:
    """(the text, why there is none)."""
    prompt, repair = load_prompt("multi_agent.specialists", "write"), "-"
    for _ in range(2):
        try:
            reply = model.invoke(prompt.render(task=task, facts=facts, repair=repair))
        except SeedbedError as error:
            return "", str(error)
        text = str(reply.text).strip()
        foreign = foreign_numbers(text, f"{task} {facts}")
        if text and not foreign:
            return text, ""
        repair = f"Your last text had {foreign} which is not in the results." if text else "-"
    return "", f"The text has numbers that no step found: {foreign}." if text else "It is empty."


def foreign_numbers(text: str, facts: str) -> str:
    """The numbers of a text that the facts do not have.

    >>> foreign_numbers("We had 1,204 orders and 7 returns.", "1204 orders")
    '7'
    """
    has = {number.replace(",", "") for number in _NUMBER.findall(facts)}
    return ", ".join(n for n in _NUMBER.findall(text) if n.replace(",", "") not in has)


def open_specialist(workspace: Workspace) -> Writer:  # noqa: ARG001
    """The writer."""
    return Writer()
