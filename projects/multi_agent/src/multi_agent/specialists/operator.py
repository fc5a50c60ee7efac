"""Uses the tools of MCP servers, those of `tools/own.py` and the memory, if it has a model.

What a tool returns is quoted to the model as data. It can lead to another call of these tools, each
within its permission, but not to another step or specialist. What the model makes of it is checked:
an answer needs a call that succeeded, and may have no number that no tool returned.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool

from multi_agent.runs.state import Evidence, Result, Step
from multi_agent.specialists import Context, Workspace
from multi_agent.tools.evidence import foreign_numbers
from multi_agent.tools.toolbox import Tool, ToolError
from seedbed.errors import InvalidReply, ReplyRefused
from seedbed.models.prompts import as_data, load_prompt
from seedbed.structured.reply_text import without_thinking

log = logging.getLogger(__name__)

MAX_TURNS = 6
MAX_TOOLS = 64
"""Tools that the model can choose from. OpenAI accepts 128; each costs tokens."""
MAX_RESULT = 8_000
"""Characters of a tool's result that the model sees."""
MAX_ANSWER, MAX_EVIDENCE = 1_000, 2_000
"""Characters of an answer in the words of the tools, and of a result as evidence."""
NO_ANSWER = "NONE"
"""How a reply begins that gives up; the rest is the reason. Vendors refuse empty replies."""


@dataclass(frozen=True)
class Call:
    """A call that the model made, with the complete output of the tool, or its error."""

    name: str
    arguments: dict[str, Any]
    output: str
    failed: bool = False


class Operator:
    """Calls tools that a model chooses."""

    name = "operator"

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.tools = tools[:MAX_TOOLS]
        self.description = f"Uses these tools: {', '.join(tool.name for tool in self.tools)}."

    def work(self, step: Step, context: Context) -> Result:
        """Let the model call tools until it answers; see `checked_result` for what it may say."""
        if context.model is None:
            return Result(step=step.id, problem="Only a model can choose among these tools.")
        effects = {tool.name for tool in self.tools if tool.effects}
        calls: list[Call] = []
        try:
            answer = run_agent(step.task, self.tools, context, calls)
        except (InvalidReply, ReplyRefused):
            if not any(call.name in effects and not call.failed for call in calls):
                raise
            answer = ""
        return checked_result(step, answer, calls, effects)


def run_agent(task: str, tools: Sequence[Tool], context: Context, calls: list[Call]) -> str:
    """Let the model call tools until it answers; the answer is empty after MAX_TURNS.

    Adds its calls to `calls`. A ToolError goes back to the model, as does, once, what `problem_of`
    finds wrong with its answer; any other error of a call or the model ends the loop: NeedsUser,
    OverBudget, ModelError. To continue, run it again with a model and tools that reply from their
    record.
    """
    # LangChain's agents take a second to import.
    from langchain.agents import create_agent
    from langchain.agents.middleware import (
        ModelCallLimitMiddleware,
        ModelRetryMiddleware,
        after_model,
        wrap_tool_call,
    )
    from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError

    ended, problems = list[BaseException](), list[str]()

    @wrap_tool_call
    def call_tool(request: Any, _handler: Any) -> ToolMessage:
        """Make a call, unless one before it in the same reply has ended the loop."""
        if ended:
            raise ended[0]
        name, arguments = request.tool_call["name"], request.tool_call["args"]
        try:
            result = context.call(name, **arguments)
            text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
            calls.append(Call(name, arguments, text))
        except ToolError as error:
            calls.append(Call(name, arguments, str(error), failed=True))
            text = f"error: {error}"
        except BaseException as error:
            ended.append(error)
            raise
        shown = as_data(text[:MAX_RESULT], f"result of {name}")
        return ToolMessage(shown, tool_call_id=request.tool_call["id"])

    @after_model(can_jump_to=["model"])
    def check_answer(state: Any, _runtime: Any) -> dict[str, Any] | None:
        """Send a wrong answer back to the model with its problem, once."""
        message = state["messages"][-1]
        if message.tool_calls or problems:
            return None
        if problem := problem_of(task, without_thinking(message.text).strip(), calls):
            problems.append(problem)
            return {"messages": [HumanMessage(problem)], "jump_to": "model"}
        return None

    middleware: list[Any] = [
        check_answer,
        call_tool,
        ModelCallLimitMiddleware(run_limit=MAX_TURNS, exit_behavior="error"),
        # Arguments that are not JSON, or an empty reply.
        ModelRetryMiddleware(
            max_retries=1, retry_on=(InvalidReply,), on_failure="error", initial_delay=0
        ),
    ]
    model: Any = context.model
    prompt = load_prompt("multi_agent.specialists", "operate")
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
        system_prompt=prompt.render(context=context.brain.preamble),
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


def problem_of(task: str, answer: str, calls: Sequence[Call]) -> str:
    """What is wrong with an answer, for the model; empty if nothing is.

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
