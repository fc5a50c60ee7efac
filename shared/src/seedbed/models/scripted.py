"""A chat model that says what a script says. It needs no weights and no network.

Tests inject it; the spec `scripted:FILE` serves it.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field, PrivateAttr

from seedbed import errors
from seedbed.errors import ConfigError
from seedbed.structured.schemas import (
    Schema,
    normalize_tool_choice,
    parse_reply,
    tool_functions,
    tool_name,
    tool_parameters,
    validate,
    with_parsed_replies,
)


class ScriptError(AssertionError):
    """The script ran out or does not fit what was asked: the test is wrong, or the code is."""


@dataclass(frozen=True)
class Call:
    """What the model was asked, once: kept in `ScriptedChatModel.calls`."""

    messages: list[BaseMessage]
    tools: list[Schema] = field(default_factory=list)
    tool_choice: str = "auto"
    schema: Schema | type | None = None
    stop: list[str] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All of the prompt's text, for assertions on it."""
        return "\n".join(message.text for message in self.messages)


Reply = str | AIMessage | Exception | Callable[[Call], Any]


class ScriptedChatModel(BaseChatModel):
    """Answers with `replies`, one a call, in order; raises ScriptError when there is none left.

    A reply is a text, an AIMessage (with `tool_calls`), an exception to raise, other data (its
    JSON), or a function of the Call that returns one of these. A function in place of the list
    answers every call. Tool calls are checked against the bound tools, JSON against the schema.
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
        """A YAML or JSON list of texts and mappings: `{content, tool_calls: [{name, args}]}`,
        `{json: …}` or `{error: busy, message: …}`. ConfigError says what is wrong with it."""
        import yaml

        try:
            items = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"The script {str(path)!r} cannot be read: {error}.") from None
        if not isinstance(items, list):
            raise ConfigError(f"The script {str(path)!r} must be a list of replies.")
        return cls([_file_reply(item, path) for item in items], **kwargs)

    @property
    def calls(self) -> list[Call]:
        """What was asked so far, oldest first."""
        return self._calls

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(
        self,
        stop: list[str] | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> LangSmithParams:
        return LangSmithParams(
            ls_provider="scripted",
            ls_model_name=kwargs.get("model", self.model_name),
            ls_model_type="chat",
        )

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        functions = tool_functions(tools)
        return self.bind(
            tools=functions, tool_choice=normalize_tool_choice(tool_choice, functions), **kwargs
        )

    def with_structured_output(
        self,
        schema: Schema | type,
        *,
        include_raw: bool = False,
        **kwargs: Any,  # noqa: ARG002 (vendors' `method` and `strict`)
    ) -> Runnable[LanguageModelInput, Any]:
        tracing = {"schema": schema, "kwargs": {"method": "json_schema"}}
        llm = self.bind(schema=schema, ls_structured_output_format=tracing)
        return with_parsed_replies(llm, schema, include_raw)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        message = self._answer(messages, stop, kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(self._answer(messages, stop, kwargs)):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, None, **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(self._answer(messages, stop, kwargs)):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _answer(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> AIMessage:
        tools = tool_functions(kwargs.pop("tools", None) or [])
        call = Call(
            messages=list(messages),
            tools=tools,
            tool_choice=normalize_tool_choice(kwargs.pop("tool_choice", None), tools),
            schema=kwargs.pop("schema", None),
            stop=stop or self.stop,
            options=kwargs,
        )
        self._calls.append(call)
        message = _to_message(self._next(), call)
        _check_reply(message, call)
        prompt, answer = len(call.text.split()), max(1, len(message.text.split()))
        return AIMessage(
            content=message.content,
            tool_calls=message.tool_calls,
            usage_metadata=UsageMetadata(
                input_tokens=prompt, output_tokens=answer, total_tokens=prompt + answer
            ),
            response_metadata={
                "model_name": kwargs.get("model", self.model_name),
                "finish_reason": "tool_calls" if message.tool_calls else "stop",
            },
        )

    def _next(self) -> Any:
        if not isinstance(self.replies, list):
            return self.replies
        number = len(self._calls)
        if number > len(self.replies):
            asked = self._calls[-1].messages[-1].text[:200]
            raise ScriptError(
                f"The script has {len(self.replies)} replies and this is call {number}, "
                f"which asks: {asked!r}"
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
            known = ", ".join(sorted(kinds))
            raise ConfigError(f"{str(path)!r}: unknown error {item['error']!r}.", hint=known)
        return kinds[item["error"]](item.get("message", "scripted"))
    if not {"content", "tool_calls"} & item.keys():
        raise ConfigError(f"{str(path)!r}: a reply has content, tool_calls, json or error: {item}.")
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
            raise ScriptError(f"The script calls {name!r}; bound tools: {sorted(bound) or 'none'}.")
        _scripted(
            validate, tool_call["args"], tool_parameters(bound[name]), f"The call of {name!r}"
        )
    called = {tool_call["name"] for tool_call in message.tool_calls}
    if call.tool_choice == "none" and called:
        raise ScriptError(f"The script calls {sorted(called)}, but tool_choice is none.")
    if call.tool_choice == "any" and not called:
        raise ScriptError("The script answers in text, but tool_choice asks for a tool call.")
    if call.tool_choice in bound and called != {call.tool_choice}:
        raise ScriptError(f"The script calls {sorted(called)}, not {call.tool_choice!r}.")
    if call.schema is not None:
        _scripted(parse_reply, message.text, call.schema)


def _scripted(checking: Callable[..., Any], *arguments: Any) -> None:
    try:
        checking(*arguments)
    except errors.SeedbedError as error:
        raise ScriptError(f"In the script: {error}") from None


def _chunks(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """A message word by word, then its tool calls and what only the end knows."""
    for word in re.findall(r"\s*\S+\s*?(?=\s|$)|\s+", message.text):
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
