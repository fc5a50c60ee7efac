"""Calls tools within permissions, a time limit, an output limit and the budget, and records them.

    box = ToolBox([tool_of(search)], ledger, permissions={}, budget=budget, emit=emit)
    box.call("s1", "search", question="returns")

What a tool returns is data: no text of a document, a page or another server can call a tool,
because only specialists have the toolbox. `seedbed.models.prompts.as_data` marks it for a prompt.
"""

from __future__ import annotations

import contextvars
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from multi_agent.runs.ledger import InDoubt
from seedbed.errors import InvalidReply, SeedbedError
from seedbed.observe.telemetry import span
from seedbed.safety.secrets import reason, redact_secrets
from seedbed.structured.schemas import tool_functions, validate

if TYPE_CHECKING:
    from multi_agent.runs.budget import Budget
    from multi_agent.runs.ledger import Ledger

Permission = Literal["allow", "ask", "deny"]
_SENSITIVE = re.compile(r"(?i)api_?key|token|secret|passw")


class ToolError(SeedbedError):
    """A tool failed, timed out, is denied, or was called with wrong arguments."""


class NeedsUser(Exception):
    """Only the user can decide: a permission, or an effect that may have happened before a crash.

    Pass the answer, one of `options`, to `ToolBox.decide(key, answer)` and call the tool again.
    """

    def __init__(self, key: str, question: str, options: tuple[str, ...]) -> None:
        super().__init__(question)
        self.key, self.question, self.options = key, question, options


@dataclass(frozen=True)
class Tool:
    """A function with its schema, its limits and whether it has side effects."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of the arguments."""
    function: Callable[..., Any]
    effects: bool = False
    """Whether the tool has side effects. A run makes such a call once."""
    timeout: float = 30.0
    """Maximum seconds for a call."""
    max_output: int = 50_000
    """Maximum characters of the result. A longer text is cut, with a note; else it is an error."""


def tool_of(function: Callable[..., Any], **options: Any) -> Tool:
    """A Tool whose schema comes from type hints and docstring; `options` are fields of Tool."""
    schema = tool_functions([function])[0]["function"]
    return Tool(schema["name"], schema["description"], schema["parameters"], function, **options)


