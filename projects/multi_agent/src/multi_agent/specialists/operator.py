"""Uses the tools of MCP servers, those of `tools/own.py` and the memory, if it has a model.

What a tool returns is quoted to the model as data. It can lead to another call of these tools, each
within its permission, but not to another step or specialist. What the model makes of it is checked:
an answer needs a call that succeeded, and may have no number that no tool returned.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from multi_agent.runs.state import Evidence, Result, Step
from multi_agent.specialists import Context, Workspace
from multi_agent.tools.evidence import foreign_numbers
from seedbed.errors import InvalidReply, ReplyRefused
from seedbed.models.prompts import load_prompt

if TYPE_CHECKING:
    from multi_agent.tools.agent import Call
    from multi_agent.tools.toolbox import Tool

log = logging.getLogger(__name__)

MAX_TURNS = 6
MAX_TOOLS = 64
"""Tools that the model can choose from. OpenAI accepts 128; each costs tokens."""
MAX_ANSWER, MAX_EVIDENCE = 1_000, 2_000
"""Characters of an answer in the words of the tools, and of a result as evidence."""
NO_ANSWER = "NONE"
"""How a reply begins that gives up; the rest is the reason. Vendors refuse empty replies."""


class Operator:
    """Calls tools that a model chooses."""

    name = "operator"

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.tools = tools[:MAX_TOOLS]
        self.description = f"Uses these tools: {', '.join(tool.name for tool in self.tools)}."

    def work(self, step: Step, context: Context) -> Result:
        """Let the model call tools until it answers; see `checked_result` for what it may say."""
        from multi_agent.tools.agent import run_agent

        if context.model is None:
            return Result(step=step.id, problem="Only a model can choose among these tools.")
        prompt = load_prompt("multi_agent.specialists", "operate")
        effects = {tool.name for tool in self.tools if tool.effects}
        calls: list[Call] = []
        try:
            answer = run_agent(
                context.model,
                self.tools,
                context.call,
                step.task,
                calls,
                system=prompt.render(context=context.brain.preamble),
                max_turns=MAX_TURNS,
                check=partial(problem_of, step.task),
            )
        except (InvalidReply, ReplyRefused):
            if not any(call.name in effects and not call.failed for call in calls):
                raise
            answer = ""
        return checked_result(step, answer, calls, effects)


def problem_of(task: str, answer: str, calls: Sequence[Call]) -> str:
    """What is wrong with an answer, for the model; empty if nothing is.

    >>> from multi_agent.tools.agent import Call
    >>> problem_of("Weather in Bern?", "25 °C", [Call("weather", {"city": "Bern"}, "7 °C")])
    'Your answer has 25, which no tool returned. Answer with what the tools returned.'
    """
    if answer.startswith(NO_ANSWER) or (calls and all(call.failed for call in calls)):
        return ""
    if not calls:
        return f'You called no tool. Call one, or reply with "{NO_ANSWER}: " and the reason.'
    arguments = [json.dumps(call.arguments, ensure_ascii=False) for call in calls]
    results = [call.output for call in calls if not call.failed]
    foreign = ", ".join(foreign_numbers(answer, " ".join([task, *arguments, *results])))
    tail = "which no tool returned. Answer with what the tools returned."
    return f"Your answer has {foreign}, {tail}" if foreign else ""


def checked_result(
    step: Step, answer: str, calls: Sequence[Call], effects: Collection[str]
) -> Result:
    """The model's answer, or what the tools returned where its answer is wrong.

    Once an action was carried out, a step has a result, whatever the model says: a step that fails
    is planned again, and its action would be repeated.
    """
    succeeded = [call for call in calls if not call.failed]
    acted = [call for call in succeeded if call.name in effects]
    gives_up = not answer or answer.startswith(NO_ANSWER)
    if not succeeded or (gives_up and not acted):
        reason = answer.removeprefix(NO_ANSWER).strip(": ") if gives_up else "No tool was called."
        failed = calls[-1].output if calls and not succeeded else ""
        default = "No tool has the answer." if answer else f"No answer in {MAX_TURNS} turns."
        return Result(step=step.id, problem=failed or reason or default)
    if gives_up or problem_of(step.task, answer, calls):
        answer = own_words(acted or succeeded)
    evidence = tuple(
        Evidence(
            kind="tool",
            source=call.name,
            text=json.dumps(call.arguments, ensure_ascii=False),
            output=call.output[:MAX_EVIDENCE],
        )
        for call in succeeded
    )
    return Result(step=step.id, answer=answer, evidence=evidence)


def own_words(calls: Sequence[Call]) -> str:
    """What tools returned, verbatim."""
    text = "; ".join(call.output.strip() or f"{call.name}: done" for call in calls)
    return text if len(text) <= MAX_ANSWER else f"{text[:MAX_ANSWER]} …"


def open_specialist(workspace: Workspace) -> Operator | None:
    if len(workspace.tools) > MAX_TOOLS:
        log.warning("The operator uses the first %d of %d tools.", MAX_TOOLS, len(workspace.tools))
    return Operator(workspace.tools) if workspace.tools else None
