"""OpenTelemetry spans and Prometheus counters of what a process does.

It knows no model and no server: those call it; where spans and logs go is `startup`. Attributes
follow the GenAI semantic conventions (`gen_ai.*`):
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks.base import BaseCallbackHandler

from seedbed.errors import SeedbedError
from seedbed.observe.startup import request_id as request_id
from seedbed.observe.startup import setup_logging as setup_logging
from seedbed.observe.startup import setup_tracing as setup_tracing
from seedbed.observe.startup import silence_dependencies as silence_dependencies
from seedbed.observe.startup import start as start

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import LLMResult
    from opentelemetry.trace import Span
    from prometheus_client import Counter, Histogram

_log = logging.getLogger("seedbed.model")
_PROVIDERS = {"google_genai": "gcp.gemini", "google_vertexai": "gcp.vertex_ai"} | {
    "mistralai": "mistral_ai",
    "bedrock": "aws.bedrock",
    "azure_openai": "azure.ai.openai",
    "xai": "x_ai",
}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


def _start_span(name: str, attributes: dict[str, Any]) -> Span:
    from opentelemetry import trace

    kept = {key: value for key, value in attributes.items() if value is not None}
    return trace.get_tracer("seedbed").start_span(name, attributes=kept)


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[Span]:
    """A span around a block; an exception marks it failed. Attributes that are None are left out.

    Dotted names go in as `**{"gen_ai.operation.name": "retrieval"}`.
    """
    from opentelemetry import trace

    current = _start_span(name, attributes)
    try:
        with trace.use_span(current, record_exception=False, set_status_on_exception=False):
            yield current
    except BaseException as error:
        _mark_failed(current, error)
        raise
    finally:
        current.end()


@contextmanager
def retrieval(collection: str, **attributes: Any) -> Iterator[Span]:
    """The span of one search; `collection` is the data source it reads."""
    named = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": collection}
    with span(f"retrieval {collection}", **named, **attributes) as current:
        yield current


@contextmanager
def tool_call(name: str, **attributes: Any) -> Iterator[Span]:
    """The span of one tool that a model or a client called."""
    named = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    with span(f"execute_tool {name}", **named, **attributes) as current:
        yield current


def error_kind(error: BaseException) -> str:
    """A short name from a bounded set, fit for a metric's label and for `error.type`."""
    if isinstance(error, SeedbedError):
        return error.type
    if type(error).__name__ in ("CancelledError", "GeneratorExit", "KeyboardInterrupt"):
        return "cancelled"
    return type(error).__name__


def _mark_failed(current: Span, error: BaseException) -> None:
    from opentelemetry.trace import Status, StatusCode

    kind = error_kind(error)
    current.set_attribute("error.type", kind)
    if kind != "cancelled":
        current.set_status(Status(StatusCode.ERROR, kind))


@dataclass(frozen=True)
class Metrics:
    """Counters of model calls; labels are the model spec and the operation (`chat` …)."""

    requests: Counter
    errors: Counter
    seconds: Histogram
    first_token: Histogram
    tokens: Counter
    cost: Counter


@cache
def metrics() -> Metrics:
    """The process's model metrics, registered with Prometheus on the first use."""
    from prometheus_client import Counter, Histogram

    labels = ("model", "operation")
    return Metrics(
        Counter("seedbed_model_requests_total", "Model calls.", labels),
        Counter("seedbed_model_errors_total", "Failed model calls.", (*labels, "kind")),
        Histogram("seedbed_model_seconds", "Duration of a call.", labels, buckets=_SECONDS),
        Histogram("seedbed_first_token_seconds", "To the first token.", labels, buckets=_SECONDS),
        Counter("seedbed_model_tokens_total", "Tokens read and written.", ("model", "direction")),
        Counter("seedbed_model_cost_usd_total", "Estimated cost, by list prices.", ("model",)),
    )


