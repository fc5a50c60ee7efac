"""The chat model on this machine: LangChain's whole contract over an Engine.

How tokens are made is the engine's business; what a text must look like, the grammar's.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field

from seedbed.engine.engine import Sampling
from seedbed.errors import BadInput, ContextWindowError
from seedbed.models.answer_in_progress import Turn
from seedbed.models.tool_calls import as_chat, calls_grammar, instructions, related, text_of
from seedbed.structured.constrain import constrain
from seedbed.structured.schemas import (
    Schema,
    json_schema,
    normalize_tool_choice,
    tool_functions,
    with_parsed_replies,
)

DEFAULT_MAX_TOKENS = 512


class LocalChatModel(BaseChatModel):
    """A chat model on this machine, with LangChain's whole contract.

    Every field but `engine` and `model_name` can also be given per call. A prompt that does not
    fit raises ContextWindowError; with `truncation="oldest"` the oldest messages (never the
    system's or the last) are left out instead, and `response_metadata["truncated_messages"]` says
    how many. A `seed` repeats an answer as long as nothing else is answered at the same time.
    """

    engine: Any = Field(exclude=True)
    model_name: str = "local"
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int | None = None
    stop: list[str] | None = None
    seed: int | None = None
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    min_tokens: int = 0
    ignore_eos: bool = False
    logprobs: bool = False
    timeout: float | None = Field(None, description="Seconds for one answer.")
    truncation: Literal["error", "oldest"] = "error"
    tool_decision: Literal["model", "words"] = Field(
        "model", description="Who decides whether to call a tool: `tool_calls.related` for words."
    )
    parallel_tool_calls: bool = Field(False, description="Whether a message may hold several.")

    @property
    def _llm_type(self) -> str:
        return "seedbed-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model_name", "temperature", "top_p", "top_k", "max_tokens", "stop", "seed")
        return {name: getattr(self, name) for name in names}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="seedbed",
            ls_model_name=kwargs.get("model", self.model_name),
            ls_model_type="chat",
            ls_temperature=kwargs.get("temperature", self.temperature),
        )
        if (most := kwargs.get("max_tokens", self.max_tokens)) is not None:
            params["ls_max_tokens"] = most
        if stop or self.stop:
            params["ls_stop"] = stop or self.stop
        return params

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Calls always follow a tool's schema. `tool_choice`: auto, none, any (or required), or
        a tool's name."""
        functions = tool_functions(tools)
        return self.bind(
            tools=functions, tool_choice=normalize_tool_choice(tool_choice, functions), **kwargs
        )

    def with_structured_output(
        self,
        schema: Schema | type,
        *,
        include_raw: bool = False,
        **kwargs: Any,  # noqa: ARG002 (vendors' `method` and `strict`: always both here)
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers follow `schema` always, also when cut off by the token limit. BadInput, when
        called, for a schema that cannot be guaranteed."""
        tracing = {"schema": schema, "kwargs": {"method": "json_schema"}}
        llm = self.bind(schema=json_schema(schema), ls_structured_output_format=tracing)
        return with_parsed_replies(llm, schema, include_raw)

    def get_num_tokens(self, text: str) -> int:
        return int(self.engine.count_tokens(text))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, None, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, None, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        turn = self.turn(messages, stop, kwargs)
        while generation := turn.next_generation():
            for piece in generation:
                if (chunk := turn.push(piece)) is not None:
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
                if turn.broken:
                    break
        yield turn.last_chunk()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = self.turn(messages, stop, kwargs)
        while generation := turn.next_generation():
            async for piece in generation:
                if (chunk := turn.push(piece)) is not None:
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
                if turn.broken:
                    break
        yield turn.last_chunk()

    def turn(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Turn:
        """The answer in the making, for those who drive the engine themselves; `kwargs` are
        fields of this class and OpenAI's parameters."""
        given = {name: value for name, value in kwargs.items() if value is not None}
        tools = tool_functions(given.get("tools", []))
        choice = normalize_tool_choice(given.get("tool_choice"), tools) if tools else "none"
        if choice == "auto" and self.tool_decision == "words":
            tools = related(tools, messages)
            choice = "any" if tools else "none"
        schema = given.get("schema", _response_schema(given.get("response_format")))
        constraint, grammar, extra = None, None, ""
        if choice != "none":
            parallel = given.get("parallel_tool_calls", self.parallel_tool_calls)
            with _blaming("tools"):
                grammar = calls_grammar(tools, choice, parallel=parallel)
            extra = instructions(tools, parallel=parallel)
        elif schema is not None:
            with _blaming("response_format"):
                constraint = constrain(schema)
            grammar = constraint.grammar
            extra = f"Answer with JSON that follows this schema: {json.dumps(schema)}"

        def option(name: str) -> Any:
            return given.get(name, getattr(self, name))

        asked = given.get("max_completion_tokens", option("max_tokens"))
        prompt, dropped = self._prompt(messages, extra, asked or 1, option("truncation"))
        room = self.engine.context_window - len(prompt)
        sampling = Sampling(
            max_new_tokens=asked if asked is not None else max(1, min(DEFAULT_MAX_TOKENS, room)),
            temperature=option("temperature"),
            top_p=option("top_p"),
            top_k=option("top_k"),
            seed=option("seed"),
            stop=tuple(stop or self.stop or ()),
            repetition_penalty=option("repetition_penalty"),
            frequency_penalty=option("frequency_penalty"),
            presence_penalty=option("presence_penalty"),
            min_new_tokens=option("min_tokens"),
            ignore_eos=option("ignore_eos"),
            logprobs=option("logprobs"),
        )
        return Turn(
            engine=self.engine,
            prompt=prompt,
            sampling=sampling,
            deadline=option("timeout"),
            grammar=grammar,
            constraint=constraint,
            tools=tools if choice != "none" else [],
            asked=text_of(messages[-1]) if self.tool_decision == "words" and messages else "",
            about={
                "model_name": self.model_name,
                **({"truncated_messages": dropped} if dropped else {}),
            },
        )

    def _prompt(
        self, messages: Sequence[BaseMessage], extra: str, room: int, truncation: str
    ) -> tuple[list[int], int]:
        """The prompt's tokens, and how many messages were left out to make it fit."""
        chat = [
            {**turn, "content": self.engine.without_special_tokens(turn["content"])}
            for turn in as_chat(messages, extra)
        ]
        if not chat:
            raise BadInput("There is no message to answer.", hint="Send at least one.")
        first = 1 if chat[0]["role"] == "system" else 0
        dropped = 0
        while True:
            prompt: list[int] = self.engine.encode(self.engine.apply_chat_template(chat))
            if len(prompt) + room <= self.engine.context_window:
                return prompt, dropped
            if truncation != "oldest" or len(chat) <= first + 1:
                raise ContextWindowError(
                    f"{len(prompt)} prompt tokens and {room} for the answer exceed the model's "
                    f"{self.engine.context_window}.",
                    hint="Shorten the prompt, or use truncation='oldest'.",
                )
            del chat[first]
            dropped += 1


@contextmanager
def _blaming(param: str) -> Iterator[None]:
    """What is wrong within is wrong with this parameter of the request."""
    try:
        yield
    except BadInput as error:
        error.details = {"param": param, "code": "invalid_value", **error.details}
        raise


def _response_schema(response_format: Any) -> Schema | None:
    """OpenAI's `response_format` as a schema; None for plain text."""
    if response_format is None or response_format == {"type": "text"}:
        return None
    if isinstance(response_format, dict) and response_format.get("type") == "json_object":
        return {"type": "object"}
    try:
        schema: Schema = response_format["json_schema"]["schema"]
    except (TypeError, KeyError):
        raise BadInput(
            f"response_format={response_format!r} is not understood.",
            hint='Use {"type": "json_schema", "json_schema": {"schema": {…}}}.',
        ) from None
    return schema
