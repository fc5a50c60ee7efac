"""The body of `/v1/messages`, translated into an Ask of kind "chat".

What a chat has no words for, thinking among it, is refused by name. Marks for Anthropic's cache are
accepted and have no effect, as the service caches by itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from llm_service.protocol.body import Body, Part, invalid, refuse_unsupported
from llm_service.protocol.chat import ChatRequest

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
# Fields whose values a chat takes, and their names there.
_NAMES = {name: name for name in ("temperature", "top_p", "top_k")}
_NAMES |= {"max_tokens": "max_completion_tokens", "stop_sequences": "stop"}


def _as_blocks(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class Block(Part):
    """A piece of content; which fields it has depends on its type."""

    type: str
    text: str = ""
    source: dict[str, str] = Field(default_factory=dict)  # of an image
    id: str = ""  # of a tool_use, as name and input
    name: str = ""
    input: dict[str, Any] = Field(default_factory=dict)
    tool_use_id: str = ""  # of a tool_result, as content and is_error
    content: Content = Field(default_factory=list)
    is_error: bool = False
    cache_control: Any = None
    citations: None = None


Content = Annotated[list[Block], Field(fail_fast=True), BeforeValidator(_as_blocks)]


class Message(Part):
    role: Literal["user", "assistant"]
    content: Content


class Tool(Part):
    type: Literal["custom"] | None = None  # others are tools that only Anthropic runs
    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(alias="input_schema")
    cache_control: Any = None


class ToolChoice(Part):
    type: Literal["auto", "any", "none", "tool"]
    name: str = ""
    disable_parallel_tool_use: bool = False


class MessagesRequest(Body):
    """Anthropic's Messages API with text, images and tools, for any model."""

    max_tokens: int = Field(ge=1, le=10_000_000)
    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(min_length=1)
    system: Content = Field(default_factory=list)
    stop_sequences: list[Annotated[str, Field(min_length=1)]] = Field([], max_length=4)
    stream: bool | None = None
    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    tools: Annotated[list[Tool], Field(fail_fast=True)] = Field([], max_length=128)
    tool_choice: ToolChoice | None = None
    output_config: dict[Literal["format"], dict[str, Any] | None] = Field(default_factory=dict)
    thinking: dict[str, Any] | None = None
    metadata: dict[Literal["user_id"], str | None] = Field(default_factory=dict)
    cache_control: Any = None

    def check(self) -> None:
        if self.thinking and self.thinking.get("type") != "disabled":
            refuse_unsupported(["thinking"])
        self.user = self.metadata.get("user_id") or self.user
        sent = {name: value for name, value in self._fields.items() if value != []}
        chat = {_NAMES[name]: value for name, value in sent.items() if name in _NAMES}
        chat["messages"] = _messages(self.system, self.messages)
        if form := self.output_config.get("format"):
            schema = {"name": "answer", "strict": True, **form}
            chat["response_format"] = {"type": schema.pop("type", None), "json_schema": schema}
        if self.tools:
            functions = [tool.model_dump(exclude={"type", "cache_control"}) for tool in self.tools]
            chat["tools"] = [{"type": "function", "function": each} for each in functions]
        if choice := self.tool_choice:
            one = {"type": "function", "function": {"name": choice.name}}
            chat["tool_choice"] = _CHOICES.get(choice.type, one)
            if choice.disable_parallel_tool_use:
                chat["parallel_tool_calls"] = False
        self._chat = dict(ChatRequest.model_validate(chat).ask().body)


class CountRequest(MessagesRequest):
    """Anthropic's request for the number of a prompt's tokens."""

    max_tokens: int = 1


def _messages(system: Content, turns: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages of a chat. BadParameter names the block that can't be used."""
    messages: list[dict[str, Any]] = []
    if instructions := _content(system, "system", "text"):
        messages.append({"role": "system", "content": instructions})
    for at, turn in enumerate(turns):
        place, by_model = f"messages.{at}.content", turn.role == "assistant"
        own = "tool_use" if by_model else "tool_result"
        tools = [block for block in turn.content if block.type == own]
        rest = [block for block in turn.content if block.type != own]
        if by_model:
            calls = {"tool_calls": [_call(block) for block in tools]} if tools else {}
            content = _content(rest, place, "text")
            messages.append({"role": "assistant", "content": content, **calls})
        else:
            messages += [_result(block, place) for block in tools]
            if rest:
                messages.append({"role": "user", "content": _content(rest, place, "text", "image")})
    return messages


def _call(block: Block) -> dict[str, Any]:
    function = {"name": block.name, "arguments": json.dumps(block.input)}
    return {"id": block.id, "type": "function", "function": function}


def _result(block: Block, place: str) -> dict[str, Any]:
    content = _content(block.content, f"{place}.content", "text", "image")
    if block.is_error and isinstance(content, str):  # a chat has no field for it
        content = f"Error: {content}"
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": content}


def _content(blocks: Content, place: str, *types: str) -> str | list[dict[str, Any]]:
    """Parts in chat's form; parts that are all text become one text."""
    refuse_unsupported([f"{place} ({b.type[:40]})" for b in blocks if b.type not in types])
    if all(block.type == "text" for block in blocks):
        return "\n".join(block.text for block in blocks)
    return [_part(block, place) for block in blocks]


def _part(block: Block, place: str) -> dict[str, Any]:
    if block.type == "text":
        return {"type": "text", "text": block.text}
    source, url = block.source, block.source.get("url")
    if source.get("data"):
        url = f"data:{source.get('media_type')};base64,{source['data']}"
    if not url:
        raise invalid(f"{place}.source", "url or data is missing")
    return {"type": "image_url", "image_url": {"url": url}}
