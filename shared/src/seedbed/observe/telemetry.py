"""OpenTelemetry spans and Prometheus metrics of models, searches and tools; usage of calls.

    with span("search"), model_call("minilm", "embeddings") as call:
        vectors = embed(texts)
        call.usage(input_tokens=120)

Attributes follow the GenAI semantic conventions (`gen_ai.*`):
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks.base import BaseCallbackHandler

from seedbed.errors import ModelError, SeedbedError
from seedbed.observe.logs_and_traces import requester

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import LLMResult
    from opentelemetry.trace import Span

_log = logging.getLogger("seedbed.model")
# Upper bounds of histogram buckets, in seconds.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[Span]:
    """A span around a block; an exception marks it as failed. Attributes of None are left out."""
    from opentelemetry import trace

    present = {key: value for key, value in attributes.items() if value is not None}
    with trace.get_tracer("seedbed").start_as_current_span(
        name, attributes=present, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            _mark_failed(current, error)
            raise


def error_kind(error: BaseException) -> str:
    """A short name for an error, as a metric's label and as `error.type`."""
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


_metrics: dict[str, Any] = {}
_registering = threading.Lock()


def metric(name: str) -> Any:
    """A Prometheus metric of this process by its name without `seedbed_`.

    The first call registers them all. Those of models are labelled with the model's spec and the
    operation (`chat` …).
    """
    from prometheus_client import Counter, Gauge, Histogram

    labels = ("model", "operation")
    with _registering:
        if not _metrics:
            for kind, key, text, names in (
                (Counter, "model_requests", "Number of model calls.", labels),
                (Counter, "model_errors", "Number of failed model calls.", (*labels, "kind")),
                (Histogram, "model_seconds", "Seconds per call.", labels),
                (Histogram, "first_token_seconds", "Seconds to the first token.", labels),
                (Counter, "model_tokens", "Input and output tokens.", ("model", "direction")),
                (Counter, "model_cost_usd", "Cost of calls with a known price.", ("model",)),
                (Counter, "http_requests", "HTTP requests.", ("method", "route", "status")),
                (Counter, "http_errors", "HTTP error responses by type.", ("type",)),
                (Histogram, "http_seconds", "Time to the last byte of a response.", ("route",)),
                (Gauge, "http_running", "HTTP requests in progress.", ()),
            ):
                options: Any = {"buckets": _SECONDS} if kind is Histogram else {}
                _metrics[key] = kind(f"seedbed_{key}", text, names, **options)
    return _metrics[name]


class ModelCall:
    """The record of one call of a model: a span from the start, and the metrics when it ends.

    The caller reports `first_token` and `usage`, and ends it; `model_call` does the latter.
    """

    def __init__(self, model: str, operation: str = "chat", **attributes: Any) -> None:
        from opentelemetry import trace

        prefix = model.partition(":")[0] if ":" in model else ""
        local = prefix in ("", "hf", "path", "scripted")
        request_model = model if local else model.partition(":")[2]
        standard = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "seedbed" if local else prefix,  # by LangChain's name
            "gen_ai.request.model": request_model,
        }
        self.model, self.operation = model, operation
        self.span: Span = trace.get_tracer("seedbed").start_span(
            f"{operation} {request_model}", attributes=standard | attributes
        )
        self.started = time.perf_counter()
        self.time_to_first_token: float | None = None
        self.input_tokens = self.output_tokens = 0
        self.cost_usd: float | None = 0.0  # None: unknown

    def first_token(self, seconds: float | None = None) -> None:
        """Record the time to the first token, in seconds; later calls are ignored."""
        if self.time_to_first_token is None:
            delay = time.perf_counter() - self.started if seconds is None else seconds
            self.time_to_first_token = delay
            self.span.set_attribute("gen_ai.response.time_to_first_chunk", delay)
            metric("first_token_seconds").labels(self.model, self.operation).observe(delay)

    def usage(
        self,
        input_tokens: int,
        output_tokens: int = 0,
        *,
        cached_tokens: int = 0,
        cost_usd: float | None = 0.0,
    ) -> None:
        """Record tokens and their cost (None: unknown); `cached_tokens` are part of the input."""
        self.input_tokens, self.output_tokens = input_tokens, output_tokens
        self.cost_usd = cost_usd
        self.span.set_attribute("gen_ai.usage.input_tokens", input_tokens)
        self.span.set_attribute("gen_ai.usage.output_tokens", output_tokens)
        if cached_tokens:
            self.span.set_attribute("gen_ai.usage.cache_read.input_tokens", cached_tokens)

    def end(self, error: BaseException | None = None) -> None:
        """Update the metrics and end the span; call it once."""
        labels = (self.model, self.operation)
        metric("model_requests").labels(*labels).inc()
        metric("model_seconds").labels(*labels).observe(time.perf_counter() - self.started)
        if (who := requester.get()) and who.add_tokens:
            who.add_tokens(self.input_tokens + self.output_tokens)
        metric("model_tokens").labels(self.model, "input").inc(self.input_tokens)
        metric("model_tokens").labels(self.model, "output").inc(self.output_tokens)
        metric("model_cost_usd").labels(self.model).inc(self.cost_usd or 0.0)
        if error is not None:
            metric("model_errors").labels(*labels, error_kind(error)).inc()
            _mark_failed(self.span, error)
        self.span.end()


