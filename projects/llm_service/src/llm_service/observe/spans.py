"""A span for each answer, after OpenTelemetry's conventions for generative models (`gen_ai.*`).

`seedbed.observe.logs_and_traces` sets up where spans go; without an address this costs next to
nothing. https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_service.store.accounting import Record

_OPERATIONS = {"chat": "chat", "embedding": "embeddings"}


def trace(record: Record) -> None:
    """Tell of a request that ended, as a child of the HTTP request's span."""
    from opentelemetry import trace
    from opentelemetry.trace import Status, StatusCode

    operation = _OPERATIONS[record.kind]
    model = record.model_used or record.model
    span = trace.get_tracer("llm_service").start_span(
        f"{operation} {model}", start_time=_nanoseconds(record.at.timestamp())
    )
    if not span.is_recording():
        return
    for name, value in _attributes(record, operation).items():
        if value not in (None, ""):
            span.set_attribute(name, value)
    if record.outcome not in ("ok", "cancelled"):
        span.set_status(Status(StatusCode.ERROR, record.outcome))
    span.end(_nanoseconds((record.at + timedelta(seconds=record.seconds)).timestamp()))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _attributes(record: Record, operation: str) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "seedbed" if record.backend == "local" else record.backend,
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.model_used,
        "gen_ai.response.id": record.response_id,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cached_tokens or None,
        "gen_ai.response.time_to_first_chunk": record.first_token,
        "error.type": None if record.outcome == "ok" else record.outcome,
        "llm_service.key": record.key_name,
        "llm_service.cost_usd": record.cost_usd,
        "llm_service.cache": record.cache,
        "llm_service.guardrails": record.decisions,
        "llm_service.variant": record.variant,
    }
