"""Runs Python programs in the sandbox: those in the task, and those that a capable model writes.

    Coder().work(Step(id="s1", specialist="coder", task="Run this code: sum(range(10))"), context)

It does not look at what a program does; the sandbox decides what a program can do.
"""

from __future__ import annotations

import re

from pydantic import BaseModel, Field

from multi_agent.specialists import Context, Workspace
from multi_agent.state import Evidence, Result, Step
from seedbed.errors import ModelError
from seedbed.models.prompts import load_prompt
from seedbed.models.structured_reply import structured_reply

REPAIRS = 2
"""How often a program that failed is written again."""
_CODE = [
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"```(?:python|py)?[ \t]*\n(.+?)```",
        r"\b(?:run|execute|evaluate|output of|result of)\b[^`\n]{0,60}`([^`\n]+)`",
        r"\b(?:run|execute|evaluate)\b[^:\n]{0,40}\b(?:code|program|script|python)\b[^:\n]{0,20}:(.+)",
        r"\bpython\b[^:.\n]{0,40}:(.+)",
    )
]
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_REPAIR = "The program before failed. Correct it.\nProgram:\n{code}\nError:\n{error}"


class Program(BaseModel):
    """What the model writes."""

    code: str = Field(description="The Python program; it prints the result.", min_length=1)


class Coder:
    """See the module's documentation."""

    name = "coder"
    description = "Runs a Python program in a sandbox; with a capable model, it writes it, too."

    def bid(self, task: str) -> float:
        """High for a task that contains a program, else 0: only a planner can judge the rest."""
        return 0.95 if program_in(task) else 0.0

    def work(self, step: Step, context: Context) -> Result:
        """Run the program; what it prints is the answer, and both are the evidence."""
        code, error = program_in(step.task), ""
        if not code and context.model is None:
            problem = "The task contains no program, and the model is too small to write one."
            return Result(step=step.id, problem=problem)
        for _ in range(1 + REPAIRS):
            if not code or error:
                code, problem = self._write(step.task, context, code, error or context.problem)
                if problem:
                    return Result(step=step.id, problem=problem)
            output = context.call("run_python", code=code)
            if output["status"] == "ok":
                return _result(step.id, code, output["stdout"].strip())
            error = output["stderr"].strip() or output["status"]
            if context.model is None:
                break
        return Result(step=step.id, problem=f"The program failed: {error.splitlines()[-1]}")

    def _write(self, task: str, context: Context, code: str, error: str) -> tuple[str, str]:
        """A program, or why there is none."""
        assert context.model is not None
        repair = _REPAIR.format(code=code, error=error[-2000:]) if error else ""
        prompt = load_prompt("multi_agent.specialists", "program").render(task=task, repair=repair)
        try:
            return structured_reply(context.model, prompt, Program).code, ""
        except ModelError as failure:
            return "", f"The model did not write a program. {failure}"


def program_in(task: str) -> str:
    """The program that a task contains, in a fence, in backticks or after a colon; else ''.

    >>> program_in("Run this code: print(1)"), program_in("What is 2 + 2?")
    ('print(1)', '')
    """
    matches = (pattern.search(task) for pattern in _CODE)
    return next((match[1].strip() for match in matches if match), "")


def _result(step_id: str, code: str, text: str) -> Result:
    if not text:
        return Result(step=step_id, problem="The program printed nothing.")
    last = text.splitlines()[-1].strip()
    answer = text if len(text) <= 300 else last[:300]
    return Result(
        step=step_id,
        answer=answer,
        number=float(last) if _NUMBER.fullmatch(last) else None,
        evidence=(Evidence(kind="program", source="run_python", text=code, output=text),),
    )


def open_specialist(workspace: Workspace) -> Coder | None:
    """The coder, unless the sandbox is off."""
    return None if workspace.config.sandbox == "off" else Coder()
