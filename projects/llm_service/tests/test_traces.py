"""Spans of answers, as a collector would get them."""

from datetime import UTC, datetime

import pytest
from opentelemetry import trace as opentelemetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from llm_service.observe.spans import trace
from llm_service.store.accounting import Record


@pytest.fixture
def spans(monkeypatch):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(opentelemetry, "_TRACER_PROVIDER", provider)
    return exporter


def record(**given) -> Record:
    about = {"request_id": "r", "response_id": "chatcmpl-1", "key_id": "k", "key_name": "alice"}
    about |= {"model": "fast", "model_used": "smollm2", "backend": "local", "prompt_tokens": 7}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Record(at=at, completion_tokens=3, seconds=1.5, first_token=0.2, **about | given)


def test_an_answer_is_a_span_with_its_tokens(spans):
    trace(record(cache="miss"))
    (span,) = spans.get_finished_spans()
    assert span.name == "chat smollm2"
    assert span.end_time - span.start_time == 1_500_000_000
    found = dict(span.attributes)
    assert found["gen_ai.provider.name"] == "seedbed"
    assert found["gen_ai.request.model"] == "fast"
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (7, 3)
    assert found["gen_ai.response.time_to_first_chunk"] == 0.2
    assert found["llm_service.key"] == "alice"
    assert found["llm_service.cache"] == "miss"
    assert "error.type" not in found
    assert span.status.is_ok or span.status.is_unset


def test_a_failure_is_marked_and_a_client_that_left_is_none(spans):
    trace(record(outcome="unavailable", kind="embedding"))
    trace(record(outcome="cancelled"))
    failed, left = spans.get_finished_spans()
    assert failed.name == "embeddings smollm2"
    assert not failed.status.is_ok
    assert failed.attributes["error.type"] == "unavailable"
    assert left.status.is_unset
