"""A chat model on this machine: LangChain's chat interface on top of an Engine.

    model = load_chat_model("smollm2")
    model.invoke("Say hello.", max_tokens=20)
    model.bind_tools([search]).invoke("Find the invoice of May.")
    model.with_structured_output(Person).invoke("Alice is 30.")

This module turns messages and options into a prompt, a grammar and sampling parameters. Generating
tokens is left to `engine`, grammars to `structured`, and collecting the answer to
`answer_in_progress`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field

from seedbed.engine.engine import Sampling
from seedbed.errors import BadInput, ContextWindowError
from seedbed.models.chat.answer_in_progress import AnswerInProgress
from seedbed.models.chat.tool_protocol import (
    arguments_grammar,
    arguments_instructions,
    as_chat,
    calls_grammar,
    schema_instructions,
    tool_instructions,
)
from seedbed.models.chat_base import StreamingChatModel
from seedbed.models.messages import text_of
from seedbed.models.small_model.json_form import ANY_OBJECT, described_schema
from seedbed.models.small_model.quote_results import latest_results, quote_grammar
from seedbed.models.small_model.tool_words import related_tools, uncalled_tools
from seedbed.structured.constrain import Constraint, constrain
from seedbed.structured.grammar import Grammar
from seedbed.structured.schemas import (
    Schema,
    normalize_tool_choice,
    tool_functions,
    tool_name,
)

DEFAULT_MAX_TOKENS = 512


class LocalChatModel(StreamingChatModel):
    """A chat model that runs in this process; `load_chat_model` creates it.

    Every field except `engine` and `model_name` can also be passed per call. A prompt that does not
    fit the context window raises ContextWindowError; with `truncation="oldest"` the oldest messages
    (never the system message or the last one) are dropped instead, and
    `response_metadata["truncated_messages"]` is their number. A `seed` reproduces an answer only
    while the engine runs no other request.
    """

    engine: Any = Field(exclude=True)
    model_name: str = "local"
    temperature: float = Field(0.0, description="0 always takes the most likely token.")
    top_p: float = Field(1.0, description="Sample from the tokens that make up this probability.")
    top_k: int = Field(0, description="Sample from this many tokens; 0 means all.")
    max_tokens: int | None = Field(
        None, description="Maximum tokens of an answer; None means 512, or fewer if they don't fit."
    )
    stop: list[str] | None = Field(
        None,
        description="Texts that end an answer; not part of it. Refused together with a schema or "
        "a tool that must be called, and not applied to other tool calls.",
    )
    seed: int | None = Field(None, description="Seed for sampling; None means a random one.")
    repetition_penalty: float = Field(1.0, description="Above 1 makes repeated tokens less likely.")
    frequency_penalty: float = Field(0.0, description="Penalty per earlier use of a token.")
    presence_penalty: float = Field(0.0, description="Penalty for any earlier use of a token.")
    min_tokens: int = Field(0, description="Minimum tokens before an answer may end.")
    ignore_eos: bool = Field(False, description="Generate past the model's end-of-text token.")
    logprobs: bool = Field(False, description="Return the log probability of each token.")
    timeout: float | None = Field(None, description="Maximum seconds for one answer.")
    truncation: Literal["error", "oldest"] = Field(
        "error", description="What to do with a prompt that exceeds the context window."
    )
    tool_decision: Literal["model", "words"] = Field(
        "model",
        description='What decides whether to call a tool: the model, or `related_tools` ("words").',
    )
    tool_results: Literal["model", "quote"] = Field(
        "model",
        description="What writes the answer after a tool's result: the model, or `quote_grammar`.",
    )
    json_form: Literal["model", "prompt"] = Field(
        "model",
        description="What decides on the keys of a json_object: the model, or `described_schema`.",
    )
    stop_loops: bool = Field(
        False, description="End a text, without schema or tool call, that repeats itself endlessly."
    )
    parallel_tool_calls: bool = Field(False, description="Allow several tool calls per message.")

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
        if (limit := kwargs.get("max_tokens", self.max_tokens)) is not None:
            params["ls_max_tokens"] = limit
        if stop or self.stop:
            params["ls_stop"] = stop or self.stop
        return params

    def get_num_tokens(self, text: str) -> int:
        """Tokens of a text, without the chat template."""
        return int(self.engine.count_tokens(text))

    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        answer = self.prepare(messages, stop, options)
        while generation := answer.next_generation():
            for piece in generation:
                if (chunk := answer.push(piece)) is not None:
                    yield chunk
                if answer.broken:
                    break
        yield answer.last_chunk()

    async def _achunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> AsyncIterator[ChatGenerationChunk]:
        answer = self.prepare(messages, stop, options)
        while generation := answer.next_generation():
            async for piece in generation:
                if (chunk := answer.push(piece)) is not None:
                    yield chunk
                if answer.broken:
                    break
        yield answer.last_chunk()

    def prepare(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> AnswerInProgress:
        """An answer that is ready to be generated, for callers that drive the engine themselves.

        `options` are fields of this class and parameters of OpenAI's API (`tools`, `tool_choice`,
        `response_format`, `max_completion_tokens`); None means unset. Raises BadInput or
        ContextWindowError before the engine is called.
        """
        options = _without_none(options)

        # 1. Decide which tools may be called; for small models, `related_tools` decides by words.
        tools = tool_functions(options.get("tools", []))
        choice = normalize_tool_choice(options.get("tool_choice"), tools) if tools else "none"
        schema = _response_schema(options.get("response_format"))
        schema = options.get("schema", schema)
        stop = stop or self.stop
        if stop and (choice not in ("auto", "none") or (choice == "none" and schema is not None)):
            raise _stop_refusal("tool_choice" if tools else "response_format")
        # A request for the one tool there is, or for one by name, wants one call.
        parallel = options.get("parallel_tool_calls", self.parallel_tool_calls)
        parallel = parallel and (choice == "auto" or (choice == "any" and len(tools) > 1))
        if choice not in ("none", "auto", "any"):
            tools = [tool for tool in tools if tool_name(tool) == choice]
        elif self.tool_decision == "words":
            tools = self._tools_by_words(tools, choice, messages)
            choice = "any" if tools else "none"
            stop = stop if choice == "none" else None

        # 2. Compile what the answer must look like, and describe it in the system message.
        constraint: Constraint | None = None
        grammar: Grammar | None = None
        instructions = only_tool = ""
        if choice not in ("none", "auto") and len(tools) == 1:
            only_tool = tool_name(tools[0])
            with _naming_parameter("tools"):
                grammar = arguments_grammar(tools[0], parallel=parallel)
            instructions = arguments_instructions(tools[0], parallel=parallel)
        elif choice != "none":
            with _naming_parameter("tools"):
                grammar = calls_grammar(tools, choice, parallel=parallel)
            instructions = tool_instructions(tools, parallel=parallel)
        elif schema is not None:
            constraint, instructions = self._constraint(schema, messages)
            grammar = constraint.grammar
        elif self.tool_results == "quote" and (results := latest_results(messages)):
            grammar = quote_grammar(results, _last_question(messages))
            instructions = "Answer with the result in one sentence."
        is_quote = choice == "none" and schema is None

        # 3. Render the prompt, which leaves room for the requested tokens or for at least one.
        limit = self._max_tokens(options)
        truncation = options.get("truncation", self.truncation)
        as_calls = choice != "none" and not only_tool
        prompt, dropped = self._prompt(messages, instructions, limit or 1, truncation, as_calls)

        # 4. Without a limit, generate what fits, up to DEFAULT_MAX_TOKENS.
        room = self.engine.context_window - len(prompt)
        limit = limit if limit is not None else max(1, min(DEFAULT_MAX_TOKENS, room))
        by_words = self.tool_decision == "words" and messages
        return AnswerInProgress(
            engine=self.engine,
            prompt=prompt,
            sampling=self._sampling(limit, stop, options),
            timeout=options.get("timeout", self.timeout),
            grammar=grammar,
            constraint=constraint,
            tools=tools if choice != "none" else [],
            only_tool=only_tool,
            must_complete=not is_quote,
            stop_loops=self.stop_loops and grammar is None,
            question=text_of(messages[-1]) if by_words else "",
            metadata={
                "model_name": self.model_name,
                **({"truncated_messages": dropped} if dropped else {}),
            },
        )

    def prepare_text(
        self,
        prompt: list[int],
        stop: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> AnswerInProgress:
        """Like `prepare`, but continues token ids, without chat template, tools or schema."""
        options = _without_none(options)
        limit = self._max_tokens(options)
        limit = limit if limit is not None else DEFAULT_MAX_TOKENS
        return AnswerInProgress(
            engine=self.engine,
            prompt=prompt,
            sampling=self._sampling(limit, stop or self.stop, options),
            timeout=options.get("timeout", self.timeout),
            metadata={"model_name": self.model_name},
        )

    def _max_tokens(self, options: Mapping[str, Any]) -> Any:
        limit = options.get("max_tokens", self.max_tokens)
        return options.get("max_completion_tokens", limit)  # OpenAI's newer name wins

    def _sampling(
        self, max_tokens: int, stop: Sequence[str] | None, options: Mapping[str, Any]
    ) -> Sampling:
        same_name = ("temperature", "top_p", "top_k", "seed", "ignore_eos", "logprobs")
        penalties = ("repetition_penalty", "frequency_penalty", "presence_penalty")
        values = {name: options.get(name, getattr(self, name)) for name in same_name + penalties}
        return Sampling(
            max_new_tokens=max_tokens,
            min_new_tokens=options.get("min_tokens", self.min_tokens),
            stop=tuple(stop or ()),
            **values,
        )

    def _tools_by_words(
        self, tools: list[Schema], choice: str, messages: Sequence[BaseMessage]
    ) -> list[Schema]:
        """The tools from which a small model may choose; none where it answers with text."""
        if choice == "none":
            return []
        related = related_tools(tools, messages)
        return related if choice == "auto" else related or uncalled_tools(tools, messages)

    def _constraint(
        self, schema: Schema, messages: Sequence[BaseMessage]
    ) -> tuple[Constraint, str]:
        """The constraint of a structured answer, and the instructions that describe it."""
        if schema is not ANY_OBJECT:
            with _naming_parameter("response_format"):
                return constrain(schema), schema_instructions(schema)
        if self.json_form == "prompt":
            texts = [text_of(m) for m in messages if m.type in ("system", "human")]
            if described := described_schema("\n".join(texts)):
                with suppress(BadInput):  # it was not written for `constrain`
                    return constrain(described), schema_instructions(described)
        # A small model copies {"type": "object"}, so that schema is not shown to any.
        return constrain(ANY_OBJECT), "Answer with a JSON object."

    def _prompt(
        self,
        messages: Sequence[BaseMessage],
        instructions: str,
        room: int,
        truncation: str,
        calls: bool = True,
    ) -> tuple[list[int], int]:
        """The prompt's token ids, and the number of messages dropped to leave `room` tokens."""
        # Markers such as <|im_start|> in a message would let its author write as another role.
        chat = [
            {**message, "content": self.engine.without_special_tokens(message["content"])}
            for message in as_chat(messages, instructions, calls=calls)
        ]
        if not chat:
            raise BadInput("The list of messages is empty.", hint="Send at least one message.")
        first = 1 if chat[0]["role"] == "system" else 0
        dropped = 0
        while True:
            prompt: list[int] = self.engine.encode(self.engine.apply_chat_template(chat))
            if len(prompt) + room <= self.engine.context_window:
                return prompt, dropped
            if truncation != "oldest" or len(chat) <= first + 1:
                raise ContextWindowError(
                    f"{len(prompt)} prompt tokens and {room} for the answer exceed the model's "
                    f"context window of {self.engine.context_window} tokens.",
                    hint="Shorten the prompt, or use truncation='oldest'.",
                )
            del chat[first]
            dropped += 1


def _without_none(options: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (options or {}).items() if value is not None}


def _last_question(messages: Sequence[BaseMessage]) -> str:
    return next((text_of(m) for m in reversed(messages) if m.type == "human"), "")


def _stop_refusal(beside: str) -> BadInput:
    error = BadInput(
        f"stop: not supported together with {beside}, because it would cut the JSON.",
        hint="Leave out stop.",
    )
    error.details = {"param": "stop", "code": "unsupported_parameter"}
    return error


@contextmanager
def _naming_parameter(param: str) -> Iterator[None]:
    """Add the name of the request's parameter to a BadInput, as OpenAI's clients expect it."""
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
        return ANY_OBJECT
    try:
        schema: Schema = response_format["json_schema"]["schema"]
    except (TypeError, KeyError):
        raise BadInput(
            f"Unsupported response_format: {response_format!r}.",
            hint='Use {"type": "json_schema", "json_schema": {"schema": {…}}}.',
        ) from None
    return schema
