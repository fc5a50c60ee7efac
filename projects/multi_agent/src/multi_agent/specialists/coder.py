r"""The coder runs Python programs in the sandbox: those in the task, and those that a brain writes.

    task = "Run this:\n```python\nsum(range(10))\n```"
    Coder().work(Step(id="s1", specialist="coder", task=task), context).answer     # "45"

It does not look at what a program does; the sandbox decides what a program can do.
"""

from __future__ import annotations

import re

from multi_agent.brain import Attempt
from multi_agent.runs.state import Evidence, Result, Step
from multi_agent.specialists import Context, Workspace
from multi_agent.tools.builtin import has_sandbox

REPAIRS = 2
"""How often a program that failed is written again."""
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.+?)```", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


class Coder:
    """See the module's documentation."""

    name = "coder"
    description = "Writes a Python program and runs it in a sandbox; or runs the one in the task."

    def work(self, step: Step, context: Context) -> Result:
        """Run the program; what it prints is the answer, and both are the evidence."""
        fenced, failed, error = _FENCE.search(step.task), None, ""
        for _ in range(1 + REPAIRS):
            code = fenced[1] if fenced else context.brain.write_program(step.task, failed)
            output = context.call("run_python", code=code)
            if output["status"] == "ok":
                return _result(step.id, code, output["stdout"].strip())
            error = output["stderr"].strip() or output["status"]
            if fenced or (failed and failed.text == code):
                break
            failed = Attempt(code, error)
        return Result(step=step.id, problem=f"The program failed: {error.splitlines()[-1]}")


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
    return Coder() if has_sandbox(workspace) else None
