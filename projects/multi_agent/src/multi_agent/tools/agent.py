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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
    hook_config,
)
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
from langchain_core.messages import HumanMessage, ToolMessage
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


class Agent(AgentMiddleware[Any, Any, Any]):
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
        super().__init__()
        self.calls: list[Call] = []
        """The calls that were answered so far."""
        self._call, self._check = call, check
        self._problem = ""
        self._end: BaseException | None = None
        # Without checkpoints: the record of models and tools also survives a question to the user
        # that is asked outside of this graph.
        self._graph = create_agent(
            model,
            [self._langchain_tool(tool) for tool in tools],
            system_prompt=system,
            middleware=[
                self,
                ModelCallLimitMiddleware(run_limit=max_turns, exit_behavior="error"),
                # Arguments that are not JSON, or an empty reply.
                ModelRetryMiddleware(
                    max_retries=1, retry_on=(InvalidReply,), on_failure="error", initial_delay=0
                ),
            ],
            checkpointer=False,
        )

    def solve(self, task: str) -> str:
        """The model's answer; empty if it did not answer in `max_turns`."""
        start: Any = {"messages": [HumanMessage(task)]}
        settings: Any = {
            # The calls of one reply are made in their order: the second may need the first.
            "max_concurrency": 1,
            # In a graph with "sync", LangGraph 1.2 would wait for a checkpoint that is not written.
            "configurable": {"__pregel_durability": "async"},
        }
        try:
            return str(self._graph.invoke(start, settings)["messages"][-1].text).strip()
        except ModelCallLimitExceededError:
            return ""

    @hook_config(can_jump_to=["model"])
    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:  # noqa: ARG002
        """Send a wrong answer back to the model with its problem, once."""
        message = state["messages"][-1]
        if message.tool_calls or self._problem:
            return None
        self._problem = self._check(message.text.strip(), self.calls)
        return (
            {"messages": [HumanMessage(self._problem)], "jump_to": "model"}
            if self._problem
            else None
        )

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Make a call, unless one before it in the same reply has ended the loop."""
        if self._end:
            raise self._end
        call = request.tool_call
        try:
            message = handler(request)
        except ToolError as error:
            data = quote(f"error: {error}"[:MAX_RESULT], f"result of {call['name']}")
            message = ToolMessage(
                data, tool_call_id=call["id"], artifact=str(error), status="error"
            )
        except BaseException as error:
            self._end = error
            raise
        output = str(message.text if message.artifact is None else message.artifact)
        self.calls.append(Call(call["name"], call["args"], output, message.status == "error"))
        return message

    def _langchain_tool(self, tool: Tool) -> StructuredTool:
        """The tool as LangChain has it; its artifact is the whole result, as text."""

        def function(**arguments: Any) -> tuple[str, str]:
            result = self._call(tool.name, **arguments)
            text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
            return quote(text[:MAX_RESULT], f"result of {tool.name}"), text

        return StructuredTool(
            name=tool.name,
            description=tool.description,
            args_schema=tool.parameters,
            func=function,
            response_format="content_and_artifact",
        )
