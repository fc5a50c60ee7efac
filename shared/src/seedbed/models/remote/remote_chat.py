"""A chat model behind an API, for every provider: deadline, retries, fallbacks, usage and cost.

    model = load_chat_model("openai:gpt-4o-mini,openai:gpt-4o", timeout=20)
    reply = model.invoke("Name three colours.")
    reply.usage_metadata, reply.response_metadata["cost_usd"]

LangChain's integrations speak the providers' protocols. This class adds what each of them does in
its own way or not at all. A failure is one of the errors below `ModelError`; none is silent, and no
reply that was cut off, refused or empty looks like an answer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from seedbed.errors import InvalidReply, ModelError, ModelRequestError, ModelTimeout, SeedbedError
from seedbed.models.base import StreamingChatModel
from seedbed.models.remote import background
from seedbed.models.remote.failures import check_reply, translate
from seedbed.models.remote.prices import cost
from seedbed.models.remote.protocol import as_json, options_for
from seedbed.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

_FIRST_WAIT = 0.5  # seconds; doubled at each retry, with up to a quarter more at random
# Parameters that some models of a vendor refuse. Without one, the call still makes sense.
_OPTIONAL = {
    *("temperature", "top_p", "top_k", "seed", "logprobs", "top_logprobs"),
    *("presence_penalty", "frequency_penalty", "parallel_tool_calls"),
}


@dataclass
class Candidate:
    """A model that can answer a call: its spec, and LangChain's integration."""

    spec: str
    model: BaseChatModel


@dataclass
class _Spent:
    """Tokens and USD of all attempts of one call, also of those that came to nothing."""

    settings: Settings | None
    usage: UsageMetadata | None = None
    cost_usd: float | None = 0.0

    def add(self, spec: str, message: AIMessage) -> None:
        usd = cost(spec, message.usage_metadata, self.settings)
        self.usage = add_usage(self.usage, message.usage_metadata)
        self.cost_usd = None if None in (usd, self.cost_usd) else (self.cost_usd or 0) + (usd or 0)


@dataclass
class _Attempt:
    """One attempt of a call: which model, and its options in that model's form."""

    candidate: Candidate
    options: dict[str, Any]
    spent: _Spent
    dropped: set[str] = field(default_factory=set)  # parameters that the model has refused

    @property
    def model_and_options(self) -> tuple[BaseChatModel, dict[str, Any]]:
        """The model and the arguments of the call, without parameters that were refused."""
        model = self.candidate.model
        fields = dict.fromkeys(self.dropped & set(type(model).model_fields))
        options = options_for(model, self.candidate.spec, self.options)
        options = {name: value for name, value in options.items() if name not in self.dropped}
        return (model.model_copy(update=fields) if fields else model), options


