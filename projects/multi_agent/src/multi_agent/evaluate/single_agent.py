"""The baseline: one model in a loop of tool calls, with what the team has.

    SingleAgent(model, tools, Budget(tokens=8_000), workspace).solve("What is 15 % of 240?").text

After "ReAct" (Yao et al. 2022, arXiv 2210.03629), with the model's own tool calls. It has the
model, tools and budget of the team, and in its prompt the date and the schema with sample values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from multi_agent.answer.compose import NO_ANSWER
from multi_agent.runs.budget import Budget
from multi_agent.runs.record_model import RecordedModel
from multi_agent.state import Answer
from multi_agent.tools.toolbox import Tool, ToolError
from multi_agent.tools.workspace import Workspace
from seedbed.errors import SeedbedError
from seedbed.models.prompts import load_prompt, quote
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MAX_TURNS = 8
_ABSTAINS = re.compile(
    r"\b(?:can(?:no|')t|do(?:es)? ?n[o']t (?:know|contain|say|have|find)|unable|no answer|"
    r"not found|not (?:in|available|mentioned|stated))\b",
    re.IGNORECASE,
)


class SingleAgent:
    """One model with tools."""

    def __init__(
        self, model: BaseChatModel, tools: Sequence[Tool], budget: Budget, workspace: Workspace
    ) -> None:
        self._model, self._budget, self._workspace = model, budget, workspace
        self._tools = {tool.name: tool for tool in tools}

    def solve(self, task: str) -> Answer:
        """The last message as an answer; one that says it does not know is not confident."""
        from multi_agent.tools.agent import Agent

        fields: Any = {"model": self._model, "budget": self._budget}
        agent = Agent(
            RecordedModel(role="single agent", **fields),
            list(self._tools.values()),
            self._call,
            system=load_prompt("multi_agent.evaluate", "single_agent").render(data=self._data()),
            max_turns=MAX_TURNS,
        )
        try:
            text = agent.solve(task)
        except SeedbedError as error:
            return Answer(text=f"{NO_ANSWER} {error}", confident=False)
        if not text:
            return Answer(text=f"{NO_ANSWER} It took too many turns.", confident=False)
        return Answer(text=text, confident=not _ABSTAINS.search(text))

    def _data(self) -> str:
        """The database, as the team's analyst sees it."""
        database = self._workspace.database
        if database is None:
            return ""
        dialect = "DuckDB" if database.is_duckdb else "SQLite"
        schema = quote(database.description, "schema")
        return f"The database is {dialect}; amounts in cents are divided by 100.0. {schema}"

    def _call(self, name: str, **arguments: Any) -> Any:
        self._budget.take(tool_calls=1)
        try:
            return self._tools[name].function(**arguments)
        except Exception as error:  # the model may repair its call
            raise ToolError(reason(error)) from error
