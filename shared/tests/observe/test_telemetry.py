import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY

from seedbed import errors
from seedbed.observe import startup
from seedbed.observe.telemetry import (
    ModelTelemetry,
    error_kind,
    model_call,
    request_id,
    retrieval,
    span,
    tool_call,
)
from seedbed.testing import closed_port

_exporter = InMemorySpanExporter()


@pytest.fixture
def spans():
    """The spans ended during the test. OpenTelemetry takes one provider a process."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_exporter))
        trace.set_tracer_provider(provider)
    _exporter.clear()
    return _exporter.get_finished_spans


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_span_nests_and_drops_what_is_none(spans):
    with span("outer", kind="x", nothing=None), span("inner"):
        pass
    inner, outer = spans()
    assert inner.parent.span_id == outer.context.span_id
    assert dict(outer.attributes) == {"kind": "x"}


def test_a_failed_span_says_the_kind_and_not_the_message(spans):
    with pytest.raises(errors.NotFound), span("search"):
        raise errors.NotFound("secret words")
    (ended,) = spans()
    assert ended.attributes["error.type"] == "not_found"
    assert not ended.status.is_ok
    assert "secret words" not in ended.to_json()


def test_retrieval_and_tools_follow_the_conventions(spans):
    with retrieval("docs", **{"gen_ai.request.top_k": 4}), tool_call("search"):
        pass
    tool, found = spans()
    assert found.name == "retrieval docs"
    assert found.attributes["gen_ai.operation.name"] == "retrieval"
    assert found.attributes["gen_ai.data_source.id"] == "docs"
    assert tool.name == "execute_tool search"
    assert tool.attributes["gen_ai.tool.name"] == "search"


def test_a_model_call_counts_tokens_time_and_cost(spans):
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
    assert call.cost_usd == 0


def test_a_remote_call_costs_what_the_table_says(spans):
    from seedbed.observe.prices import price

    spec = "openai:gpt-4o-mini"
    price_in, price_out = price(spec)
    before = count("seedbed_model_cost_usd_total", model=spec)
    with model_call(spec) as call:
        call.usage(1_000_000, 500_000)
    assert price_in > 0
    assert call.cost_usd == pytest.approx(price_in + price_out / 2)
    assert count("seedbed_model_cost_usd_total", model=spec) - before == pytest.approx(
        call.cost_usd
    )
    assert spans()[0].attributes["gen_ai.provider.name"] == "openai"
    assert spans()[0].attributes["gen_ai.request.model"] == "gpt-4o-mini"


def test_errors_are_counted_by_kind(spans):
    labels = {"model": "m", "operation": "embeddings", "kind": "busy"}
    before = count("seedbed_model_errors_total", **labels)
    with pytest.raises(errors.Busy), model_call("m", "embeddings"):
        raise errors.Busy("full")
    assert count("seedbed_model_errors_total", **labels) == before + 1
    assert spans()[0].attributes["error.type"] == "busy"
    assert error_kind(GeneratorExit()) == "cancelled"
    assert error_kind(ValueError("x")) == "ValueError"


def chat(text: str = "Hello there bob@example.com", **kwargs) -> GenericFakeChatModel:
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    message = AIMessage(text, usage_metadata=usage, response_metadata={"finish_reason": "stop"})
    return GenericFakeChatModel(
        messages=iter([message]), callbacks=[ModelTelemetry("openai:demo", **kwargs)]
    )


def test_a_langchain_model_records_itself(spans):
    with span("request"):
        chat().invoke("mail bob@example.com")
    call, request = spans()
    assert call.parent.span_id == request.context.span_id
    assert call.attributes["gen_ai.usage.output_tokens"] == 3
    assert call.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert "gen_ai.input.messages" not in call.attributes
    assert "bob" not in call.to_json() and "Hello" not in call.to_json()


def test_content_is_recorded_only_when_asked_and_redacted(spans, caplog):
    with caplog.at_level("INFO", "seedbed.model"):
        chat(log_content=True).invoke("mail bob@example.com")
    (call,) = spans()
    assert "mail [EMAIL]" in caplog.text and "bob" not in caplog.text
    (asked,) = json.loads(call.attributes["gen_ai.input.messages"])
    assert asked == {
        "role": "user",
        "parts": [{"type": "text", "content": "mail [EMAIL]"}],
    }
    assert "Hello there [EMAIL]" in call.attributes["gen_ai.output.messages"]


async def _streams() -> None:
    async for _ in chat().astream("hi"):
        pass
    left = chat().astream("hi")
    await anext(left)
    await left.aclose()


def test_a_stream_has_a_first_token_and_may_be_left_early(spans):
    for _ in chat().stream("hi"):
        pass
    stream = chat().stream("hi")
    next(stream)
    stream.close()
    finished, left = spans()
    assert "gen_ai.response.time_to_first_chunk" in finished.attributes
    assert left.attributes["error.type"] == "cancelled"
    assert left.status.is_ok or left.status.status_code.name == "UNSET"


def test_async_streams_are_recorded_too(spans):
    asyncio.run(_streams())
    assert [s.attributes.get("error.type") for s in spans()] == [None, "cancelled"]
    assert "gen_ai.response.time_to_first_chunk" in spans()[0].attributes


def test_a_failing_model_ends_its_span(spans):
    model = GenericFakeChatModel(messages=iter([]), callbacks=[ModelTelemetry("openai:demo")])
    with pytest.raises(Exception):  # noqa: B017 (LangChain decides which)
        model.invoke("hi")
    assert "error.type" in spans()[0].attributes


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    # Gradio, which other tests import, changes some of these variables.
    own = ("OTEL_", "MLFLOW_", "HF_HUB_", "ANONYMIZED_", "GRADIO_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean | env, text=True, capture_output=True, timeout=50
    )


def test_logs_are_json_off_a_terminal_with_request_id_and_no_secret():
    done = run(
        "import logging; from seedbed.observe import telemetry as t; t.setup_logging()\n"
        "t.setup_logging()\n"
        "t.request_id.set('r1'); logging.getLogger('x').info('key sk-abcdefghijklmnop1234 é')\n"
        "try: 1/0\nexcept ZeroDivisionError: logging.exception('broke')\n"
    )
    first, second = map(json.loads, done.stderr.splitlines())
    assert first["message"] == "key [SECRET] é"
    assert (first["level"], first["logger"], first["request_id"]) == ("INFO", "x", "r1")
    assert "ZeroDivisionError" in second["exc_info"]


def test_logs_are_readable_on_a_terminal():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(startup.text_formatter())
    logger = logging.Logger("x")
    logger.addHandler(handler)
    token = request_id.set("r2")
    logger.warning("hello %s, key %s", "you", "sk-abcdefghijklmnop1234")
    request_id.reset(token)
    assert stream.getvalue().endswith("WARNING hello you, key [SECRET] [r2]\n")


def test_an_unknown_level_is_said():
    with pytest.raises(errors.ConfigError, match="SEEDBED_LOG_LEVEL='LOUD'"):
        startup.setup_logging("LOUD")


def test_nothing_is_exported_and_no_sdk_loaded_without_an_address():
    done = run(
        "import sys; from seedbed.observe import telemetry as t; t.start('demo')\n"
        "with t.span('x'): pass\n"
        "import os\n"
        "print(t.setup_tracing('demo'), 'opentelemetry.sdk' in sys.modules,"
        " os.environ['ANONYMIZED_TELEMETRY'], os.environ['GRADIO_ANALYTICS_ENABLED'],"
        " os.environ['HF_HUB_DISABLE_TELEMETRY'])\n"
        "try: import openvino_telemetry\nexcept ImportError: print('silent')\n"
    )
    assert done.stdout.split() == ["False", "False", "False", "False", "1", "silent"]


@pytest.fixture
def collector():
    """An OTLP/HTTP collector (or MLflow) that keeps what it is sent."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    received: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    server.server_close()


SEND = "from seedbed.observe import telemetry as t; t.start('demo')\nwith t.retrieval('docs'): pass"


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "MLFLOW_TRACKING_URI"])
def test_an_address_receives_the_spans(collector, variable):
    address, received = collector
    patient = {"OTEL_EXPORTER_OTLP_TIMEOUT": "30"}
    done = run(SEND, **{variable: address}, **patient, MLFLOW_EXPERIMENT_ID="7")
    assert done.returncode == 0, done.stderr
    ((path, headers, body),) = received
    lowered = {name.lower(): value for name, value in headers.items()}
    assert path == "/v1/traces" and b"retrieval docs" in body
    expected = "7" if variable.startswith("MLFLOW") else None
    assert lowered.get("x-mlflow-experiment-id") == expected


def test_a_stopped_collector_neither_fails_nor_holds_the_program():
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    with closed_port() as port:  # without a limit, the exporter tries again for a minute
        address = f"http://127.0.0.1:{port}"
        done = run(SEND, OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert done.returncode == 0, done.stderr
