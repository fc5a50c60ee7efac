"""A chat model on this machine: LangChain's chat interface on top of an Engine.

    model = load_chat_model("smollm2")
    model.invoke("Say hello.", max_tokens=20)
    model.bind_tools([search]).invoke("Find the invoice of May.")
    model.with_structured_output(Person).invoke("Alice is 30.")

Messages and options become a prompt, a grammar (`answer_form`) and sampling parameters.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field

from seedbed.engine.generation import Sampling
from seedbed.errors import BadInput, ContextWindowError, ReplyCutOff
from seedbed.models.base import StreamingChatModel, last_chunk, token_usage
from seedbed.models.local.answer import AnswerState
from seedbed.models.local.answer_form import AnswerForm, answer_form
from seedbed.models.local.chat_messages import as_chat

DEFAULT_MAX_TOKENS = 512
_SAMPLING = (
    *("temperature", "top_p", "top_k", "seed", "ignore_eos", "logprobs"),
    *("repetition_penalty", "frequency_penalty", "presence_penalty"),
)
_PER_CALL = (
    *_SAMPLING,
    *("max_tokens", "min_tokens", "stop", "timeout", "parallel_tool_calls", "describe_schema"),
)


class LocalChatModel(StreamingChatModel):
    """A chat model that runs in this process; `load_chat_model` creates it.

    Every field except `engine`, `model_name` and `help` can also be passed per call. A prompt that
    does not fit the context window raises ContextWindowError; JSON and tool calls that the token
    limit cut off raise ReplyCutOff. A `seed` reproduces an answer only while the engine runs no
    other request.
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
    help: Any = Field(None, exclude=True, description="For a small model: see `SmallModelHelp`.")

    @property
    def _llm_type(self) -> str:
        return "seedbed-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model_name", "temperature", "top_p", "top_k", "max_tokens", "stop", "seed")
        return {name: getattr(self, name) for name in names}

    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        answer = self.prepare(messages, stop, options)
        while generation := answer.next_generation():
            for piece in generation:
                if text := answer.read(piece):
                    yield ChatGenerationChunk(message=AIMessageChunk(content=text))
                if answer.broken:
                    break
        yield self._last_chunk(answer)

    async def _achunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> AsyncIterator[ChatGenerationChunk]:
        answer = self.prepare(messages, stop, options)
        while generation := answer.next_generation():
            async for piece in generation:
                if text := answer.read(piece):
                    yield ChatGenerationChunk(message=AIMessageChunk(content=text))
                if answer.broken:
                    break
        yield self._last_chunk(answer)

    def prepare(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> AnswerState:
        """An answer that is ready to be generated, for callers that drive the engine themselves.

        `options` are fields of this class and parameters of OpenAI's API (`tools`, `tool_choice`,
        `response_format`, `max_completion_tokens`); None means unset. Raises BadInput or
        ContextWindowError before the engine is called.
        """
        # 1. Read the options, and compile what the answer must look like.
        values = self._read_options(stop, options)
        form = answer_form(values, messages, self.help)
        # 2. Render the prompt, which leaves room for the requested tokens or for at least one.
        prompt = self._prompt(messages, form, values["max_tokens"] or 1)
        # 3. Without a limit, generate what fits, up to DEFAULT_MAX_TOKENS.
        if values["max_tokens"] is None:
            room = self.engine.context_window - len(prompt)
            values["max_tokens"] = max(1, min(DEFAULT_MAX_TOKENS, room))
        # 4. Stop sequences end texts only.
        if self.help and form.tools:
            values["stop"] = None
        sampling = Sampling(
            max_new_tokens=values["max_tokens"],
            min_new_tokens=values["min_tokens"],
            stop=tuple(values["stop"] or ()),
            **{name: values[name] for name in _SAMPLING},
        )
        return AnswerState(self.engine, prompt, sampling, values["timeout"], form, self.help)

    def _read_options(
        self, stop: Sequence[str] | None, options: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in _PER_CALL}
        values |= {name: value for name, value in (options or {}).items() if value is not None}
        # OpenAI's newer name wins.
        values["max_tokens"] = values.pop("max_completion_tokens", values["max_tokens"])
        values["stop"] = stop or values["stop"]
        return values

    def _prompt(self, messages: Sequence[BaseMessage], form: AnswerForm, room: int) -> list[int]:
        """The prompt's token ids, which leave `room` tokens for the answer."""
        shows_calls = bool(form.tools) and not form.only_tool
        # Markers such as <|im_start|> in a message would let its author write as another role.
        chat = [
            {**message, "content": self.engine.without_special_tokens(message["content"])}
            for message in as_chat(messages, form.instructions, calls=shows_calls)
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

    def _last_chunk(self, answer: AnswerState) -> ChatGenerationChunk:
        """The rest of an answer, its tool calls, usage and metadata. Raises ReplyCutOff."""
        ending = answer.end()
        usage = token_usage(len(answer.prompt), len(answer.tokens))
        if ending.cut_off:
            error = ReplyCutOff(
                f"{self.model_name} reached the token limit before its reply was complete.",
                hint="Raise max_tokens, or ask for less.",
            )
            error.partial, error.usage = answer.written, dict(usage)  # type: ignore[arg-type]
            raise error
        metadata = {"model_name": self.model_name, "finish_reason": ending.reason}
        return last_chunk(ending.text, ending.calls, usage, metadata | _measurements(answer))


def _measurements(answer: AnswerState) -> dict[str, Any]:
    measurements: dict[str, Any] = {}
    if answer.generation and (completion := answer.generation.completion):
        measurements["time_to_first_token"] = completion.time_to_first_token
    if answer.sampling.logprobs:
        measurements["logprobs"] = {
            "content": [
                {"token": answer.engine.decode([token]), "logprob": logprob}
                for token, logprob in zip(answer.tokens, answer.logprobs, strict=True)
            ]
        }
    return measurements
