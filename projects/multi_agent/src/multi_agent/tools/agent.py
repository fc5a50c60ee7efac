"""A model that calls tools until it answers: LangChain's `create_agent` over our tools.

    agent = Agent(model, tools, context.call, system="You …", max_turns=6)
    agent.solve("What is the weather in Bern?")     # "7 °C"
    agent.calls                                     # [Call("weather", {"city": "Bern"}, "7 °C")]

`call` makes a call, within permissions and budget, and records it. A ToolError goes back to the
model; whatever else a call or the model raises ends the loop: NeedsUser, OverBudget, ModelError. To
continue, solve the task again with a model and tools that answer from their record.

Import it where it is used: LangChain's agents take a second to import.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
    hook_config,
)
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool

from multi_agent.tools.toolbox import Tool, ToolError
from seedbed.errors import InvalidReply
from seedbed.models.prompts import quote

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


Check = Callable[[str, list[Call]], str]
"""An answer and the calls before it to what is wrong with the answer; empty if nothing is."""


class Agent:
    """A model with tools, whose results are quoted to it as data.

    The model is told once what `check` finds wrong with its answer.
    """

    def __init__(
        self,
        model: BaseChatModel,
        tools: Sequence[Tool],
        call: Callable[..., Any],
        *,
        system: str,
        max_turns: int,
        check: Check = lambda _answer, _calls: "",
    ) -> None:
        self._max_turns = max_turns
        self._messages: list[BaseMessage] = []
        # Without checkpoints: the record of models and tools also survives a question to the user
        # that is asked outside of this graph.
        self._graph = create_agent(
            model,
            [_langchain_tool(tool, call) for tool in tools],
            system_prompt=system,
            middleware=[
                RepairOnce(check),
                ModelCallLimitMiddleware(run_limit=max_turns),
                # Arguments that are not JSON, or an empty reply.
                ModelRetryMiddleware(
                    max_retries=1, retry_on=(InvalidReply,), on_failure="error", initial_delay=0
                ),
                ToolCalls({tool.name for tool in tools if tool.effects}),
            ],
            checkpointer=False,
        )

    def solve(self, task: str, **config: Any) -> str:
        """The model's answer; empty if it did not answer in `max_turns`."""
        start: Any = {"messages": [HumanMessage(task)]}
        # In a graph with "sync", LangGraph 1.2 would wait for a checkpoint that is never written.
        settings: Any = {**config, "configurable": {"__pregel_durability": "async"}}
        # Streamed, as `calls` are needed after an error, too.
        for state in self._graph.stream(start, settings, stream_mode="values"):
            self._messages = state["messages"]
        turns = sum(isinstance(message, AIMessage) for message in self._messages)
        return self._messages[-1].text.strip() if turns <= self._max_turns else ""

    @property
    def calls(self) -> list[Call]:
        """The calls that were answered so far, in the order of the model's replies."""
        return calls_in(self._messages)


class RepairOnce(AgentMiddleware[Any, Any, Any]):
    """Sends a wrong answer back to the model with its problem, once."""

    def __init__(self, check: Check) -> None:
        super().__init__()
        self._check = check

    @hook_config(can_jump_to=["model"])
    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:  # noqa: ARG002
        """Continue with the model if its answer has a problem."""
        messages = state["messages"]
        repaired = sum(isinstance(message, HumanMessage) for message in messages) > 1
        if messages[-1].tool_calls or repaired:
            return None
        problem = self._check(messages[-1].text.strip(), calls_in(messages))
        return {"messages": [HumanMessage(problem)], "jump_to": "model"} if problem else None


class ToolCalls(AgentMiddleware[Any, Any, Any]):
    """Makes the calls of one reply side by side, those with effects one after another.

    If one of these needs the user, those after it are not made before. A ToolError goes to the
    model, which may repair its call.
    """

    def __init__(self, effects: set[str]) -> None:
        super().__init__()
        self._effects = effects
        self._ends: dict[tuple[int, str], Future[None]] = {}

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Make a call after those with effects before it in the same reply."""
        messages, call = request.state["messages"], request.tool_call
        ids = [c["id"] for c in messages[-1].tool_calls if c["name"] in self._effects]
        if call["id"] not in ids:
            return self._result(call, request, handler)
        *before, end = [
            self._ends.setdefault((len(messages), id), Future())
            for id in ids[: ids.index(call["id"]) + 1]
        ]
        for earlier in before:
            earlier.result()
        try:
            result = self._result(call, request, handler)
        except BaseException as error:
            end.set_exception(error)
            raise
        end.set_result(None)
        return result

    def _result(self, call: Any, request: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(request)
        except ToolError as error:
            data = quote(f"error: {error}"[:MAX_RESULT], f"result of {call['name']}")
            return ToolMessage(data, tool_call_id=call["id"], artifact=str(error), status="error")


def calls_in(messages: Sequence[BaseMessage]) -> list[Call]:
    """The calls of a conversation that were answered."""
    calls: list[Call] = []
    requests: dict[str | None, Any] = {}
    for message in messages:
        if isinstance(message, AIMessage):
            requests = {call["id"]: call for call in message.tool_calls}
        elif isinstance(message, ToolMessage) and (call := requests.get(message.tool_call_id)):
            failed = message.status == "error"
            output = str(message.artifact if message.artifact is not None else message.text)
            calls.append(Call(call["name"], call["args"], output, failed))
    return calls


def _langchain_tool(tool: Tool, call: Callable[..., Any]) -> StructuredTool:
    """The tool as LangChain has it; its artifact is the whole result, as text."""

    def function(**arguments: Any) -> tuple[str, str]:
        result = call(tool.name, **arguments)
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        return quote(text[:MAX_RESULT], f"result of {tool.name}"), text

    return StructuredTool(
        name=tool.name,
        description=tool.description,
        args_schema=tool.parameters,
        func=function,
        response_format="content_and_artifact",
    )
