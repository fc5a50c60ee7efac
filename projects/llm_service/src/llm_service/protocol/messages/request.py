"""The body of `/v1/messages`, translated into an Ask of kind "chat".

What a chat has no words for, thinking among it, is refused by name. Marks for Anthropic's cache are
accepted and have no effect, as the service caches by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from llm_service.protocol.body import Body, Part, Texts, invalid, refuse_unsupported
from llm_service.protocol.chat import ChatRequest
from llm_service.request import Kind

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
    content: Content = ""
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


class MessagesRequest(Body):
    """Anthropic's Messages API with text, images and tools, for any model."""

    kind: ClassVar[Kind] = "chat"
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
    output_config: dict[Literal["format"], OutputFormat | None] = Field(default_factory=dict)
    thinking: dict[str, Any] | None = None
    metadata: dict[Literal["user_id"], str | None] = Field(default_factory=dict)
    cache_control: Any = None

    def check(self) -> None:
        if "" in self.stop_sequences:
            raise invalid("stop_sequences", "should be non-empty strings")
        if self.thinking and self.thinking.get("type") != "disabled":
            refuse_unsupported(["thinking"])
        self.user = self.metadata.get("user_id") or self.user
        names = ("temperature", "top_p", "top_k")
        chat = {name: self._fields[name] for name in names if name in self._fields}
        chat |= {"messages": _messages(self.system, self.messages)}
        chat |= {"max_completion_tokens": self.max_tokens}
        if self.stop_sequences:
            chat["stop"] = self.stop_sequences
        if form := self.output_config.get("format"):
            schema = {"name": "answer", "schema": form.schema_, "strict": True}
            chat["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self.tools:
            chat["tools"] = [_function(tool) for tool in self.tools]
        if choice := self.tool_choice:
            one = {"type": "function", "function": {"name": choice.name}}
            chat["tool_choice"] = _CHOICES.get(choice.type, one)
            if choice.disable_parallel_tool_use:
                chat["parallel_tool_calls"] = False
        self._chat = dict(ChatRequest.model_validate(chat).ask().body)


class CountRequest(MessagesRequest):
    """Anthropic's request for the number of a prompt's tokens."""

    max_tokens: int = 1


def _function(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "parameters": tool.input_schema}
    function |= {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": function}


def _messages(system: Content, turns: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages of a chat. BadParameter names the block that can't be used."""
    messages: list[dict[str, Any]] = []
    if system:
        messages.append({"role": "system", "content": _content(system, "system", ("text",))})
    for at, turn in enumerate(turns):
        place = f"messages.{at}.content"
        blocks = turn.content
        if isinstance(blocks, str):
            messages.append({"role": turn.role, "content": blocks})
        elif turn.role == "assistant":
            messages.append(_answer(blocks, place))
        else:
            results = [block for block in blocks if block.type == "tool_result"]
            messages += [_result(block, place) for block in results]
            if rest := [block for block in blocks if block.type != "tool_result"]:
                messages.append({"role": "user", "content": _content(rest, place)})
    return messages


def _answer(blocks: Sequence[Block], place: str) -> dict[str, Any]:
    """A message of the assistant, with its calls."""
    texts = [block for block in blocks if block.type != "tool_use"]
    message: dict[str, Any] = {"role": "assistant", "content": _content(texts, place, ("text",))}
    for block in blocks:
        if block.type == "tool_use":
            function = {"name": block.name, "arguments": json.dumps(block.input)}
            call = {"id": block.id, "type": "function", "function": function}
            message.setdefault("tool_calls", []).append(call)
    return message


def _result(block: Block, place: str) -> dict[str, Any]:
    content = _content(block.content, f"{place}.content")
    if block.is_error and isinstance(content, str):  # a chat has no field for it
        content = f"Error: {content}"
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
