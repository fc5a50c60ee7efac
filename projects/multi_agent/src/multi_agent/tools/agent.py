"""A model that calls tools until it answers: LangChain's `create_agent` over our tools.

    calls = []
    run_agent(model, tools, context.call, task, calls, system="You …", max_turns=6)     # "7 °C"
    calls                                           # [Call("weather", {"city": "Bern"}, "7 °C")]

`call` makes a call, within permissions and budget, and records it. A ToolError goes back to the
model; whatever else a call or the model raises ends the loop: NeedsUser, OverBudget, ModelError. To
continue, run it again with a model and tools that answer from their record.

Import it where it is used: LangChain's agents take a second to import.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain.agents.middleware import (
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
    after_model,
    wrap_tool_call,
)
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool

from multi_agent.tools.toolbox import Tool, ToolError
from seedbed.errors import InvalidReply
from seedbed.models.prompts import quote
from seedbed.structured.reply_text import without_thinking

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MAX_RESULT = 8_000
"""Characters of a tool's result that the model sees."""


@dataclass(frozen=True)
class Call:
    """A call that the model made, with the whole output of the tool, or else the error."""

    name: str
    arguments: dict[str, Any]
    output: str
    failed: bool = False


def run_agent(
    model: BaseChatModel,
    tools: Sequence[Tool],
    call: Callable[..., Any],
    task: str,
    calls: list[Call],
    *,
    system: str,
    max_turns: int,
    check: Callable[[str, list[Call]], str] = lambda _answer, _calls: "",
) -> str:
    """Let a model call tools until it answers; the answer is empty after `max_turns`.

    The model is told once what `check` finds wrong with its answer. `calls` is filled on the way.
    """
    ended, problems = list[BaseException](), list[str]()

    @wrap_tool_call
    def call_tool(request: Any, _handler: Any) -> ToolMessage:
        """Make a call, unless one before it in the same reply has ended the loop."""
        if ended:
            raise ended[0]
        name, arguments = request.tool_call["name"], request.tool_call["args"]
        try:
            result = call(name, **arguments)
            text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
            calls.append(Call(name, arguments, text))
        except ToolError as error:
            calls.append(Call(name, arguments, str(error), failed=True))
            text = f"error: {error}"
        except BaseException as error:
            ended.append(error)
            raise
        shown = quote(text[:MAX_RESULT], f"result of {name}")
        return ToolMessage(shown, tool_call_id=request.tool_call["id"])

    @after_model(can_jump_to=["model"])
    def check_answer(state: Any, _runtime: Any) -> dict[str, Any] | None:
        """Send a wrong answer back to the model with its problem, once."""
        message = state["messages"][-1]
        if message.tool_calls or problems:
            return None
        if problem := check(without_thinking(message.text).strip(), calls):
            problems.append(problem)
            return {"messages": [HumanMessage(problem)], "jump_to": "model"}
        return None

    middleware: list[Any] = [
        check_answer,
        call_tool,
        ModelCallLimitMiddleware(run_limit=max_turns, exit_behavior="error"),
        # Arguments that are not JSON, or an empty reply.
        ModelRetryMiddleware(
            max_retries=1, retry_on=(InvalidReply,), on_failure="error", initial_delay=0
        ),
    ]
    graph = create_agent(
        model,
        [
            StructuredTool(
                name=tool.name,
                description=tool.description,
                args_schema=tool.parameters,
                func=tool.function,  # which `call_tool` calls in its place
            )
            for tool in tools
        ],
        system_prompt=system,
        middleware=middleware,
        # Without checkpoints: the record of models and tools also survives a question to the user
        # that is asked outside of this graph.
        checkpointer=False,
    )
    start: Any = {"messages": [HumanMessage(task)]}
    settings: Any = {
        # The calls of one reply are made in their order: the second may need the first.
        "max_concurrency": 1,
        # In a graph with "sync", LangGraph 1.2 would wait for a checkpoint that is not written.
        "configurable": {"__pregel_durability": "async"},
    }
    try:
        text = str(graph.invoke(start, settings)["messages"][-1].text)
        return without_thinking(text).strip()
    except ModelCallLimitExceededError:
        return ""
