"""The body of `/v1/messages`, translated into an Ask of kind "chat".

What a chat has no words for, thinking among it, is refused by name. Marks for Anthropic's cache are
accepted and have no effect, as the service caches by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from llm_service.protocol.body import ForChat, Part, Texts, invalid, refuse_unsupported
from llm_service.protocol.chat import check_functions

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class Block(Part):
    """A piece of content; which fields it has depends on its type."""

    type: str
    text: str = ""
    source: dict[str, str] = Field(default_factory=dict)  # of an image
    id: str = ""  # of a tool_use, as name and input
    name: str = ""
    input: dict[str, Any] = Field(default_factory=dict)
    tool_use_id: str = ""  # of a tool_result, as content and is_error
    content: str | Annotated[list[Block], Field(fail_fast=True)] = ""
    is_error: bool = False
    cache_control: Any = None
    citations: None = None


Content = str | Annotated[list[Block], Field(fail_fast=True)]


class Message(Part):
    role: Literal["user", "assistant"]
    content: Content


class Tool(Part):
    type: Literal["custom"] | None = None  # others are tools that only Anthropic runs
    name: str
    description: str = ""
    input_schema: dict[str, Any]
    cache_control: Any = None


class ToolChoice(Part):
    type: Literal["auto", "any", "none", "tool"]
    name: str = ""
    disable_parallel_tool_use: bool = False


class OutputFormat(Part):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Part):
    format: OutputFormat | None = None


class MessagesRequest(ForChat):
    """Anthropic's request."""

    max_tokens: int = Field(ge=1, le=10_000_000)
    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(min_length=1)
    system: Content = ""
    stop_sequences: Texts = Field(default_factory=list, max_length=4)
    stream: bool | None = None
    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    tools: Annotated[list[Tool], Field(fail_fast=True)] = Field([], max_length=128)
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None
    thinking: dict[str, Any] | None = None
    metadata: dict[Literal["user_id"], str | None] = Field(default_factory=dict)
    cache_control: Any = None

    def check(self) -> None:
        if "" in self.stop_sequences:
            raise invalid("stop_sequences", "should be non-empty strings")
        if self.thinking and self.thinking.get("type") != "disabled":
            refuse_unsupported(["thinking"])
        self.user = self.metadata.get("user_id") or self.user
        self._chat = {"messages": _messages(self.system, self.messages)}
        self._chat |= self._sampling() | self._functions()

    def _sampling(self) -> dict[str, Any]:
        names = ("temperature", "top_p", "top_k")
        body = {name: self._fields[name] for name in names if name in self._fields}
        body["max_completion_tokens"] = self.max_tokens
        if self.stop_sequences:
            body["stop"] = self.stop_sequences
        if self.output_config is not None and self.output_config.format is not None:
            schema = {"name": "answer", "schema": self.output_config.format.schema_, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _functions(self) -> dict[str, Any]:
        choice = self.tool_choice or ToolChoice(type="auto")
        names = check_functions(
            [(f"tools.{at}", tool.name, tool.input_schema) for at, tool in enumerate(self.tools)]
        )
        if choice.type == "tool" and choice.name not in names:
            raise invalid("tool_choice.name", f"{choice.name[:60]!r} is not among the tools")
        if choice.type == "any" and not names:
            raise invalid("tool_choice", "'any' needs at least one tool")
        if not self.tools:
            return {}
        one = {"type": "function", "function": {"name": choice.name}}
        body: dict[str, Any] = {
            "tools": [_function(tool) for tool in self.tools],
            "tool_choice": _CHOICES.get(choice.type, one),
        }
        return body | ({"parallel_tool_calls": False} if choice.disable_parallel_tool_use else {})


def _function(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "parameters": tool.input_schema}
    function |= {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": function}


def _messages(system: Content, turns: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages of a chat. BadParameter names the block that can't be used."""
    messages: list[dict[str, Any]] = []
    if system:
        messages.append({"role": "system", "content": _content(system, "system", ("text",))})
    called: set[str] = set()
    for at, turn in enumerate(turns):
        place = f"messages.{at}.content"
        blocks = turn.content
        if isinstance(blocks, str):
            messages.append({"role": turn.role, "content": blocks})
        elif turn.role == "assistant":
            messages.append(_said(blocks, place, called))
        else:
            results = [block for block in blocks if block.type == "tool_result"]
            messages += [_result(block, place, called) for block in results]
            if rest := [block for block in blocks if block.type != "tool_result"]:
                messages.append({"role": "user", "content": _content(rest, place)})
    return messages


def _said(blocks: Sequence[Block], place: str, called: set[str]) -> dict[str, Any]:
    """A message of the assistant, with its calls."""
    texts = [block for block in blocks if block.type != "tool_use"]
    message: dict[str, Any] = {"role": "assistant", "content": _content(texts, place, ("text",))}
    for block in blocks:
        if block.type == "tool_use":
            if not block.id or not block.name:
                raise invalid(place, "a tool_use needs an id and a name")
            called.add(block.id)
            function = {"name": block.name, "arguments": json.dumps(block.input)}
            call = {"id": block.id, "type": "function", "function": function}
            message.setdefault("tool_calls", []).append(call)
    return message


def _result(block: Block, place: str, called: set[str]) -> dict[str, Any]:
    if block.tool_use_id not in called:
        problem = f"{block.tool_use_id[:60]!r} does not match a tool_use of an earlier message"
        raise invalid(f"{place}.tool_use_id", problem)
    content = _content(block.content, f"{place}.content")
    if block.is_error:  # a chat has no field for it
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        content = [{"type": "text", "text": "Error: "}, *parts]
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": content}


def _content(
    content: Content, place: str, types: Sequence[str] = ("text", "image")
) -> str | list[dict[str, Any]]:
    """A text, or parts in chat's form; parts that are all text become one text."""
    if isinstance(content, str):
        return content
    refuse_unsupported([f"{place} ({b.type[:40]})" for b in content if b.type not in types])
    if all(block.type == "text" for block in content):
        return "\n".join(block.text for block in content)
    return [
        {"type": "text", "text": block.text}
        if block.type == "text"
        else {"type": "image_url", "image_url": {"url": _url(block.source, place)}}
        for block in content
    ]


def _url(source: Mapping[str, str], place: str) -> str:
    try:
        if source["type"] == "url":
            return source["url"]
        return f"data:{source['media_type']};base64,{source['data']}"
    except KeyError as error:
        raise invalid(f"{place}.source", f"{error.args[0]} is missing") from None