@dataclass
class ModelCall:
    """One call of a model: tell it what happened, then `end` it once. Made by `model_call`."""

    model: str
    operation: str
    span: Span
    started: float = field(default_factory=time.perf_counter)
    time_to_first_token: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0

    def first_token(self, seconds: float | None = None) -> None:
        """The first token is here, `seconds` after the start (now, if not given)."""
        if self.time_to_first_token is None:
            waited = time.perf_counter() - self.started if seconds is None else seconds
            self.time_to_first_token = waited
            self.span.set_attribute("gen_ai.response.time_to_first_chunk", waited)
            metrics().first_token.labels(self.model, self.operation).observe(waited)

    def usage(self, input_tokens: int, output_tokens: int = 0, *, cached_tokens: int = 0) -> None:
        self.input_tokens, self.output_tokens = input_tokens, output_tokens
        self.span.set_attribute("gen_ai.usage.input_tokens", input_tokens)
        self.span.set_attribute("gen_ai.usage.output_tokens", output_tokens)
        if cached_tokens:
            self.span.set_attribute("gen_ai.usage.cache_read.input_tokens", cached_tokens)

    @property
    def cost_usd(self) -> float:
        from seedbed.observe.prices import price

        price_in, price_out = price(self.model)
        return (self.input_tokens * price_in + self.output_tokens * price_out) / 1e6

    def end(self, error: BaseException | None = None) -> None:
        known, labels = metrics(), (self.model, self.operation)
        known.requests.labels(*labels).inc()
        known.seconds.labels(*labels).observe(time.perf_counter() - self.started)
        known.tokens.labels(self.model, "input").inc(self.input_tokens)
        known.tokens.labels(self.model, "output").inc(self.output_tokens)
        known.cost.labels(self.model).inc(self.cost_usd)
        if error is not None:
            known.errors.labels(*labels, error_kind(error)).inc()
            _mark_failed(self.span, error)
        self.span.end()


def _open_call(model: str, operation: str, **attributes: Any) -> ModelCall:
    prefix = model.split(":", 1)[0] if ":" in model else ""
    local = prefix in ("", "hf", "path", "scripted")
    named = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "seedbed" if local else _PROVIDERS.get(prefix, prefix),
        "gen_ai.request.model": model if local else model.split(":", 1)[1],
    }
    opened = _start_span(f"{operation} {named['gen_ai.request.model']}", named | attributes)
    return ModelCall(model, operation, opened)


@contextmanager
def model_call(model: str, operation: str = "chat", **attributes: Any) -> Iterator[ModelCall]:
    """Record one call of the model with this spec: a span and the counters of `metrics`."""
    from opentelemetry import trace

    call = _open_call(model, operation, **attributes)
    try:
        with trace.use_span(call.span, record_exception=False, set_status_on_exception=False):
            yield call
    except BaseException as error:
        call.end(error)
        raise
    call.end()


class ModelTelemetry(BaseCallbackHandler):
    """Records every call of a LangChain chat model, local or remote, as `model_call` does.

    `load_chat_model` attaches one. With `log_content` the messages go into span and log, redacted.
    """

    run_inline = True

    def __init__(self, spec: str, *, log_content: bool = False) -> None:
        self.spec = spec
        self.log_content = log_content
        self._open: dict[UUID, ModelCall] = {}

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        given = kwargs.get("invocation_params") or {}
        attributes = {
            f"gen_ai.request.{name}": given.get(name)
            for name in ("temperature", "top_p", "top_k", "max_tokens", "seed")
            if isinstance(given.get(name), int | float)
        }
        call = _open_call(self.spec, "chat", **attributes)
        if self.log_content:
            asked = _as_parts(messages[0])
            call.span.set_attribute("gen_ai.input.messages", asked)
            _log.info("%s was asked %s", self.spec, asked)
        self._open[run_id] = call

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        message = getattr(kwargs.get("chunk"), "message", None)
        if (call := self._open.get(run_id)) and (token or getattr(message, "tool_call_chunks", ())):
            call.first_token()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        if (call := self._open.pop(run_id, None)) is None:
            return
        message = (
            getattr(response.generations[0][0], "message", None) if response.generations else None
        )
        if message is not None:
            self._record(call, message)
        call.end()

    def _record(self, call: ModelCall, message: BaseMessage) -> None:
        used = getattr(message, "usage_metadata", None) or {}
        cached = (used.get("input_token_details") or {}).get("cache_read") or 0
        call.usage(used.get("input_tokens", 0), used.get("output_tokens", 0), cached_tokens=cached)
        about = message.response_metadata
        if isinstance(about.get("time_to_first_token"), float):
            call.first_token(about["time_to_first_token"])
        if reason := about.get("finish_reason") or about.get("stop_reason"):
            call.span.set_attribute("gen_ai.response.finish_reasons", [str(reason)])
        if self.log_content:
            answered = _as_parts([message])
            call.span.set_attribute("gen_ai.output.messages", answered)
            _log.info("%s answered %s", self.spec, answered)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        if call := self._open.pop(run_id, None):
            call.end(error)


def _as_parts(messages: list[BaseMessage]) -> str:
    """Messages in the shape of the convention, as JSON, with personal data redacted."""
    from seedbed.guardrails import redact

    roles = {"human": "user", "ai": "assistant"}
    return json.dumps(
        [
            {
                "role": roles.get(message.type, message.type),
                "parts": [{"type": "text", "content": redact(str(message.text))}],
            }
            for message in messages
        ],
        ensure_ascii=False,
    )
