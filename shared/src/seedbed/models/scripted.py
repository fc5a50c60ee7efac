"""A chat model that replies from a script, for tests and demos without weights or a network.

    model = ScriptedChatModel(["Hello.", Busy("full"), {"x": 1}])
    model.invoke("Hi").text       # "Hello."
    model.calls[0].text           # "Hi"

A program loads it by the spec `scripted:FILE`. It checks replies against tools and schemas, and
leaves assertions about prompts to the tests, which find every call in `model.calls`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field, PrivateAttr

from seedbed import errors
from seedbed.errors import ConfigError
from seedbed.models.base import StreamingChatModel
from seedbed.structured.schemas import (
    Schema,
    normalize_tool_choice,
    parse_reply,
    tool_functions,
    tool_name,
    tool_parameters,
    validate,
)


class ScriptError(AssertionError):
    """The script has no reply left, or its reply does not fit the call's tools or schema."""


@dataclass(frozen=True)
class Call:
    """The arguments of one call of the model, recorded in `ScriptedChatModel.calls`."""

    messages: list[BaseMessage]
    tools: list[Schema] = field(default_factory=list)
    tool_choice: str = "auto"
    schema: Schema | type | None = None
    stop: list[str] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text of all messages, for assertions about the prompt."""
        return "\n".join(message.text for message in self.messages)


Reply = str | AIMessage | Exception | Callable[[Call], Any]


class ScriptedChatModel(StreamingChatModel):
    """Replies with `replies` in order, one per call; raises ScriptError when none is left.

    A reply is a text, an AIMessage (with `tool_calls`), an exception to raise, other data (returned
    as JSON), or a function that takes the Call and returns one of these. A function instead of the
    list answers every call. Tool calls are checked against the bound tools, JSON against the
    schema.

    >>> ScriptedChatModel(lambda call: call.text.upper()).invoke("hello").text
    'HELLO'
    """

    replies: list[Any] | Callable[[Call], Any] = Field(default_factory=list)
    model_name: str = "scripted"
    max_tokens: int | None = None
    stop: list[str] | None = None
    _calls: list[Call] = PrivateAttr(default_factory=list)

    def __init__(self, replies: Any = None, **kwargs: Any) -> None:
        super().__init__(**{"replies": [] if replies is None else replies, **kwargs})

    @classmethod
    def from_file(cls, path: str | Path, **kwargs: Any) -> ScriptedChatModel:
        """Read the replies from a YAML or JSON list.

        An item is a text, `{content, tool_calls: [{name, args}]}`, `{json: …}` or
        `{error: busy, message: …}`. Raises ConfigError for a file that is not such a list.
        """
        import yaml

        try:
            items = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"Cannot read the script {str(path)!r}: {error}.") from None
        if not isinstance(items, list):
            raise ConfigError(f"The script {str(path)!r} must be a list of replies.")
        return cls([_file_reply(item, path) for item in items], **kwargs)

    @property
    def calls(self) -> list[Call]:
        """All calls so far, oldest first."""
        return self._calls

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _schema_option(self, schema: Schema | type) -> Schema | type:
        return schema  # unchanged, so that the validators of a pydantic class run too

    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        yield from _split(self._answer(messages, stop, options))

    def _answer(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> AIMessage:
        options = dict(options)
        tools = tool_functions(options.pop("tools", None) or [])
        call = Call(
            messages=list(messages),
            tools=tools,
            tool_choice=normalize_tool_choice(options.pop("tool_choice", None), tools),
            schema=options.pop("schema", None),
            stop=stop or self.stop,
            options=options,
        )
        self._calls.append(call)
        message = _to_message(self._next_reply(), call)
        _check_reply(message, call)
        # Words stand in for tokens: usage that tests can predict.
        prompt, answer = len(call.text.split()), max(1, len(message.text.split()))
        return AIMessage(
            content=message.content,
            tool_calls=message.tool_calls,
            usage_metadata=UsageMetadata(
                input_tokens=prompt, output_tokens=answer, total_tokens=prompt + answer
            ),
            response_metadata={
                "model_name": options.get("model", self.model_name),
                "finish_reason": "tool_calls" if message.tool_calls else "stop",
            },
        )

    def _next_reply(self) -> Any:
        if not isinstance(self.replies, list):
            return self.replies
        number = len(self._calls)
        if number > len(self.replies):
            last_message = self._calls[-1].messages[-1].text[:200]
            raise ScriptError(
                f"The script has {len(self.replies)} replies, and this is call {number}, "
                f"with the last message {last_message!r}."
            )
        return self.replies[number - 1]


def _file_reply(item: Any, path: str | Path) -> Any:
    if not isinstance(item, dict):
        return str(item)
    if "json" in item:
        return json.dumps(item["json"])
    if "error" in item:
        kinds = {e("").type: e for e in vars(errors).values() if _is_simple_error(e)}
        if item["error"] not in kinds:
            raise ConfigError(
                f"{str(path)!r}: unknown error {item['error']!r}.",
                hint=f"Available: {', '.join(sorted(kinds))}.",
            )
        return kinds[item["error"]](item.get("message", "scripted"))
    if not {"content", "tool_calls"} & item.keys():
        raise ConfigError(
            f"{str(path)!r}: the reply {item} needs one of: content, tool_calls, json, error."
        )
    return _tool_message(item.get("tool_calls", []), item.get("content", ""))


def _is_simple_error(value: Any) -> bool:
    is_error = isinstance(value, type) and issubclass(value, errors.SeedbedError)
    return is_error and value is not errors.MissingExtra


def _tool_message(tool_calls: Sequence[dict[str, Any]], content: str = "") -> AIMessage:
    numbered = [
        {"name": c["name"], "args": c.get("args", {}), "id": c.get("id") or f"call_{n}"}
        for n, c in enumerate(tool_calls, 1)
    ]
    return AIMessage(content=content, tool_calls=numbered)


def _to_message(reply: Any, call: Call) -> AIMessage:
    if callable(reply):
        reply = reply(call)
    if isinstance(reply, BaseException):
        raise reply
    if isinstance(reply, AIMessage):
        return reply
    return AIMessage(content=reply if isinstance(reply, str) else json.dumps(reply))


def _check_reply(message: AIMessage, call: Call) -> None:
    bound = {tool_name(tool): tool for tool in call.tools}
    for tool_call in message.tool_calls:
        name = tool_call["name"]
        if name not in bound:
            raise ScriptError(f"The script calls {name!r}. Bound tools: {sorted(bound) or 'none'}.")
        _check(validate, tool_call["args"], tool_parameters(bound[name]), f"The call of {name!r}")
    called = {tool_call["name"] for tool_call in message.tool_calls}
    if call.tool_choice == "none" and called:
        raise ScriptError(f"The script calls {sorted(called)}, but tool_choice is none.")
    if call.tool_choice == "any" and not called:
        raise ScriptError("The script replies with text, but tool_choice requires a tool call.")
    if call.tool_choice in bound and called != {call.tool_choice}:
        raise ScriptError(f"The script calls {sorted(called)}, not {call.tool_choice!r}.")
    if call.schema is not None:
        _check(parse_reply, message.text, call.schema)


def _check(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a function that validates; its error is reported as one of the script."""
    try:
        function(*arguments)
    except errors.SeedbedError as error:
        raise ScriptError(f"In the script: {error}") from None


def _split(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """One chunk per word, then one with tool calls, usage and metadata."""
    words = [message.content]
    if isinstance(message.content, str):
        words = re.findall(r"\s*\S+\s*?(?=\s|$)|\s+", message.content)
    for word in words:
        yield ChatGenerationChunk(message=AIMessageChunk(content=word, id=message.id))
    last = AIMessageChunk(
        content="",
        tool_call_chunks=[
            tool_call_chunk(name=c["name"], args=json.dumps(c["args"]), id=c["id"], index=n)
            for n, c in enumerate(message.tool_calls)
        ],
        usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
        chunk_position="last",
    )
    yield ChatGenerationChunk(message=last)
