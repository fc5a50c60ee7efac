"""Uses the tools of MCP servers, where a model can choose among them.

What a tool returns is quoted to the model as data. It can lead to another call of these tools, each
within its permission, but not to another step or specialist. What the model makes of it is checked:
an answer needs a call that succeeded, and may have no number that no tool returned.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from multi_agent.specialists import Context, Workspace
from multi_agent.state import Evidence, Result, Step
from multi_agent.tools.evidence import foreign_numbers
from seedbed.errors import InvalidReply, ReplyRefused
from seedbed.models.embeddings.load import embed_texts
from seedbed.models.prompts import load_prompt

if TYPE_CHECKING:
    from multi_agent.tools.agent import Call
    from multi_agent.tools.toolbox import Tool

log = logging.getLogger(__name__)

MAX_TURNS = 6
MAX_TOOLS = 64
"""Tools that the model can choose from in one step. OpenAI accepts 128; each costs tokens."""
MAX_NAMES = 30
"""Tools that are named to planners."""
MAX_ANSWER, MAX_EVIDENCE = 1_000, 2_000
"""Characters of an answer in the words of the tools, and of a result as evidence."""
NO_ANSWER = "NONE"
"""How a reply begins that gives up; the rest is the reason. Vendors refuse empty replies."""


class Operator:
    """Works with tools that the team did not bring along."""

    name = "operator"

    def __init__(self, tools: Sequence[Tool], embeddings: Any = None) -> None:
        self.tools, self._embeddings = tools, embeddings
        self._vectors: dict[str, Any] = {}

    @property
    def description(self) -> str:
        """The tools, for planners."""
        names = [tool.name for tool in self.tools[:MAX_NAMES]]
        if more := len(self.tools) - len(names):
            names.append(f"and {more} more ({len(self.tools)} in all)")
        return f"Uses tools of MCP servers: {', '.join(names)}."

    def work(self, step: Step, context: Context) -> Result:
        """Let the model call tools until it answers; see `checked_result` for what it may say."""
        from multi_agent.tools.agent import Agent

        if context.model is None:
            return Result(step=step.id, problem="Only a model can choose among these tools.")
        tools = self.choose_tools(step)
        agent = Agent(
            context.model,
            tools,
            context.call,
            system=load_prompt("multi_agent.specialists", "operate").render(
                context=context.brain.context
            ),
            max_turns=MAX_TURNS,
            check=partial(problem_of, step.task),
        )
        effects = {tool.name for tool in tools if tool.effects}
        try:
            answer = agent.solve(step.task)
        except (InvalidReply, ReplyRefused):
            if not any(call.name in effects and not call.failed for call in agent.calls):
                raise
            answer = ""
        result = checked_result(step, answer, agent.calls, effects)
        if result.problem and len(tools) < len(self.tools):
            note = f"The model could choose from {len(tools)} of {len(self.tools)} tools."
            result = result.model_copy(update={"problem": f"{result.problem} ({note})"})
        return result

    def choose_tools(self, step: Step) -> Sequence[Tool]:
        """All tools, or those whose descriptions are nearest to the step if there are too many."""
        if len(self.tools) <= MAX_TOOLS:
            return self.tools
        by_text = {f"{tool.name}: {tool.description}": tool for tool in self.tools}
        scores = dict.fromkeys(by_text, 0.0)
        if self._embeddings is not None:
            new = [text for text in by_text if text not in self._vectors]
            query, *vectors = embed_texts(self._embeddings, [step.task, *new], queries=1)
            self._vectors |= dict(zip(new, vectors, strict=True))
            scores = {text: float(self._vectors[text] @ query) for text in by_text}
        nearest = sorted(by_text, key=lambda text: -scores[text])[:MAX_TOOLS]
        log.warning(
            "Step %s: the model can choose from %d of %d tools, those nearest to its task.",
            step.id,
            len(nearest),
            len(self.tools),
        )
        return [by_text[text] for text in nearest]


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
    if foreign := ", ".join(foreign_numbers(answer, " ".join([task, *arguments, *results]))):
        return (
            f"Your answer has {foreign}, which no tool returned."
            " Answer with what the tools returned."
        )
    return ""


def checked_result(
    step: Step, answer: str, calls: Sequence[Call], effects: Collection[str]
) -> Result:
    """The model's answer, or what the tools returned where its answer is wrong.

    Once an action was carried out, a step has a result, whatever the model says: a step that fails
    is planned again, and its action would be repeated.
    """
    succeeded = [call for call in calls if not call.failed]
    acted = [call for call in succeeded if call.name in effects]
    evidence = tuple(
        Evidence(
            kind="page",
            source=call.name,
            text=json.dumps(call.arguments, ensure_ascii=False),
            output=call.output[:MAX_EVIDENCE],
        )
        for call in succeeded
    )
    if answer.startswith(NO_ANSWER):
        answer, reason = "", answer.removeprefix(NO_ANSWER).strip(": ") or "No tool has the answer."
    else:
        reason = "No tool was called." if answer else f"No answer in {MAX_TURNS} rounds of calls."
    if not succeeded:
        return Result(step=step.id, problem=calls[-1].output if calls else reason)
    if answer and not problem_of(step.task, answer, calls):
        return Result(step=step.id, answer=answer, evidence=evidence)
    if acted or answer:
        return Result(step=step.id, answer=own_words(acted or succeeded), evidence=evidence)
    return Result(step=step.id, problem=reason)


def own_words(calls: Sequence[Call]) -> str:
    """What tools returned, verbatim.

    >>> from multi_agent.tools.agent import Call
    >>> own_words([Call("send", {"to": "Ann"}, "sent to Ann"), Call("log", {}, " ")])
    'sent to Ann; log: done'
    """
    text = "; ".join(call.output.strip() or f"{call.name}: done" for call in calls)
    return text if len(text) <= MAX_ANSWER else f"{text[:MAX_ANSWER]} …"


def open_specialist(workspace: Workspace) -> Operator | None:
    """The operator, if there are such tools."""
    if not workspace.tools:
        return None
    return Operator(workspace.tools, getattr(workspace.documents, "embeddings", None))
