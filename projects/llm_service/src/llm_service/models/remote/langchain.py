"""A model of a vendor whose API is not OpenAI's, such as Anthropic's, through LangChain.

LangChain's integrations speak the vendors' protocols, and `seedbed.models.remote` maps options,
schemas and failures. What a vendor cannot do is refused by name. A reply by a schema is passed on
in one piece.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from llm_service.models.entry import ModelEntry
from llm_service.models.remote.upstream import WRONG_KEY_PAUSE, bounded
from llm_service.protocol.body import asked_beyond, refuse_unsupported
from llm_service.request import TOO_LONG, Ask, Delta, Embedded, Event, Finish, Load, Usage
from seedbed.errors import (
    BadInput,
    ContextWindowError,
    DeadlineExceeded,
    ModelAccessError,
    ModelRequestError,
    ReplyRefused,
    SeedbedError,
    Unavailable,
)
from seedbed.models.remote.failures import CUT_OFF, REFUSED, translate
from seedbed.models.remote.protocol import as_json, call_arguments
from seedbed.models.remote.providers import integration
from seedbed.models.weights.catalog import Spec

log = logging.getLogger(__name__)

_OPTIONS = ("temperature", "top_p")  # what all integrations take by the same name
_READ = frozenset(
    (
        *(*_OPTIONS, "messages", "max_tokens", "max_completion_tokens", "stop"),
        *("tools", "tool_choice", "parallel_tool_calls", "response_format"),
        *("user", "metadata", "prompt_cache_key", "safety_identifier"),
    )
)
_REASONS = ("stop_reason", "finish_reason", "stopReason")  # where integrations put it


class LangChainBackend:
    """A model behind a vendor's API; see `Backend`."""

    def __init__(self, name: str, entry: ModelEntry) -> None:
        self.name = name
        self.entry = entry
        self.load = Load()
        self._spec = Spec(entry.backend, entry.model)
        options: dict[str, Any] = {"timeout": entry.timeout}
        if entry.api_key:
            options["api_key"] = entry.api_key
        self._model = integration(self._spec, entry.base_url or None, options)

    async def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Events of the answer; see `Backend`."""
        self.load.running += 1
        try:
            async with aclosing(self._events(ask, {**self.entry.defaults, **ask.body})) as events:
                async for event in events:
                    yield event
        except Exception as error:
            raise self._failure(error) from None
        finally:
            self.load.running -= 1

    async def embed(self, ask: Ask) -> Embedded:  # noqa: ARG002 - there is nothing to read
        raise BadInput(f"{self.name}: embeddings are not supported.", hint="Use another model.")

    async def close(self) -> None:
        """Nothing to close: connections end with the event loop."""

    async def _events(self, ask: Ask, body: Mapping[str, Any]) -> AsyncGenerator[Event, None]:
        from langchain_core.messages import AIMessageChunk
        from langchain_core.messages.ai import UsageMetadata, add_usage

        # 1. Translate the request into LangChain's messages and the vendor's options.
        messages, options = _messages(body), _options(body, self._spec.provider)
        schema = options.get("schema")
        model, arguments = call_arguments(self._model, self._spec, options)
        if body.get("parallel_tool_calls") is False and body.get("tools"):
            choice = arguments.get("tool_choice") or {"type": "auto"}
            arguments["tool_choice"] = {**choice, "disable_parallel_tool_use": True}
        stop = [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop")
        # 2. Pass on what the chunks contain; a reply by a schema is put together first.
        whole, reason = AIMessageChunk(content=""), ""
        counts: UsageMetadata | None = None
        places: dict[Any, int] = {}  # of tool calls, by the vendor's index or id
        chars = deltas = 0
        stream = model._astream(messages, stop, None, **arguments)
        try:
            async for chunk in stream:
                message = chunk.message
                assert isinstance(message, AIMessageChunk)
                metadata = message.response_metadata | (chunk.generation_info or {})
                reason = next((str(metadata[k]) for k in _REASONS if metadata.get(k)), reason)
                counts = add_usage(counts, message.usage_metadata)
                if schema is not None:
                    whole += message
                elif delta := _delta(message, places):
                    chars, deltas = chars + len(str(message.content)), deltas + 1
                    yield delta
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
        # 3. Without a reason the stream was cut off.
        if not reason:
            raise Unavailable(f"{self.name}: the upstream closed the stream before its end.")
        if schema is not None:
            yield Delta(text := str(as_json(whole, schema).text))
            chars = len(text)
        yield Finish(_reason(reason, bool(places)))
        counts = counts or add_usage(None, None)
        cached = (counts.get("input_token_details") or {}).get("cache_read") or 0
        usage = Usage(counts["input_tokens"], counts["output_tokens"], cached)
        yield bounded(self.entry, usage, ask, chars, deltas)

    def _failure(self, error: Exception) -> SeedbedError:
        """Our error: BadInput for what the client can mend, else what another target may mend."""
        if isinstance(error, BadInput | Unavailable):
            return error
        failure = translate(error, self._spec, self._model)
        if isinstance(failure, ContextWindowError):
            failure.details["code"] = TOO_LONG
            return failure
        if isinstance(failure, ModelRequestError | ReplyRefused):
            return BadInput(f"{self.name}: {failure.message}")
        log.warning("%s: %s", self.name, failure)
        late, key = isinstance(failure, DeadlineExceeded), isinstance(failure, ModelAccessError)
        problem = "rejected this service's API key" if key else "is too slow" if late else "failed"
        ours = (DeadlineExceeded if late else Unavailable)(f"{self.name}: the upstream {problem}.")
        ours.retry_after = WRONG_KEY_PAUSE if key else failure.retry_after
        return ours


def _messages(body: Mapping[str, Any]) -> list[Any]:
    """LangChain's messages; those of the system first, as vendors have one place for them."""
    from langchain_core.messages import convert_to_messages

    messages = sorted(body["messages"], key=lambda message: message["role"] != "system")
    parts = [part for m in messages if isinstance(m.get("content"), list) for part in m["content"]]
    types = {part["type"] for part in parts} - {"text", "image_url"}
    refuse_unsupported([f"messages (content of type {kind[:40]})" for kind in sorted(types)])
    try:
        return convert_to_messages(messages)
    except (ValueError, KeyError, TypeError, NotImplementedError):
        # LangChain's errors repeat the messages, which would end up in logs.
        raise BadInput("messages: contains a message that is not understood.") from None