class ToolBox:
    """The tools of one run, shared by specialists in parallel threads."""

    def __init__(
        self,
        tools: Iterable[Tool],
        ledger: Ledger,
        permissions: Mapping[str, Permission],
        budget: Budget,
        emit: Callable[..., object],
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self._ledger, self._budget = ledger, budget
        self._permissions, self._emit = permissions, emit
        self.decisions: dict[str, str] = {}
        """What the user has answered, by the key of the question."""

    def call(self, step_id: str, name: str, /, **arguments: Any) -> Any:
        """The result, as JSON data. Raises ToolError, NeedsUser and the budget's OverBudget."""
        # 1. Check name, arguments and permission.
        if (tool := self.tools.get(name)) is None:
            raise ToolError(f"Unknown tool {name!r}.", hint=f"Available: {', '.join(self.tools)}.")
        try:
            validate(arguments, tool.parameters, f"The call of {name}")
        except InvalidReply as error:
            raise ToolError(str(error)) from None
        self._require_permission(tool, arguments)
        # 2. Call it, unless the ledger has its result.
        try:
            return self._call_once(tool, step_id, arguments)
        except InDoubt as error:
            doubt = error
        # 3. A call with effects was interrupted, and nothing shows whether it had them.
        key = f"{doubt.key}@{doubt.started_at}"  # a decision applies to this attempt only
        decision = self.decisions.get(key)
        if decision is None:
            question = f"{name} was interrupted and may have run: {_display(arguments)}. Repeat it?"
            raise NeedsUser(key, question, ("repeat", "skip"))
        if decision.lower() == "repeat":
            return self._call_once(tool, step_id, arguments, retry_of=doubt.started_at)
        note = f"Not repeated by decision of the user: {name}."
        self._ledger.settle(doubt.key, note)
        return note

    def decide(self, key: str, answer: str) -> None:
        """The user's answer to a NeedsUser, before the call is made again."""
        self.decisions[key] = answer.strip()

    def _require_permission(self, tool: Tool, arguments: dict[str, Any]) -> None:
        """Raise ToolError if denied, or NeedsUser for a decision: once per action and run.

        Without an entry, a tool with effects asks, and others are allowed.
        """
        permission = self._permissions.get(tool.name, "ask" if tool.effects else "allow")
        if permission == "ask":
            key = f"permission:{self._ledger.key('', tool.name, arguments)}"
            if key not in self.decisions:
                question = f"Allow {tool.name} with {_display(arguments)}?"
                raise NeedsUser(key, question, ("allow", "deny"))
            permission = "allow" if self.decisions[key].lower() in ("allow", "yes", "y") else "deny"
        if permission == "deny":
            raise ToolError(f"{tool.name} is not permitted.", hint="See AGENTS_PERMISSIONS.")

    def _call_once(
        self, tool: Tool, step_id: str, arguments: dict[str, Any], retry_of: float | None = None
    ) -> Any:
        """The result from the ledger, or of a call with an event before and after it."""
        details = {"tool": tool.name, "arguments": _display(arguments)}
        end: dict[str, Any] = {}  # data of the event, once the tool has been called

        def function() -> Any:
            self._budget.take(tool_calls=1)
            self._emit("tool_started", step_id, **details)
            start = time.monotonic()
            end["tool"] = tool.name
            try:
                with span(f"execute_tool {tool.name}", **{"gen_ai.tool.name": tool.name}):
                    return _json_result(tool, _within_timeout(tool, arguments))
            except Exception as error:
                end["problem"] = text = reason(error)
                if not isinstance(error, SeedbedError):
                    raise ToolError(f"{tool.name} failed: {text}") from error
                failure = ToolError(text)
                failure.status = error.status  # below 500: it refused, and nothing happened
                raise failure from error
            finally:
                end["seconds"] = round(time.monotonic() - start, 3)

        try:
            once: dict[str, Any] = {"repeatable": not tool.effects, "retry_of": retry_of}
            result = self._ledger.once(step_id, tool.name, arguments, function, **once)
        finally:
            if end:  # after the ledger has the outcome, as this may fail too
                self._emit("tool_ended", step_id, **end)
        if tool.effects and not end:
            self._emit("tool_skipped", step_id, **details, reason="It was done before.")
        return result


def _within_timeout(tool: Tool, arguments: dict[str, Any]) -> Any:
    """Run the function in a daemon thread, which is abandoned after the timeout."""
    outcome: Future[Any] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            outcome.set_result(context.run(tool.function, **arguments))
        except Exception as error:
            outcome.set_exception(error)
        except BaseException as error:  # SystemExit: the caller must not wait for nothing
            outcome.set_exception(RuntimeError(repr(error)))

    threading.Thread(target=work, name=f"tool-{tool.name}", daemon=True).start()
    try:
        return outcome.result(tool.timeout)
    except TimeoutError:
        if outcome.done():  # a TimeoutError of the tool itself
            return outcome.result()
        raise ToolError(f"{tool.name} did not respond within {tool.timeout:g} s.") from None


def _json_result(tool: Tool, result: Any) -> Any:
    """The result as JSON data within the output limit."""
    try:
        text = json.dumps(result, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(f"{tool.name} returned no JSON data: {reason(error)}.") from None
    if len(text) <= tool.max_output:
        return json.loads(text)
    note = f"the output has {len(text):,} characters, the limit is {tool.max_output:,}"
    if not isinstance(result, str):  # half a list or object would be another one
        raise ToolError(f"{tool.name}: {note}.")
    return f"{result[: tool.max_output]} … [cut: {note}]"


def _display(arguments: dict[str, Any]) -> str:
    """Arguments for events and questions: short, without secrets."""
    public = {k: "[SECRET]" if _SENSITIVE.search(k) else v for k, v in arguments.items()}
    return redact_secrets(json.dumps(public, ensure_ascii=False, default=str))[:1000]
