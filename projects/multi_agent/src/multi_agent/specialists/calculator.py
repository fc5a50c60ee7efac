"""The calculator: the brain proposes an expression, the tool computes it exactly.

    step = Step(id="s1", specialist="calculator", task="What is 15 % of 240?")
    open_specialist(workspace).work(step, context).answer      # "36"

A model never computes; `answer/verify.py` refuses numbers that the task does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multi_agent.runs.state import Evidence, Result, Step

if TYPE_CHECKING:
    from multi_agent.specialists import Context, Workspace

_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}


class Calculator:
    """Computes; see `specialists.Specialist`."""

    name = "calculator"
    description = "Exact arithmetic on numbers in the task: percentages, money, averages, dates."

    def work(self, step: Step, context: Context) -> Result:
        """Compute the task; the expression with its result is the evidence."""
        expression = context.brain.compute(step.task)
        output = context.call("calculate", expression=expression.text)
        evidence = Evidence(
            kind="calculation", source="calculate", text=expression.text, output=output["text"]
        )
        unit = expression.unit if has_unit(step.task, expression.unit) else ""
        answer = with_unit(output["text"], output["number"], unit)
        return Result(
            step=step.id,
            answer=answer,
            number=output["number"],
            reading=expression.reading or f"{expression.text} = {answer}",
            evidence=(evidence,),
        )


def has_unit(task: str, unit: str) -> bool:
    """Whether a task names a unit: a brain must not turn 36 into 36 million dollars.

    >>> has_unit("279 euros, less 20 %", "EUR"), has_unit("10 - 4", "million dollars")
    (True, False)
    """
    names = [unit.lower().removesuffix("s"), _SYMBOLS.get(unit.upper(), "")]
    names += ["percent"] if unit == "%" else []
    return any(name and name in task.lower() for name in names)


def with_unit(text: str, number: float | None, unit: str) -> str:
    """A result with its unit; money with two decimals.

    >>> with_unit("1,223.2", 1223.2, "EUR"), with_unit("36", 36.0, "%"), with_unit("45", 45.0, "")
    ('€1,223.20', '36 %', '45')
    """
    if unit.upper() in _SYMBOLS and number is not None:
        symbol = _SYMBOLS[unit.upper()]
        return f"{'-' if number < 0 else ''}{symbol}{abs(number):,.2f}"
    return f"{text} {unit}".strip()


def open_specialist(_: Workspace) -> Calculator:
    return Calculator()
