"""The calculator: exact arithmetic in words, with no model or with one that writes the expression.

    step = Step(id="s1", specialist="calculator", task="What is 15 % of 240?")
    open_specialist(workspace).work(step, context).answer      # "36"

A model never computes: it proposes one expression, which is evaluated exactly.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multi_agent.state import Evidence, Result, Step
from multi_agent.tools.arithmetic import Calculation, evaluate_expression, looks_like_arithmetic
from multi_agent.tools.toolbox import ToolError
from seedbed.errors import SeedbedError
from seedbed.models.prompts import load_prompt, quote
from seedbed.models.structured_reply import structured_reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from multi_agent.specialists import Context, Workspace

_SCHEMA = {
    "title": "expression",
    "type": "object",
    "properties": {"expression": {"type": "string", "maxLength": 200}},
    "required": ["expression"],
    "additionalProperties": False,
}
_CONSTANTS = {"1", "2", "4", "7", "12", "24", "52", "60", "100", "365", "1000"}
"""Numbers that an expression may contain besides those of the task."""


class Calculator:
    """Computes; see `specialists.Specialist`."""

    name = "calculator"
    description = (
        "Exact arithmetic on numbers in the task: percentages, units, money, averages, dates."
    )

    def bid(self, task: str) -> float:
        return looks_like_arithmetic(task)

    def work(self, step: Step, context: Context) -> Result:
        try:
            calculation = Calculation(**context.call("calculate", task=step.task))
        except ToolError as error:
            if context.model is None:
                return Result(step=step.id, problem=error.message)
            try:
                calculation = _with_model(step.task, context.model)
            except SeedbedError as second:
                return Result(step=step.id, problem=f"{error.message} {second.message}")
        evidence = Evidence(
            kind="calculation",
            source="calculate",
            text=calculation.expression,
            output=calculation.text,
        )
        return Result(
            step=step.id,
            answer=calculation.text,
            number=calculation.number,
            reading=calculation.reading,
            evidence=(evidence,),
        )


def _with_model(task: str, model: BaseChatModel) -> Calculation:
    """Evaluate the expression that a model proposes. Raises BadInput for one with other numbers."""
    prompt = load_prompt("multi_agent.specialists", "expression").render(task=quote(task, "task"))
    expression = structured_reply(model, prompt, _SCHEMA)["expression"]
    numbers = set(re.findall(r"[\d.]+", expression))
    strange = numbers - set(re.findall(r"\d+(?:\.\d+)?", task.replace(",", ""))) - _CONSTANTS
    if strange:
        raise ToolError(f"The model's expression {expression!r} has other numbers than the task.")
    return evaluate_expression(expression)


def open_specialist(_: Workspace) -> Calculator:
    """It needs neither database nor documents."""
    return Calculator()
