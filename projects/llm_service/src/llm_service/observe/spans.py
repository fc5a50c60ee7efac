"""A span for each answer, after OpenTelemetry's conventions for generative models (`gen_ai.*`).

`seedbed.observe.logs_and_traces` sets up where spans go; without an address this costs next to
nothing. https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_service.store.accounting import Record

ATTRIBUTES = {
    "gen_ai.request.model": "model",
    "gen_ai.response.model": "model_used",
    "gen_ai.response.id": "response_id",
    "gen_ai.usage.input_tokens": "prompt_tokens",
    "gen_ai.usage.output_tokens": "completion_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
    "gen_ai.response.time_to_first_chunk": "first_token",
    "llm_service.key": "key_name",
    "llm_service.cost_usd": "cost_usd",
    "llm_service.cache": "cache",
    "llm_service.guardrails": "decisions",
    "llm_service.variant": "variant",
}
"""Attributes of a span, and the fields of the record that they have."""


def trace(record: Record) -> None:
    """Record a finished request as a child span of its HTTP request."""
    from opentelemetry import trace
    from opentelemetry.trace import Status, StatusCode

    operation = "chat" if record.kind == "chat" else "embeddings"
    start = record.at.timestamp()
    span = trace.get_tracer("llm_service").start_span(
        f"{operation} {record.model_used or record.model}", start_time=int(start * 1e9)
    )
    if not span.is_recording():
        return
    span.set_attribute("gen_ai.operation.name", operation)
    provider = "seedbed" if record.backend == "local" else record.backend
    span.set_attribute("gen_ai.provider.name", provider)
    for name, field in ATTRIBUTES.items():
        if (value := getattr(record, field)) not in (None, ""):
            span.set_attribute(name, value)
    if record.outcome != "ok":
        span.set_attribute("error.type", record.outcome)
    if record.outcome not in ("ok", "cancelled"):
        span.set_status(Status(StatusCode.ERROR, record.outcome))
    span.end(int((start + record.seconds) * 1e9))
