"""A chat model that replies from a script, for tests and demos without weights or a network.

    model = ScriptedChatModel(["Hello.", Busy("full"), {"x": 1}])
    model.invoke("Hi").text       # "Hello."
    model.calls[0].text           # "Hi"

A program loads it by the spec `scripted:FILE`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field, PrivateAttr

from seedbed.errors import ConfigError, SeedbedError
from seedbed.models.base import StreamingChatModel, last_chunk, token_usage
from seedbed.structured import schemas
from seedbed.structured.validator import Schema


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


class ScriptedChatModel(StreamingChatModel):
    """Replies with `replies` in order, one per call; raises ScriptError when none is left.

    A reply is a text, an AIMessage (with `tool_calls`), an exception to raise, other data (returned
    as JSON), or a function that takes the Call and returns one of these. A function instead of the
    list answers every call. Tool calls are checked against the bound tools, JSON against the
    schema.
    """

    replies: list[Any] | Callable[[Call], Any] = Field(default_factory=list)
    model_name: str = "scripted"
    max_tokens: int | None = None
    stop: list[str] | None = None
    _calls: list[Call] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, replies: Any = None, **kwargs: Any) -> None:
        super().__init__(**{"replies": [] if replies is None else replies, **kwargs})

    @classmethod
    def from_file(cls, path: str | Path, **kwargs: Any) -> ScriptedChatModel:
        """Read the replies from a YAML or JSON list, or a `.jsonl` of `testing.vendor.script`.

        An item is a text, `{content, tool_calls: [{name, args}]}` or `{json: …}`. Raises
        ConfigError for a file that is not such a list.
        """
        import yaml

        from seedbed.testing.vendor.script import Script, read_replies

        try:
            if str(path).endswith(".jsonl"):
                take = Script(read_replies(path)).take
                return cls(lambda call: take({"messages": call.text}).text, **kwargs)
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
        # 1. Record the call, and find its reply.
        options = dict(options)
        tools = schemas.tool_functions(options.pop("tools", None) or [])
        call = Call(
            messages=list(messages),
            tools=tools,
            tool_choice=schemas.normalize_tool_choice(options.pop("tool_choice", None), tools),
            schema=options.pop("schema", None),
            stop=stop or self.stop,
            options=options,
        )
        reply = self._next_reply(call)
        if callable(reply):
            reply = reply(call)
        if isinstance(reply, BaseException):
            raise reply
        if not isinstance(reply, AIMessage):
            reply = AIMessage(content=reply if isinstance(reply, str) else json.dumps(reply))
        # 2. Check it.
        try:
            _check_reply(reply, call)
        except SeedbedError as error:
            raise ScriptError(f"In the script: {error}") from None
        # 3. One chunk per word, then one with tool calls, usage and metadata.
        words = [reply.content]
        if isinstance(reply.content, str):
            words = re.findall(r"\s*\S+\s*?(?=\s|$)|\s+", reply.content)
        for word in words:
            yield ChatGenerationChunk(message=AIMessageChunk(content=word, id=reply.id))
        # Words stand in for tokens: usage that tests can predict.
        usage = token_usage(len(call.text.split()), max(1, len(reply.text.split())))
        metadata = {
            "model_name": options.get("model", self.model_name),
            "finish_reason": "tool_calls" if reply.tool_calls else "stop",
        }
        yield last_chunk("", reply.tool_calls, usage, metadata)

    def _next_reply(self, call: Call) -> Any:
        with self._lock:  # two threads must not get the same reply
            self._calls.append(call)
            number = len(self._calls)
        if not isinstance(self.replies, list):
            return self.replies
        if number > len(self.replies):
            raise ScriptError(
                f"The script has {len(self.replies)} replies, and this is call {number}, "
                f"with the last message {call.messages[-1].text[:200]!r}."
            )
        return self.replies[number - 1]


def _file_reply(item: Any, path: str | Path) -> Any:
    if not isinstance(item, dict):
        return str(item)
    if "json" in item:
        return json.dumps(item["json"])
    if not {"content", "tool_calls"} & item.keys():
        raise ConfigError(f"{path}: the reply {item} needs one of: content, tool_calls, json.")
    calls = [
        {"args": {}, "id": f"call_{n}"} | one for n, one in enumerate(item.get("tool_calls", ()), 1)
    ]
    return AIMessage(content=item.get("content", ""), tool_calls=calls)


def _check_reply(message: AIMessage, call: Call) -> None:
    bound = {schemas.tool_name(tool): tool for tool in call.tools}
    called = {tool_call["name"] for tool_call in message.tool_calls}
    for tool_call in message.tool_calls:
        name = tool_call["name"]
        if name not in bound:
            raise ScriptError(f"The script calls {name!r}. Bound tools: {sorted(bound) or 'none'}.")
        schemas.validate(
            tool_call["args"], schemas.tool_parameters(bound[name]), f"The call of {name!r}"
        )
    allowed = {"auto": True, "none": not called, "any": bool(called)}
    if not allowed.get(call.tool_choice, called == {call.tool_choice}):
        names = f"calls {sorted(called)}" if called else "replies with text"
        raise ScriptError(f"The script {names}, but tool_choice is {call.tool_choice}.")
    if call.schema is not None:
        schemas.parse_reply(message.text, call.schema)
