"""A chat model on this machine: LangChain's chat interface on top of an Engine.

    model = load_chat_model("smollm2")
    model.invoke("Say hello.", max_tokens=20)
    model.bind_tools([search]).invoke("Find the invoice of May.")
    model.with_structured_output(Person).invoke("Alice is 30.")

This module turns messages and options into a prompt, a grammar and sampling parameters. Generating
tokens is left to `engine`, grammars to `answer_form`, and collecting the answer to
`answer_in_progress`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field

from seedbed.engine.engine import Sampling
from seedbed.errors import BadInput, ContextWindowError
from seedbed.models.base import StreamingChatModel
from seedbed.models.local.answer_form import (
    AnswerForm,
    ModelHelp,
    answer_form,
    requested_schema,
    requested_tools,
)
from seedbed.models.local.answer_in_progress import AnswerInProgress
from seedbed.models.local.tool_protocol import as_chat
from seedbed.structured.schemas import Schema

DEFAULT_MAX_TOKENS = 512


class LocalChatModel(StreamingChatModel):
    """A chat model that runs in this process; `load_chat_model` creates it.

    Every field except `engine` and `model_name` can also be passed per call. A prompt that does not
    fit the context window raises ContextWindowError. A `seed` reproduces an answer only while the
    engine runs no other request.
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
    parallel_tool_calls: bool = Field(False, description="Allow several tool calls per message.")
    describe_schema: bool = Field(
        True, description="Describe a schema in the prompt; not to a model tuned to follow one."
    )
    help: ModelHelp | None = Field(
        None,
        exclude=True,
        description="What decides on tools, tool results and loops for a model that is too small.",
    )

    @property
    def _llm_type(self) -> str:
        return "seedbed-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model_name", "temperature", "top_p", "top_k", "max_tokens", "stop", "seed")
        return {name: getattr(self, name) for name in names}

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
        stop = stop or self.stop

        # 1. Read which tools may be called, or which schema the answer must follow.
        tools, choice = requested_tools(options)
        schema = requested_schema(options)
        if stop:
            _check_stop(choice, schema)
        # A request for the one tool there is, or for one by name, wants one call.
        parallel = options.get("parallel_tool_calls", self.parallel_tool_calls)
        parallel = parallel and (choice == "auto" or (choice == "any" and len(tools) > 1))

        # 2. For a small model, decide whether a tool must be called, and select the tools.
        if self.help and choice in ("auto", "any"):
            tools = self.help.select_tools(tools, choice, messages)
            choice = "any" if tools else "none"
            stop = None if tools else stop

        # 3. Compile what the answer must look like, and describe it in the system message.
        describe = options.get("describe_schema", self.describe_schema)
        form = answer_form(tools, choice, schema, parallel=parallel, describe_schema=describe)
        if self.help and form.grammar is None and (text_form := self.help.text_form(messages)):
            form = AnswerForm(*text_form, must_complete=False)

        # 4. Render the prompt, which leaves room for the requested tokens or for at least one.
        limit = self._max_tokens(options)
        prompt = self._prompt(messages, form, limit or 1)

        # 5. Without a limit, generate what fits, up to DEFAULT_MAX_TOKENS.
        room = self.engine.context_window - len(prompt)
        limit = limit if limit is not None else max(1, min(DEFAULT_MAX_TOKENS, room))
        return AnswerInProgress(
            engine=self.engine,
            prompt=prompt,
            sampling=self._sampling(limit, stop, options),
            timeout=options.get("timeout", self.timeout),
            form=form,
            help=self.help,
            messages=messages,
            metadata={"model_name": self.model_name},
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

    def _prompt(self, messages: Sequence[BaseMessage], form: AnswerForm, room: int) -> list[int]:
        """The prompt's token ids, which leave `room` tokens for the answer."""
        # Markers such as <|im_start|> in a message would let its author write as another role.
        chat = [
            {**message, "content": self.engine.without_special_tokens(message["content"])}
            for message in as_chat(messages, form.instructions, calls=form.names_tools)
        ]
        if not chat:
            raise BadInput("The list of messages is empty.", hint="Send at least one message.")
        prompt: list[int] = self.engine.encode(self.engine.apply_chat_template(chat))
        if len(prompt) + room > self.engine.context_window:
            raise ContextWindowError(
                f"{len(prompt)} prompt tokens and {room} for the answer exceed the model's context "
                f"window of {self.engine.context_window} tokens.",
                hint="Shorten the prompt.",
            )
        return prompt


def _without_none(options: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (options or {}).items() if value is not None}


def _check_stop(choice: str, schema: Schema | None) -> None:
    """Refuse stop sequences that would cut the JSON of a schema or of a compulsory call."""
    if choice == "auto" or (choice == "none" and schema is None):
        return
    beside = "response_format" if choice == "none" else "tool_choice"
    error = BadInput(
        f"stop: not supported together with {beside}, because it would cut the JSON.",
        hint="Leave out stop.",
    )
    error.details = {"param": "stop", "code": "unsupported_parameter"}
    raise error
