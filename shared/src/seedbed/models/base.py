"""What LangChain expects of a chat model, built on one method that yields the chunks of an answer.

    class Echo(StreamingChatModel):
        def _chunks(self, messages, stop, options):
            yield ChatGenerationChunk(message=AIMessageChunk(messages[-1].text))

`LocalChatModel`, `RemoteChatModel` and `ScriptedChatModel` extend it.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable

from seedbed.structured.schemas import (
    json_schema,
    normalize_tool_choice,
    tool_functions,
    with_parsed_replies,
)
from seedbed.structured.validator import Schema


class StreamingChatModel(BaseChatModel):
    """`invoke`, `stream`, tools and structured output, sync and async, from `_chunks`.

    `options` of `_chunks` are the keyword arguments of the call. Tools arrive in them as `tools`
    and `tool_choice`, the schema of a structured answer as `schema`.
    """

    @abstractmethod
    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        """The chunks of one answer; the last one has usage and `finish_reason`."""

    async def _achunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> AsyncIterator[ChatGenerationChunk]:
        """`_chunks` without blocking the event loop, for models that wait for an answer."""
        for chunk in self._chunks(messages, stop, options):
            yield chunk

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that may call `tools`; the arguments of a call always follow the tool's schema.

        `tool_choice` is "auto", "none", "any" (or "required"), or the name of a tool. Raises
        BadInput for the name of a tool that is not among them.
        """
        functions = tool_functions(tools)
        return self.bind(
            tools=functions, tool_choice=normalize_tool_choice(tool_choice, functions), **kwargs
        )

    def with_structured_output(
        self,
        schema: Schema | type,
        *,
        include_raw: bool = False,
        **kwargs: Any,  # noqa: ARG002 (vendors' `method` and `strict`, which change nothing here)
    ) -> Runnable[LanguageModelInput, Any]:
        """A model whose answers always follow `schema`.

        Returns an instance of a pydantic class, or plain data for a TypedDict or a JSON schema;
        with `include_raw` a dictionary of `raw`, `parsed` and `parsing_error`. The call raises
        BadInput for a schema with a keyword that cannot be guaranteed.
        """
        tracing = {"schema": schema, "kwargs": {"method": "json_schema"}}
        llm = self.bind(schema=self._schema_option(schema), ls_structured_output_format=tracing)
        return with_parsed_replies(llm, schema, include_raw)

    def _schema_option(self, schema: Schema | type) -> Schema | type:
        return json_schema(schema)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._chunks(messages, stop, kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._achunks(messages, stop, kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages, stop, kwargs):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in self._achunks(messages, stop, kwargs):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def token_usage(prompt: int, answer: int) -> UsageMetadata:
    """LangChain's record of the tokens of a prompt and its answer."""
    return UsageMetadata(input_tokens=prompt, output_tokens=answer, total_tokens=prompt + answer)


def last_chunk(
    text: str, calls: Sequence[Any], usage: UsageMetadata | None, metadata: dict[str, Any]
) -> ChatGenerationChunk:
    """The end of an answer: the rest of its text, its tool calls (`name`, `args`, `id`), tokens."""
    chunks = [
        tool_call_chunk(
            name=call["name"],
            args=json.dumps(call["args"], ensure_ascii=False),
            id=call["id"],
            index=n,
        )
        for n, call in enumerate(calls)
    ]
    message = AIMessageChunk(
        content=text,
        tool_call_chunks=chunks,
        usage_metadata=usage,
        response_metadata=metadata,
        chunk_position="last",
    )
    return ChatGenerationChunk(message=message)
