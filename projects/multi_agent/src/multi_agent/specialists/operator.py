"""Uses the tools of MCP servers, where a model can choose among them.

What a tool returns is quoted to the model as data. It can lead to another call of these tools, each
within its permission, but not to another step or specialist.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage

from multi_agent.specialists import Context, Workspace
from multi_agent.state import Evidence, Result, Step
from multi_agent.tools.toolbox import ToolError
from seedbed.models.embeddings.load import embed_texts
from seedbed.models.prompts import load_prompt, quote

if TYPE_CHECKING:
    from multi_agent.tools.toolbox import Tool

log = logging.getLogger(__name__)

MAX_TURNS = 6
MAX_TOOLS = 64
"""Tools that the model can choose from in one step. OpenAI accepts 128; each costs tokens."""
MAX_NAMES = 30
"""Tools that are named to planners."""
MAX_RESULT = 8_000
"""Characters of a tool's result that the model sees."""


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

    def bid(self, task: str) -> float:  # noqa: ARG002
        """None: only a model can say what these tools are good for."""
        return 0.0

    def work(self, step: Step, context: Context) -> Result:
        """Let the model call tools until it answers."""
        if context.model is None:
            return Result(step=step.id, problem="The model is too small to choose among tools.")
        tools = self.choose_tools(step)
        model = context.model.bind_tools([tool.schema for tool in tools])
        system = load_prompt("multi_agent.specialists", "operate").render()
        messages: list[Any] = [SystemMessage(system), HumanMessage(step.task)]
        evidence: list[Evidence] = []
        for _ in range(MAX_TURNS):
            message: Any = model.invoke(messages)
            messages.append(message)
            if not message.tool_calls:
                text = str(message.text).strip()
                if not (text and evidence):
                    return Result(step=step.id, problem="No tool gave an answer.")
                return Result(step=step.id, answer=text, evidence=tuple(evidence))
            for call in message.tool_calls:
                text = self._call(call, context)
                arguments = json.dumps(call["args"], ensure_ascii=False)
                evidence.append(
                    Evidence(kind="page", source=call["name"], text=arguments, output=text[:2_000])
                )
                data = quote(text[:MAX_RESULT], f"result of {call['name']}")
                messages.append(ToolMessage(data, tool_call_id=call["id"]))
        return Result(step=step.id, problem=f"No answer after {MAX_TURNS} rounds of tool calls.")

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

    @staticmethod
    def _call(call: Any, context: Context) -> str:
        """The result as text; an error too, which the model may repair."""
        try:
            result = context.call(call["name"], **call["args"])
        except ToolError as error:
            return f"error: {error}"
        return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)


def open_specialist(workspace: Workspace) -> Operator | None:
    """The operator, if there are such tools."""
    if not workspace.tools:
        return None
    return Operator(workspace.tools, getattr(workspace.documents, "embeddings", None))
