"""Uses the tools of MCP servers, where a model can choose among them.

What a tool returns is quoted to the model as data. It can lead to another call of these tools, each
within its permission, but not to another step or specialist.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage

from multi_agent.specialists import Context, Workspace
from multi_agent.state import Evidence, Result, Step
from multi_agent.tools.toolbox import ToolError
from seedbed.models.prompts import load_prompt, quote

if TYPE_CHECKING:
    from multi_agent.tools.toolbox import Tool

MAX_TURNS = 6
MAX_RESULT = 8_000
"""Characters of a tool's result that the model sees."""


class Operator:
    """Works with tools that the team did not bring along."""

    name = "operator"

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.tools = tools
        names = ", ".join(tool.name for tool in tools)
        self.description = f"Uses other tools, which need a capable model: {names}."

    def bid(self, task: str) -> float:  # noqa: ARG002
        """None: only a model can say what these tools are good for."""
        return 0.0

    def work(self, step: Step, context: Context) -> Result:
        """Let the model call tools until it answers."""
        if context.model is None:
            return Result(step=step.id, problem="The model is too small to choose among tools.")
        model = context.model.bind_tools([tool.schema for tool in self.tools])
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
    return Operator(workspace.tools) if workspace.tools else None