def _options(body: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """The options of `call_arguments`. Raises BadParameter for unsupported fields."""
    unsupported = asked_beyond(body, _READ)
    if body.get("parallel_tool_calls") is False and provider != "anthropic":
        unsupported.append("parallel_tool_calls")
    form = body.get("response_format") or {"type": "text"}
    if form["type"] == "json_object" or (form["type"] == "json_schema" and body.get("tools")):
        unsupported.append("response_format (json_object, or together with tools)")
    refuse_unsupported(unsupported)
    options = {name: body[name] for name in _OPTIONS if name in body}
    if limit := body.get("max_completion_tokens") or body.get("max_tokens"):
        options["max_tokens"] = limit
    if tools := body.get("tools"):
        choice = body.get("tool_choice", "auto")
        if isinstance(choice, Mapping):
            choice = choice["function"]["name"]
        options |= {"tools": tools, "tool_choice": "any" if choice == "required" else choice}
    if form["type"] == "json_schema":
        options["schema"] = form["json_schema"]["schema"]
    return options


def _delta(message: Any, places: dict[Any, int]) -> Delta | None:
    calls = []
    for part in message.tool_call_chunks:
        key = part["id"] if part["index"] is None else part["index"]
        start = {} if key in places else {"id": part["id"], "type": "function"}
        function = {"name": part["name"]} if start else {}
        function["arguments"] = part["args"] or ""
        place = places.setdefault(key, len(places))
        calls.append({"index": place, **start, "function": function})
    text = str(message.text)
    return Delta(text, tool_calls=calls) if text or calls else None


def _reason(reason: str, calls: bool) -> str:
    if reason in CUT_OFF:
        return "length"
    return "content_filter" if reason in REFUSED else "tool_calls" if calls else "stop"
