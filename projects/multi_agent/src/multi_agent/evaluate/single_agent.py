"""The baseline: one model in a loop of tool calls, with what the team has.

    solve_alone("What is 15 % of 240?", model, tools, Budget(tokens=8_000), workspace).text

After "ReAct" (Yao et al. 2022, arXiv 2210.03629), with the model's own tool calls. It has the
model, tools and budget of the team, and in its prompt the date and the schema with sample values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from multi_agent.answer.compose import NO_ANSWER
from multi_agent.runs.budget import Budget
from multi_agent.runs.record_model import RecordedModel
from multi_agent.runs.state import Answer
from multi_agent.tools.builtin import Workspace
from multi_agent.tools.toolbox import Tool, ToolError
from seedbed.errors import SeedbedError
from seedbed.models.prompts import load_prompt, quote
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MAX_TURNS = 8
GIVES_UP = "NONE"
"""How a reply begins that has no answer."""


def solve_alone(
    task: str, model: BaseChatModel, tools: Sequence[Tool], budget: Budget, workspace: Workspace
) -> Answer:
    """The last message as an answer; one that gives up is not confident."""
    from multi_agent.tools.agent import run_agent

    functions = {tool.name: tool.function for tool in tools}

    def call(name: str, **arguments: Any) -> Any:
        budget.take(tool_calls=1)
        try:
            return functions[name](**arguments)
        except Exception as error:  # the model may repair its call
            raise ToolError(reason(error)) from error

    data = ""
    if database := workspace.database:  # as the team's analyst sees it
        dialect = "DuckDB" if database.is_duckdb else "SQLite"
        data = f"The database is {dialect}. {quote(database.description, 'schema')}"
    fields: Any = {"model": model, "budget": budget}
    single = RecordedModel(role="single agent", **fields)
    system = load_prompt("multi_agent.evaluate", "single_agent").render(data=data)
    try:
        text = run_agent(single, tools, call, task, [], system=system, max_turns=MAX_TURNS)
        text = text or f"{NO_ANSWER} It took too many turns."
    except SeedbedError as error:
        text = f"{NO_ANSWER} {error}"
    return Answer(text=text, confident=not text.startswith((NO_ANSWER, GIVES_UP)))
