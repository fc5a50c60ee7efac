"""The body of `/v1/chat/completions`: OpenAI's fields, vLLM's beside them, checked and named.

What a local model supports of them is in `models.local.unsupported`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from llm_service.protocol.body import NEUTRAL, Part, Sampled, call_arguments, invalid

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class ContentPart(Part):
    """`{"type": "text", "text": …}`; other types are an upstream's business."""

    model_config = ConfigDict(extra="allow", strict=True)
    type: str
    text: str | None = None


class CalledFunction(Part):
    name: str
    arguments: str


class ToolCall(Part):
    model_config = ConfigDict(extra="allow", strict=True)
    id: str = Field(min_length=1)
    type: str = "function"
    function: CalledFunction | None = None


class Message(Part):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[ContentPart], Field(fail_fast=True)] | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True)] | None = None
    tool_call_id: str | None = None
    # What clients send back of an earlier answer, and what upstreams know.
    refusal: Any = None
    annotations: Any = None
    audio: Any = None
    function_call: Any = None
    parsed: Any = None
    reasoning: Any = None
    reasoning_content: Any = None
    cache_control: Any = None


class Function(Part):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Part):
    model_config = ConfigDict(extra="allow", strict=True)
    type: str
    function: Function | None = None


class JsonSchema(Part):
    name: str = Field("answer", pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Part):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ToolChoice(Part):
    model_config = ConfigDict(extra="allow", strict=True)
    type: str
    function: dict[str, Any] | None = None


class ChatRequest(Sampled):
    """Answer a conversation, complete or, with `stream`, as server-sent events.

    A field that the model asked can't do is refused by name, never ignored.
    """

    passed_on: ClassVar[frozenset[str]] = frozenset(NEUTRAL)
    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=10_000_000)
    n: int | None = Field(None, ge=1, le=16)
    logprobs: bool | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = Field(None, max_length=128)
    tool_choice: Literal["auto", "none", "required"] | ToolChoice | None = None
    store: bool | None = None

    @property
    def most_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def check(self) -> None:
        super().check()
        if None is not self.max_tokens != self.most_tokens:
            raise invalid(
                "max_tokens", "differs from max_completion_tokens", "Set only one of them."
            )
        if self.top_logprobs and not self.logprobs:
            raise invalid("top_logprobs", "requires logprobs=true")
        form = self.response_format
        if form is not None and form.type == "json_schema" and form.json_schema is None:
            raise invalid("response_format.json_schema", "is missing")
        _check_messages(self.messages)
        _check_tools(self.tools or [], self.tool_choice)
        if self.tools == []:  # what it means, but upstreams refuse it
            del self._fields["tools"]
        self._fields["messages"] = [_plain(message) for message in self._fields["messages"]]


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message for any backend: without fields that only answers have, and developer as system."""
    fields = {
        name: value
        for name, value in message.items()
        if name == "content" or (value is not None and name not in ("annotations", "parsed"))
    }
    if fields["role"] == "developer":
        fields["role"] = "system"
    if fields["role"] == "assistant":
        fields.setdefault("content", None)
    if fields.get("tool_calls"):
        fields["tool_calls"] = [_with_arguments(call) for call in fields["tool_calls"]]
    return fields


def _with_arguments(call: Mapping[str, Any]) -> Mapping[str, Any]:
    function = call.get("function")
    if not function:
        return call
    arguments = call_arguments(function["arguments"], "arguments")
    return {**call, "function": {**function, "arguments": arguments}}


def _check_messages(messages: Sequence[Message]) -> None:
    call_ids: set[str] = set()
    for at, message in enumerate(messages):
        place = f"messages.{at}"
        if isinstance(message.content, list):
            for n, part in enumerate(message.content):
                if part.type == "text" and part.text is None:
                    raise invalid(f"{place}.content.{n}.text", "is missing")
        has_more = message.tool_calls or message.refusal or message.audio or message.function_call
        if message.content is None and not (message.role == "assistant" and has_more):
            raise invalid(f"{place}.content", "is missing")
        if message.tool_calls:
            if message.role != "assistant":
                raise invalid(f"{place}.tool_calls", "is only allowed in assistant messages")
            call_ids |= {call.id for call in _calls(message.tool_calls, place)}
        if message.role == "tool":
            if message.tool_call_id is None:
                raise invalid(f"{place}.tool_call_id", "is missing")
            if message.tool_call_id not in call_ids:
                problem = (
                    f"{message.tool_call_id[:60]!r} does not match a tool call of an "
                    "earlier message"
                )
                raise invalid(f"{place}.tool_call_id", problem)


def _calls(calls: Sequence[ToolCall], place: str) -> Iterator[ToolCall]:
    for n, call in enumerate(calls):
        if call.type == "function" and call.function is None:
            raise invalid(f"{place}.tool_calls.{n}.function", "is missing")
        if call.function is not None:
            call_arguments(call.function.arguments, f"{place}.tool_calls.{n}.function.arguments")
        yield call


def _check_tools(tools: Sequence[Tool], choice: str | ToolChoice | None) -> None:
    functions = []
    for at, tool in enumerate(tools):
        if tool.type != "function":
            continue
        if tool.function is None:
            raise invalid(f"tools.{at}.function", "is missing")
        functions.append((f"tools.{at}.function", tool.function.name, tool.function.parameters))
    names = check_functions(functions)
    if choice == "required" and not tools:
        raise invalid("tool_choice", "'required' needs at least one tool")
    if isinstance(choice, ToolChoice) and choice.type == "function":
        function_name = (choice.function or {}).get("name")
        if function_name not in list(names):  # it may be anything, also what can't be in a set
            raise invalid(
                "tool_choice.function.name", f"{str(function_name)[:60]!r} is not among the tools"
            )


def check_functions(functions: Sequence[tuple[str, str, dict[str, Any] | None]]) -> set[str]:
    """The names, from (place in the body, name, schema of the parameters)."""
    names: set[str] = set()
    for place, name, parameters in functions:
        if not NAME.fullmatch(name):
            raise invalid(
                f"{place}.name", "should be 1 to 64 characters out of a-z, A-Z, 0-9, _ and -"
            )
        if name in names:
            raise invalid(f"{place}.name", f"{name!r} is used twice")
        names.add(name)
        if (parameters or {}).get("type", "object") != "object":
            raise invalid(f"{place}.parameters.type", 'should be "object"')
    return names
