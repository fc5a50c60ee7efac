"""A chat model behind an API, for every provider: deadline, retries, fallbacks, usage and cost.

    model = load_chat_model("openai:gpt-4o-mini,openai:gpt-4o", timeout=20)
    reply = model.invoke("Name three colours.", max_tokens=100)
    reply.usage_metadata, reply.response_metadata["cost_usd"]

LangChain's integrations speak the providers' protocols. This class adds what each of them does in
its own way or not at all. A failure is one of the errors below `ModelError`; none is silent, and no
reply that was cut off, refused or empty looks like an answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from seedbed.errors import InvalidReply, ModelError, ModelRequestError, ModelTimeout, SeedbedError
from seedbed.models.base import StreamingChatModel, last_chunk, token_usage
from seedbed.models.remote import background
from seedbed.models.remote.failures import check_reply, translate
from seedbed.models.remote.prices import cost
from seedbed.models.remote.protocol import as_json, call_arguments
from seedbed.models.weights.catalog import Spec
from seedbed.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

# Parameters that some models of a vendor refuse. Without one, the call still makes sense.
_OPTIONAL = {
    *("temperature", "top_p", "top_k", "seed", "logprobs", "top_logprobs"),
    *("presence_penalty", "frequency_penalty", "parallel_tool_calls"),
}


@dataclass
class Candidate:
    """A model that can answer a call: its spec, LangChain's integration, and the parameters that
    it has rejected, which are not sent again."""

    spec: Spec
    model: BaseChatModel
    rejected: set[str] = field(default_factory=set)


@dataclass
class _Call:
    """One call: its options, the current candidate, and the usage and cost of all attempts, failed
    ones included. None: unknown."""

    options: dict[str, Any]
    settings: Settings | None
    deadline: float  # of `time.monotonic`
    candidate: Candidate
    usage: UsageMetadata | None = None
    cost_usd: float | None = 0.0
    replies: int = 0

    def arguments(self) -> tuple[BaseChatModel, dict[str, Any]]:
        one = self.candidate
        return call_arguments(one.model, one.spec, self.options, one.rejected)

    def add(self, message: AIMessage) -> None:
        usd = cost(self.candidate.spec, message.usage_metadata, self.settings)
        complete = message.usage_metadata and (self.usage or not self.replies)
        self.usage = add_usage(self.usage, message.usage_metadata) if complete else None
        self.cost_usd = None if None in (usd, self.cost_usd) else (self.cost_usd or 0) + (usd or 0)
        self.replies += 1

    def accounts(self) -> dict[str, Any]:
        return {"spec": str(self.candidate.spec), "cost_usd": self.cost_usd}

    def failed(self, failure: SeedbedError) -> SeedbedError:
        if isinstance(failure, ModelError):
            failure.usage = dict(self.usage or {})  # type: ignore[arg-type]
            failure.cost_usd = self.cost_usd
        return failure


class RemoteChatModel(StreamingChatModel):
    """A chat model behind an API; `load_chat_model` creates it.

    `timeout` and `max_tokens` can also be passed per call: the seconds that a call may take in all,
    with retries and fallbacks, and the tokens of its reply. Each of several candidates gets an
    equal share of the time that is left. Setting the event `cancel` ends streams in progress, which
    then raise `concurrent.futures.CancelledError`. A reply's `response_metadata` has `spec`, the
    model that answered, and `cost_usd`, None if unknown.
    """

    candidates: list[Candidate] = Field(exclude=True)
    settings: Settings | None = Field(None, exclude=True)  # for the prices that they state
    timeout: float = Field(
        60.0, gt=0, description="Maximum seconds for one call, retries included."
    )
    max_tokens: int | None = Field(None, description="Maximum tokens of a reply.")
    attempts: int = Field(4, ge=1, description="Maximum attempts per model and call.")
    first_wait: float = Field(
        0.5, description="Seconds before the second attempt; doubled at each further one."
    )
    cancel: threading.Event | None = Field(None, exclude=True)

    @property
    def model_name(self) -> str:
        """The candidates' specs, separated by commas."""
        return ",".join(str(candidate.spec) for candidate in self.candidates)

    @property
    def _llm_type(self) -> str:
        return "seedbed-remote"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "timeout": self.timeout, "attempts": self.attempts}

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        del run_manager
        return background.run(self._reply(messages, stop, kwargs))

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

    def _begin(self, options: dict[str, Any]) -> _Call:
        deadline = time.monotonic() + float(options.get("timeout") or self.timeout)
        limit = options.get("max_completion_tokens") or options.get("max_tokens") or self.max_tokens
        options = {k: v for k, v in options.items() if k != "max_completion_tokens"}
        return _Call(options | {"max_tokens": limit}, self.settings, deadline, self.candidates[0])

    async def _reply(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> ChatResult:
        call = self._begin(options)

        async def ask() -> AIMessage:
            model, arguments = call.arguments()
            message = _message_of(await model._agenerate(messages, stop, None, **arguments))
            call.add(message)
            check_reply(message, call.candidate.spec)
            return message

        message = await self._try_each(call, ask)
        if (schema := options.get("schema")) is not None:
            message = as_json(message, schema)
        message.usage_metadata = call.usage
        message.response_metadata = message.response_metadata | call.accounts()
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
        call = self._begin(options)

        async def begin() -> tuple[Any, ChatGenerationChunk | None]:
            model, arguments = call.arguments()
            if call.candidate.spec.provider in ("openai", "azure_openai"):
                arguments["stream_usage"] = True
            stream = model._astream(messages, stop, None, **arguments)
            return stream, await anext(stream, None)

        stream, chunk = await self._try_each(call, begin)
        # 3. After it, a failure ends the reply: what was shown cannot be taken back. Usage and
        #    metadata come with the last chunk, once.
        total = AIMessageChunk(content="")
        try:
            async with asyncio.timeout(call.deadline - time.monotonic()):
                while chunk is not None:
                    message = chunk.message
                    assert isinstance(message, AIMessageChunk)
                    metadata = (chunk.generation_info or {}) | message.response_metadata
                    total += message.model_copy(update={"response_metadata": metadata})
                    bare: dict[str, Any] = {
                        "usage_metadata": None,
                        "response_metadata": {},
                        "chunk_position": None,
                    }
                    yield ChatGenerationChunk(message=message.model_copy(update=bare))
                    chunk = await anext(stream, None)
            check_reply(total, call.candidate.spec, streamed=True)
        except Exception as error:
            call.add(total)
            raise call.failed(
                translate(error, call.candidate.spec, call.candidate.model)
            ) from error
        finally:
            await stream.aclose()
        call.add(total)
        yield last_chunk("", (), call.usage, total.response_metadata | call.accounts())

    async def _try_each(self, call: _Call, ask: Callable[[], Awaitable[T]]) -> T:
        """The result of `ask` for the first attempt that succeeds before the deadline."""
        failure: SeedbedError | None = None
        for position, candidate in enumerate(self.candidates):
            if failure is not None:
                log.warning("%s; falling back to %s", failure.message, candidate.spec)
            call.candidate = candidate
            now = time.monotonic()
            until = now + (call.deadline - now) / (len(self.candidates) - position)
            for number in range(self.attempts):
                try:
                    async with asyncio.timeout(until - time.monotonic()):
                        return await ask()
                except Exception as error:
                    failure = translate(error, candidate.spec, candidate.model)
                    failure.__cause__ = None if failure is error else error
                if isinstance(failure, ModelTimeout) and time.monotonic() >= until:
                    break
                wait = self._wait(failure, number, candidate)
                is_last = number + 1 == self.attempts
                if wait is None or is_last or time.monotonic() + wait >= until:
                    break
                log.info("%s Attempt %d in %.1f s.", failure.message, number + 2, wait)
                await asyncio.sleep(wait)
        assert failure is not None
        raise call.failed(failure)

    def _wait(self, failure: SeedbedError, number: int, candidate: Candidate) -> float | None:
        """Seconds until the next attempt; None if there should not be one."""
        parameter = failure.details.get("param", "")
        if isinstance(failure, ModelRequestError) and parameter in _OPTIONAL - candidate.rejected:
            log.warning("%s Trying without %s.", failure.message, parameter)
            candidate.rejected.add(parameter)
            return 0.0
        if not isinstance(failure, ModelError) or not failure.retryable:
            return None
        if isinstance(failure, InvalidReply) and number > 0:  # another reply will hardly be valid
            return None
        wait: float = self.first_wait * 2**number * random.uniform(1.0, 1.25)
        return max(wait, failure.retry_after or 0.0)


def _message_of(result: ChatResult) -> AIMessage:
    """The message of a result, with all metadata in one place; an empty one without choices."""
    output = result.llm_output or {}
    if not result.generations:
        counts = output.get("token_usage") or {}
        usage = token_usage(counts.get("prompt_tokens", 0), counts.get("completion_tokens", 0))
        return AIMessage("", usage_metadata=usage if counts else None)
    generation = result.generations[0]
    message = generation.message
    assert isinstance(message, AIMessage)
    more = output | (generation.generation_info or {})
    message.response_metadata = more | message.response_metadata
    return message
