"""The body of `/v1/chat/completions`: OpenAI's fields, vLLM's beside them, checked and named.

What a model makes of them is not known here; `unsupported` lists what a local one can't do.
The answer is rendered by `chat_answer`, whose `collect` and `stream` are also found here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from llm_service.protocol.body import (
    SAMPLING,
    Part,
    Sampled,
    asked_beyond,
    call_arguments,
    invalid,
)
from llm_service.protocol.chat_answer import collect, stream
from llm_service.request import Kind

__all__ = ["ChatRequest", "collect", "stream", "unsupported"]

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LOCAL = SAMPLING | {
    *("messages", "max_completion_tokens", "response_format", "tools", "tool_choice"),
    *("parallel_tool_calls", "prompt_cache_key", "safety_identifier"),
}


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
    """OpenAI's request. A field that the model asked can't do is refused by name, never ignored."""

    kind: ClassVar[Kind] = "chat"
    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1, le=10_000_000)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = Field(None, max_length=128)
    tool_choice: Literal["auto", "none", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    # Known, but no local model does them.
    audio: Any = None
    function_call: Any = None
    functions: Any = None
    modalities: Any = None
    moderation: Any = None
    prediction: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    reasoning_effort: Any = None
    service_tier: Any = None
    store: bool | None = None
    verbosity: Any = None
    web_search_options: Any = None
    # vLLM's, for upstreams.
    echo: Any = None
    add_generation_prompt: Any = None
    continue_final_message: Any = None
    chat_template: Any = None
    chat_template_kwargs: Any = None
    documents: Any = None
    mm_processor_kwargs: Any = None

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
            del self._given["tools"]
        self._given["messages"] = [_plain(message) for message in self._given["messages"]]


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as every backend knows it: without what only answers have, developer as system."""
    kept = {
        name: value
        for name, value in message.items()
        if name == "content" or (value is not None and name not in ("annotations", "parsed"))
    }
    if kept["role"] == "developer":
        kept["role"] = "system"
    if kept["role"] == "assistant":
        kept.setdefault("content", None)
    if kept.get("tool_calls"):
        kept["tool_calls"] = [_with_arguments(call) for call in kept["tool_calls"]]
    return kept


def _with_arguments(call: Mapping[str, Any]) -> Mapping[str, Any]:
    function = call.get("function")
    if not function:
        return call
    arguments = call_arguments(function["arguments"], "arguments")
    return {**call, "function": {**function, "arguments": arguments}}


def _check_messages(messages: Sequence[Message]) -> None:
    called: set[str] = set()
    for at, message in enumerate(messages):
        place = f"messages.{at}"
        if isinstance(message.content, list):
            for n, part in enumerate(message.content):
                if part.type == "text" and part.text is None:
                    raise invalid(f"{place}.content.{n}.text", "is missing")
        said = message.tool_calls or message.refusal or message.audio or message.function_call
        if message.content is None and not (message.role == "assistant" and said):
            raise invalid(f"{place}.content", "is missing")
        if message.tool_calls:
            if message.role != "assistant":
                raise invalid(f"{place}.tool_calls", "is only allowed in assistant messages")
            called |= {call.id for call in _calls(message.tool_calls, place)}
        if message.role == "tool":
            if message.tool_call_id is None:
                raise invalid(f"{place}.tool_call_id", "is missing")
            if message.tool_call_id not in called:
                known = (
                    f"{message.tool_call_id[:60]!r} does not match a tool call of an "
                    "earlier message"
                )
                raise invalid(f"{place}.tool_call_id", known)


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
        asked = (choice.function or {}).get("name")
        if asked not in list(names):  # it may be anything, also what can't be in a set
            raise invalid(
                "tool_choice.function.name", f"{str(asked)[:60]!r} is not among the tools"
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


def unsupported(body: Mapping[str, Any], kind: Kind = "chat") -> list[str]:
    """The fields of an Ask's `body` that no local model can do, by name; of every kind."""
    if kind == "text":
        from llm_service.protocol.completions import unsupported as of_text

        return of_text(body)
    if kind == "embedding":
        from llm_service.protocol.embeddings import unsupported as of_embedding

        return of_embedding(body)
    found = asked_beyond(body, _LOCAL)
    for at, message in enumerate(body.get("messages", ())):
        if message["role"] == "function":
            found.append(f"messages.{at}.role")
        found += [
            f"messages.{at}.{name}" for name in ("audio", "function_call") if message.get(name)
        ]
        content = message.get("content")
        if isinstance(content, list):
            parts = enumerate(content)
            found += [
                f"messages.{at}.content.{n}.type ({p['type'][:40]})"
                for n, p in parts
                if p["type"] != "text"
            ]
        for n, call in enumerate(message.get("tool_calls") or ()):
            if call.get("type", "function") != "function":
                found.append(f"messages.{at}.tool_calls.{n}.type")
    tools = enumerate(body.get("tools", ()))
    found += [
        f"tools.{at}.type ({tool['type'][:40]})" for at, tool in tools if tool["type"] != "function"
    ]
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice["type"] != "function":
        found.append("tool_choice.type")
    return found