@contextmanager
def model_call(model: str, operation: str = "chat", **attributes: Any) -> Iterator[ModelCall]:
    """Record one call of the model with the spec `model`: a span, and the metrics at its end.

    with model_call("minilm", "embeddings") as call:
        call.usage(input_tokens=120)
    """
    from opentelemetry import trace

    call = ModelCall(model, operation, **attributes)
    try:
        with trace.use_span(call.span, record_exception=False, set_status_on_exception=False):
            yield call
    except BaseException as error:
        call.end(error)
        raise
    call.end()


class ModelTelemetry(BaseCallbackHandler):
    """A LangChain callback that records every call of a chat model as `model_call` does.

    `load_chat_model` attaches one to each model. With `log_content`, spans and logs also contain
    the messages, with personal data and secrets redacted.
    """

    run_inline = True  # in the caller's context, so that spans nest

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
        params = kwargs.get("invocation_params") or {}
        attributes = {
            f"gen_ai.request.{name}": params.get(name)
            for name in ("temperature", "top_p", "top_k", "max_tokens", "seed")
            if isinstance(params.get(name), int | float)
        }
        call = ModelCall(self.spec, "chat", **attributes)
        if self.log_content:
            content = _as_parts(messages[0])
            call.span.set_attribute("gen_ai.input.messages", content)
            _log.info("%s prompt: %s", self.spec, content)
        self._open[run_id] = call

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        message = getattr(kwargs.get("chunk"), "message", None)
        if (call := self._open.get(run_id)) and (token or getattr(message, "tool_call_chunks", ())):
            call.first_token()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        if (call := self._open.pop(run_id, None)) is None:
            return
        if response.generations:
            self._record(call, response.generations[0][0].message)  # type: ignore[union-attr]
        call.end()

    def _record(self, call: ModelCall, message: BaseMessage) -> None:
        tokens = getattr(message, "usage_metadata", None) or {}
        cached = (tokens.get("input_token_details") or {}).get("cache_read") or 0
        metadata = message.response_metadata
        call.usage(
            tokens.get("input_tokens", 0),
            tokens.get("output_tokens", 0),
            cached_tokens=cached,
            cost_usd=metadata.get("cost_usd", 0.0),
        )
        # Local models measure it themselves, also for calls that do not stream.
        if isinstance(metadata.get("time_to_first_token"), float):
            call.first_token(metadata["time_to_first_token"])
        if reason := metadata.get("finish_reason") or metadata.get("stop_reason"):
            call.span.set_attribute("gen_ai.response.finish_reasons", [str(reason)])
        if self.log_content:
            content = _as_parts([message])
            call.span.set_attribute("gen_ai.output.messages", content)
            _log.info("%s answer: %s", self.spec, content)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        if call := self._open.pop(run_id, None):
            if isinstance(error, ModelError) and error.usage:  # charged all the same
                tokens = (error.usage.get("input_tokens", 0), error.usage.get("output_tokens", 0))
                call.usage(*tokens, cost_usd=error.cost_usd)
            call.end(error)


def _as_parts(messages: list[BaseMessage]) -> str:
    """Messages as JSON in the conventions' format, with personal data and secrets redacted."""
    from seedbed.safety.personal_data import redact

    roles, parts = {"human": "user", "ai": "assistant"}, []
    for message in messages:
        text = {"type": "text", "content": redact(str(message.text))}
        parts.append({"role": roles.get(message.type, message.type), "parts": [text]})
    return json.dumps(parts, ensure_ascii=False)


class UsageCallback(BaseCallbackHandler):
    """Adds up tokens and cost of the calls to which it is passed; thread-safe.

        usage = UsageCallback()
        structured_reply(model, prompt, Plan, config={"callbacks": [usage]})
        usage.tokens, usage.cost_usd

    `cost_usd` is None once the cost of a call is unknown, and `complete` is False once its tokens
    are. Calls that failed count with what the vendor charged for them.
    """

    def __init__(self) -> None:
        self.calls = self.input_tokens = self.output_tokens = 0
        self.cost_usd: float | None = 0.0
        self.complete = True
        self._lock = threading.Lock()

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        message: Any = getattr(response.generations[0][0], "message", None)
        usage = getattr(message, "usage_metadata", None) or {}
        metadata = getattr(message, "response_metadata", {})
        self._add(usage, metadata.get("cost_usd", 0.0))
        self.complete &= usage.get("total_tokens", 0) > 0

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        if isinstance(error, ModelError):
            self._add(error.usage, error.cost_usd)
            self.complete &= bool(error.usage.get("total_tokens")) or error.cost_usd is not None

    def _add(self, usage: Any, cost_usd: float | None) -> None:
        with self._lock:
            self.calls += 1
            self.input_tokens += usage.get("input_tokens", 0)
            self.output_tokens += usage.get("output_tokens", 0)
            if cost_usd is None or self.cost_usd is None:
                self.cost_usd = None
            else:
                self.cost_usd += cost_usd