class RemoteChatModel(StreamingChatModel):
    """A chat model behind an API; `load_chat_model` creates it.

    `timeout` can also be passed per call: the seconds that a call may take in all, with retries and
    fallbacks. Each of several candidates gets an equal share of what is left. Setting the event
    `cancel` ends calls in progress, which then raise `concurrent.futures.CancelledError`. A reply's
    `response_metadata` has `spec`, the model that answered, and `cost_usd`, None if unknown.
    """

    candidates: list[Candidate] = Field(exclude=True)
    settings: Settings | None = Field(None, exclude=True)  # for the prices that they state
    timeout: float = Field(
        60.0, gt=0, description="Maximum seconds for one call, retries included."
    )
    attempts: int = Field(4, ge=1, description="Maximum attempts per model and call.")
    cancel: threading.Event | None = Field(None, exclude=True)

    @property
    def model_name(self) -> str:
        """The candidates' specs, separated by commas."""
        return ",".join(candidate.spec for candidate in self.candidates)

    @property
    def _llm_type(self) -> str:
        return "seedbed-remote"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "timeout": self.timeout, "attempts": self.attempts}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.candidates[0].model._get_ls_params(stop, **kwargs)

    def get_num_tokens(self, text: str) -> int:
        """An estimate: four characters a token, as in English text. Vendors' own counts differ."""
        return math.ceil(len(text) / 4)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        del run_manager
        return background.run(self._reply(messages, stop, kwargs), self.cancel)

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        del run_manager
        return await background.run_async(self._reply(messages, stop, kwargs))

    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        return background.iterate(self._reply_chunks(messages, stop, options), self.cancel)

    async def _achunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> AsyncIterator[ChatGenerationChunk]:
        stream = background.iterate_async(self._reply_chunks(messages, stop, options))
        try:
            async for chunk in stream:
                yield chunk
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    # ── in the background loop ───────────────────────────────────────────────────────────────

    async def _reply(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> ChatResult:
        async def ask(attempt: _Attempt) -> AIMessage:
            model, arguments = attempt.model_and_options
            result = await model._agenerate(messages, stop, None, **arguments)
            spec = attempt.candidate.spec
            message = _first_message(result)
            attempt.spent.add(spec, message)
            check_reply(message, spec)
            return _finished(message, attempt)

        message = await self._try_each(ask, options, self._deadline(options))
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _reply_chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> AsyncIterator[ChatGenerationChunk]:
        # 1. A structured reply is converted as a whole.
        if options.get("schema") is not None:
            (generation,) = (await self._reply(messages, stop, options)).generations
            fields = generation.message.model_dump(exclude={"type", "tool_calls"})
            whole = AIMessageChunk(**fields, chunk_position="last")
            yield ChatGenerationChunk(message=whole)
            return
        # 2. Until the first chunk, a stream is tried again like any call.
        deadline = self._deadline(options)

        async def begin(attempt: _Attempt) -> tuple[_Attempt, Any, Any]:
            model, arguments = attempt.model_and_options
            if attempt.candidate.spec.startswith("openai:"):
                arguments["stream_usage"] = True
            stream = model._astream(messages, stop, None, **arguments)
            return attempt, stream, await anext(stream, None)

        chunk: ChatGenerationChunk | None
        attempt, stream, chunk = await self._try_each(begin, options, deadline)
        # 3. After it, a failure ends the reply: what was shown cannot be taken back.
        spec, spent = attempt.candidate.spec, attempt.spent
        total = AIMessageChunk(content="")
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                while chunk is not None:
                    total = total + _with_metadata(chunk)
                    yield ChatGenerationChunk(message=_without_metadata(chunk.message))
                    chunk = await anext(stream, None)
            check_reply(total, spec, streamed=True)
        except Exception as error:
            spent.add(spec, total)
            raise _with_usage(translate(error, spec), spent) from error
        finally:
            await stream.aclose()
        # 4. The last chunk has the usage of all attempts.
        spent.add(spec, total)
        end = AIMessageChunk(
            content="",
            usage_metadata=spent.usage,
            response_metadata=total.response_metadata | _accounts(attempt),
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=end)

    async def _try_each(
        self,
        ask: Callable[[_Attempt], Awaitable[T]],
        options: dict[str, Any],
        deadline: float,
    ) -> T:
        """The result of `ask` for the first attempt that succeeds before the deadline."""
        spent = _Spent(self.settings)
        failure: SeedbedError | None = None
        for left, candidate in zip(
            range(len(self.candidates), 0, -1), self.candidates, strict=True
        ):
            if failure is not None:
                log.warning("%s; falling back to %s", failure.message, candidate.spec)
            now = time.monotonic()
            until = now + (deadline - now) / left
            attempt = _Attempt(candidate, options, spent)
            for number in range(self.attempts):
                try:
                    async with asyncio.timeout(until - time.monotonic()):
                        return await ask(attempt)
                except Exception as error:
                    failure = translate(error, candidate.spec)
                    failure.__cause__ = None if failure is error else error
                if isinstance(failure, ModelTimeout) and time.monotonic() >= until:
                    break
                wait = self._wait(failure, number, attempt)
                last = number + 1 == self.attempts
                if wait is None or last or time.monotonic() + wait >= until:
                    break
                log.info("%s Attempt %d in %.1f s.", failure.message, number + 2, wait)
                await asyncio.sleep(wait)
        assert failure is not None
        raise _with_usage(failure, spent)

    def _deadline(self, options: dict[str, Any]) -> float:
        return time.monotonic() + float(options.get("timeout") or self.timeout)

    def _wait(self, failure: SeedbedError, number: int, attempt: _Attempt) -> float | None:
        """Seconds until the next attempt; None if there should not be one."""
        parameter = failure.details.get("param", "")
        if isinstance(failure, ModelRequestError) and parameter in _OPTIONAL - attempt.dropped:
            log.warning("%s Trying without %s.", failure.message, parameter)
            attempt.dropped.add(parameter)
            return 0.0
        if not isinstance(failure, ModelError) or not failure.retryable:
            return None
        if isinstance(failure, InvalidReply) and number > 0:  # it will hardly change
            return None
        wait: float = _FIRST_WAIT * 2**number * random.uniform(1.0, 1.25)
        return max(wait, failure.retry_after or 0.0)


def _first_message(result: ChatResult) -> AIMessage:
    """The message of a result, with all metadata in one place; an empty one without choices."""
    output = result.llm_output or {}
    if not result.generations:
        counts = output.get("token_usage") or {}
        tokens = (counts.get("prompt_tokens", 0), counts.get("completion_tokens", 0))
        usage = UsageMetadata(
            input_tokens=tokens[0], output_tokens=tokens[1], total_tokens=sum(tokens)
        )
        return AIMessage("", usage_metadata=usage if counts else None)
    generation = result.generations[0]
    message = generation.message
    assert isinstance(message, AIMessage)
    more = output | (generation.generation_info or {})
    message.response_metadata = more | message.response_metadata
    return message


def _finished(message: AIMessage, attempt: _Attempt) -> AIMessage:
    """The message of a complete reply, with the accounts of the call."""
    if (schema := attempt.options.get("schema")) is not None:
        message = as_json(message, schema)
    message.usage_metadata = attempt.spent.usage
    message.response_metadata = message.response_metadata | _accounts(attempt)
    return message


def _accounts(attempt: _Attempt) -> dict[str, Any]:
    return {"spec": attempt.candidate.spec, "cost_usd": attempt.spent.cost_usd}


def _with_metadata(chunk: ChatGenerationChunk) -> AIMessageChunk:
    message = chunk.message
    assert isinstance(message, AIMessageChunk)
    metadata = (chunk.generation_info or {}) | message.response_metadata
    return message.model_copy(update={"response_metadata": metadata})


def _without_metadata(message: BaseMessage) -> AIMessageChunk:
    """A chunk for the caller: usage and metadata come with the last one, once."""
    changes: dict[str, Any] = {
        "usage_metadata": None,
        "response_metadata": {},
        "chunk_position": None,
    }
    copy = message.model_copy(update=changes)
    assert isinstance(copy, AIMessageChunk)
    return copy


def _with_usage(failure: SeedbedError, spent: _Spent) -> SeedbedError:
    if isinstance(failure, ModelError):
        failure.usage = dict(spent.usage or {})  # type: ignore[arg-type]
        failure.cost_usd = spent.cost_usd
    return failure
