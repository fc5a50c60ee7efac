"""Logs and traces of a program, in processes of their own."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from seedbed.errors import ConfigError
from seedbed.observe import logs_and_traces
from seedbed.testing.launch import closed_port


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    # Gradio, which other tests import, changes some of these variables.
    own = ("OTEL_", "MLFLOW_", "HF_HUB_", "ANONYMIZED_", "GRADIO_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean | env, text=True, capture_output=True, timeout=50
    )


KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"


def test_json_log_has_no_secret_in_a_message_or_a_field_and_remains_json():
    done = run(
        "import logging; from seedbed.observe import logs_and_traces as s; s.setup_logging()\n"
        f"key = {KEY!r}; log = logging.getLogger('x')\n"
        "s.request_id.set('r1'); log.info('read %s', key)\n"
        "log.info('%s', {'api_key': 'abc123def456ghi7'})\n"
        "log.info('call', extra={'token': 'abc123def456ghi7', 'n': 3, 'rows': [{'key': key}]})\n"
        "try: raise ValueError(key)\nexcept ValueError: log.exception('broke')\n"
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert "MIIE" not in done.stderr and "abc123" not in done.stderr
    assert (lines[0]["message"], lines[0]["logger"]) == ("read [SECRET]", "x")
    assert (lines[0]["level"], lines[0]["request_id"]) == ("INFO", "r1")
    assert (lines[2]["token"], lines[2]["n"]) == ("[SECRET]", 3)
    assert lines[3]["exc_info"].endswith("ValueError: [SECRET]")


def test_commands_log_plain_sentences_to_a_pipe_too():
    done = run(
        "import logging; from seedbed.observe.logs_and_traces import start\n"
        "start('x', server=False)\n"
        "logging.getLogger('x').info('Calibrating with key sk-abcdefghijklmnop1234')\n"
    )
    assert done.stderr == "Calibrating with key [SECRET]\n"


def test_start_without_an_address_exports_nothing():
    with pytest.raises(ConfigError, match="SEEDBED_LOG_LEVEL='LOUD'"):
        logs_and_traces.setup_logging("LOUD")
    done = run(
        "import sys; from seedbed.observe import logs_and_traces, telemetry\n"
        "logs_and_traces.start('demo')\n"
        "with telemetry.span('x'): pass\n"
        "import os\n"
        "print(logs_and_traces.setup_tracing('demo'), 'opentelemetry.sdk' in sys.modules,"
        " os.environ['ANONYMIZED_TELEMETRY'], os.environ['GRADIO_ANALYTICS_ENABLED'],"
        " os.environ['HF_HUB_DISABLE_TELEMETRY'])\n"
        "try: import openvino_telemetry\nexcept ImportError: print('silent')\n"
    )
    assert done.stdout.split() == ["False", "False", "False", "False", "1", "silent"]


@pytest.fixture
def collector():
    """An OTLP/HTTP collector that records the requests."""
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


SEND = (
    "from seedbed.observe import logs_and_traces, telemetry; logs_and_traces.start('demo')\n"
    "with telemetry.span('search docs'): pass"
)


CALL = """
import httpx, httpx2
from seedbed.observe import logs_and_traces, telemetry
from seedbed.server.service import create_app
from seedbed.testing.launch import serve_app
logs_and_traces.start("demo")
with serve_app(create_app("demo", version="1")) as url:
    with telemetry.span("question"):
        httpx.get(f"{url}/metrics")
        httpx2.get(f"{url}/metrics")
        httpx.get(f"{url}/healthz")
"""


def test_request_to_another_server_belongs_to_the_same_trace(collector):
    pytest.importorskip("httpx2")
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    address, received = collector
    done = run(CALL, OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_EXPORTER_OTLP_TIMEOUT="30")
    assert done.returncode == 0, done.stderr
    requests = [trace_service_pb2.ExportTraceServiceRequest.FromString(r[2]) for r in received]
    spans = [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    served = [span for span in spans if span.name == "GET /metrics"]
    assert len(served) == 2  # a probe is no span
    assert len({span.trace_id for span in spans if span.name != "GET"}) == 1
    assert all(span.parent_span_id for span in served)


def test_unreachable_collector_does_not_fail_or_delay_the_program():
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    with closed_port() as port:  # without a timeout, the exporter retries for a minute
        address = f"http://127.0.0.1:{port}"
        done = run(SEND, OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert done.returncode == 0, done.stderr
