"""Spans and metrics of models, searches and tools."""

import asyncio
import json

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY

from seedbed import errors
from seedbed.models.scripted import ScriptedChatModel
from seedbed.observe.telemetry import ModelTelemetry, UsageCallback, model_call, span

_exporter = InMemorySpanExporter()


@pytest.fixture
def spans():
    """The spans ended during the test. A process can set only one provider."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_exporter))
        trace.set_tracer_provider(provider)
    _exporter.clear()
    return _exporter.get_finished_spans


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_span_nests_and_omits_attributes_of_none(spans):
    with span("outer", kind="x", nothing=None), span("inner"):
        pass
    inner, outer = spans()
    assert inner.parent.span_id == outer.context.span_id
    assert dict(outer.attributes) == {"kind": "x"}


def test_model_call_records_tokens_and_time(spans):
    model = "smollm2"
    before = count("seedbed_model_tokens_total", model=model, direction="output")
    with model_call(model) as call:
        call.first_token()
        call.usage(10, 5, cached_tokens=4)
    (ended,) = spans()
    assert ended.name == "chat smollm2"
    assert ended.attributes["gen_ai.provider.name"] == "seedbed"
    assert ended.attributes["gen_ai.usage.input_tokens"] == 10
    assert ended.attributes["gen_ai.usage.cache_read.input_tokens"] == 4
    assert ended.attributes["gen_ai.response.time_to_first_chunk"] >= 0
    after = count("seedbed_model_tokens_total", model=model, direction="output")
    assert after == before + 5
    assert count("seedbed_first_token_seconds_count", model=model, operation="chat") >= 1


def test_failed_call_of_a_model_records_what_it_was_charged(spans):
    spec = "openai:cut-off"
    failure = errors.ReplyCutOff("The reply was cut off.")
    failure.usage = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
    failure.cost_usd = 0.25
    usage = UsageCallback()
    model = ScriptedChatModel(["one two", failure], callbacks=[ModelTelemetry(spec), usage])
    model.invoke("three")
    with pytest.raises(errors.ReplyCutOff):
        model.invoke("Hello")
    assert (usage.calls, usage.tokens, usage.cost_usd) == (2, 3 + 120, 0.25)
    assert count("seedbed_model_cost_usd_total", model=spec) == 0.25
    assert count("seedbed_model_tokens_total", model=spec, direction="output") == 2 + 20
    assert spans()[1].attributes["error.type"] == "reply_cut_off"


def test_model_call_counts_errors_by_kind(spans):
    labels = {"model": "m", "operation": "embeddings", "kind": "busy"}
    before = count("seedbed_model_errors_total", **labels)
    with pytest.raises(errors.Busy), model_call("m", "embeddings"):
        raise errors.Busy("secret words")
    assert count("seedbed_model_errors_total", **labels) == before + 1
    (ended,) = spans()
    assert ended.attributes["error.type"] == "busy" and not ended.status.is_ok
    assert "secret words" not in ended.to_json()


def chat(text: str = "Hello there bob@example.com", **kwargs) -> GenericFakeChatModel:
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    message = AIMessage(text, usage_metadata=usage, response_metadata={"finish_reason": "stop"})
    return GenericFakeChatModel(
        messages=iter([message]), callbacks=[ModelTelemetry("openai:demo", **kwargs)]
    )


def test_langchain_model_records_a_span_without_content(spans):
    with span("request"):
        chat().invoke("mail bob@example.com")
    call, request = spans()
    assert call.parent.span_id == request.context.span_id
    assert call.attributes["gen_ai.usage.output_tokens"] == 3
    assert call.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert "gen_ai.input.messages" not in call.attributes
    assert "bob" not in call.to_json() and "Hello" not in call.to_json()


def test_log_content_records_redacted_messages(spans, caplog):
    with caplog.at_level("INFO", "seedbed.model"):
        chat(log_content=True).invoke("mail bob@example.com")
    (call,) = spans()
    assert "mail [EMAIL]" in caplog.text and "bob" not in caplog.text
    (prompt,) = json.loads(call.attributes["gen_ai.input.messages"])
    assert prompt == {
        "role": "user",
        "parts": [{"type": "text", "content": "mail [EMAIL]"}],
    }
    assert "Hello there [EMAIL]" in call.attributes["gen_ai.output.messages"]


def test_stream_records_the_first_token_and_cancellation(spans):
    for _ in chat().stream("hi"):
        pass

    async def cancel() -> None:
        stream = chat().astream("hi")
        await anext(stream)
        await stream.aclose()

    asyncio.run(cancel())
    finished, cancelled = spans()
    assert "gen_ai.response.time_to_first_chunk" in finished.attributes
    assert cancelled.attributes["error.type"] == "cancelled"
    assert cancelled.status.is_ok or cancelled.status.status_code.name == "UNSET"
