"""The baseline: one agent in a loop of thought and tool calls, with the tools of the team.

    SingleAgent(model, tools, Budget(tokens=8_000)).solve("What is 15 % of 240?").text

After "ReAct" (Yao et al. 2022, arXiv 2210.03629), with the model's own tool calls. It gets the same
tools, model and budget as the team, and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from multi_agent.answer.compose import NO_ANSWER
from multi_agent.runs.budget import Budget
from multi_agent.runs.record_model import RecordedModel
from multi_agent.state import Answer
from multi_agent.tools.toolbox import Tool
from seedbed.errors import SeedbedError
from seedbed.models.prompts import load_prompt, quote
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MAX_TURNS = 8
MAX_RESULT = 2_000
"""Characters of a tool's result that the model sees."""
_ABSTAINS = re.compile(
    r"\b(?:can(?:no|')t|do(?:es)? ?n[o']t (?:know|contain|say|have|find)|unable|no answer|"
    r"not found|not (?:in|available|mentioned|stated))\b",
    re.IGNORECASE,
)


class SingleAgent:
    """One model with tools."""

    def __init__(self, model: BaseChatModel, tools: Sequence[Tool], budget: Budget) -> None:
        # Without those that have effects, which the team asks the user for.
        self.tools = {tool.name: tool for tool in tools if not tool.effects}
        fields: dict[str, Any] = {"model": model, "budget": budget}
        within = RecordedModel(role="single agent", **fields)
        self.model = within.bind_tools([tool.schema for tool in self.tools.values()])

    def solve(self, task: str) -> Answer:
        """The last message as an answer; one that says it does not know is not confident."""
        system = load_prompt("multi_agent.evaluate", "single_agent").render()
        messages: list[Any] = [SystemMessage(system), HumanMessage(task)]
        for _ in range(MAX_TURNS):
            try:
                message = self.model.invoke(messages)
            except SeedbedError as error:
                return Answer(text=f"{NO_ANSWER} {error}", confident=False)
            messages.append(message)
            if not isinstance(message, AIMessage) or not message.tool_calls:
                text = str(message.text).strip()
                return Answer(text=text, confident=bool(text) and not _ABSTAINS.search(text))
            messages += [self._result(call) for call in message.tool_calls]
        return Answer(text=f"{NO_ANSWER} It took too many turns.", confident=False)

    def _result(self, call: Any) -> ToolMessage:
        try:
            result = self.tools[call["name"]].function(**call["args"])
            text = json.dumps(result, ensure_ascii=False, default=str)
        except Exception as error:  # the model may repair its call
            text = f"error: {reason(error)}"
        return ToolMessage(
            quote(text[:MAX_RESULT], f"result of {call['name']}"), tool_call_id=call["id"]
        )
