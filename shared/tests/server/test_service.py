"""`create_app` and `serve`: probes, error format, lifespan, ports, and shutdown."""

import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from seedbed import errors
from seedbed.server.service import serve
from seedbed.testing.launch import free_port, run_server, serve_app


def test_readyz_returns_the_reason_while_healthz_is_ok(build, expect_error):
    problems = [
        errors.WeightsError("No weights."),
        errors.BadInput("No documents."),
        RuntimeError("a private detail"),
    ]

    def ready():
        if problems:
            raise problems.pop(0)

    with TestClient(build(ready=ready)) as client:
        assert "No weights." in expect_error(client.get("/readyz"), 503, "weights_error")
        message = expect_error(client.get("/readyz"), 503, "unavailable")
        assert message == "Not ready: No documents."
        assert "private" not in expect_error(client.get("/readyz"), 503, "unavailable")
        assert client.get("/readyz").status_code == 200
        assert client.get("/healthz").status_code == 200


def test_probes_are_answered_while_all_threads_wait(build):
    release = threading.Event()
    app = build()

    @app.get("/v1/wait")
    def wait() -> None:
        release.wait(60)

    with serve_app(app) as url, ThreadPoolExecutor(60) as threads:
        try:
            for _ in range(60):  # more than there are threads for routes
                threads.submit(httpx.get, f"{url}/v1/wait", timeout=60)
            while app.state.drain.running < 60:
                time.sleep(0.01)
            for path in ("/healthz", "/readyz"):
                assert httpx.get(f"{url}{path}", timeout=20).status_code == 200
                assert httpx.head(f"{url}{path}", timeout=20).status_code == 200
        finally:
            release.set()


def test_seedbed_error_keeps_status_type_and_text(client, expect_error):
    full = client.get("/v1/fail/busy")
    assert expect_error(full, 429, "busy") == "Full."
    assert full.headers["retry-after"] == "3"
    long = client.get("/v1/fail/window")
    assert expect_error(long, 400, "context_window_error") == "9000 tokens."
    secret = client.get("/v1/fail/secret")
    assert expect_error(secret, 503, "unavailable") == "[SECRET] refused."


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not valid JSON"),
        (b'{"question": "a\\u0000b"}', "question: contains a NUL character"),
        (b'{"question": "\\ud800"}', "question: "),
        (b'{"question": 3}', "question: Input should be a valid string"),
        (b"{}", "question: Field required"),
        (b"", "body: Field required"),
        (b'{"question": "x", "k": 1e999}', "k: "),
        *((body, "body") for body in (b"[]", b"null", b"\xff\xfe")),
        *((b'{"a": ' + deep + b"}", "") for deep in (b"[" * 4000 + b"]" * 4000, b"9" * 5000)),
    ],
    ids=lambda value: str(value)[:30],
)
def test_invalid_body_is_400_with_the_field(client, expect_error, body, reason):
    response = client.post("/v1/ask", content=body, headers={"content-type": "application/json"})
    assert reason in expect_error(response, 400, "bad_input")
    response = client.post("/v1/ask", content=b'{"question": "q"}')
    message = expect_error(response, 400, "bad_input")
    assert message.endswith("Send it with `content-type: application/json`.")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org"])
def test_serve_requires_keys_for_other_than_loopback_hosts(build, host):
    with pytest.raises(errors.ConfigError, match="SEEDBED_OPEN=1"):
        serve(build(), 0, host)


def test_serve_reports_a_port_that_cannot_be_opened(build):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(errors.Unavailable, match=rf"port {port} .*in use\. .*--port"):
            serve(build(), port)


SERVER = """
import sys, time
from contextlib import asynccontextmanager
from pathlib import Path
from fastapi.responses import StreamingResponse
from seedbed.server.service import create_app, serve

finish = Path(sys.argv[2])
events = finish.with_name("events")

def note(event):
    with events.open("a") as file:
        file.write(event + "\\n")

@asynccontextmanager
async def worker(app):
    note("worker started")
    yield
    note("worker stopped")

app = create_app("slow", version="1", lifespan=worker, on_shutdown=lambda: note("engine drained"))

@app.get("/v1/slow")
def slow():
    def pieces():
        yield "begin "
        end = time.monotonic() + 120
        while not finish.exists() and time.monotonic() < end:
            yield "."
            time.sleep(0.02)
        note("request ended")
        yield " end"
    note("request started")
    return StreamingResponse(pieces())

serve(app, int(sys.argv[1]))
"""


@pytest.fixture
def finish(tmp_path: Path) -> Path:
    """The file whose creation ends every answer of the slow server."""
    return tmp_path / "finish"


def wait_until_draining(address: str) -> httpx.Response:
    """The first answer of /readyz that is not "ready"."""
    end = time.monotonic() + 30
    while (response := httpx.get(f"{address}/readyz")).status_code == 200:
        assert time.monotonic() < end, "still ready 30 s after SIGTERM"
        time.sleep(0.02)
    return response


def test_sigterm_completes_running_requests_and_refuses_new_ones(tmp_path, finish, expect_error):
    path, port = tmp_path / "slow_server.py", free_port()
    path.write_text(SERVER)
    address = f"http://127.0.0.1:{port}"
    with (
        run_server([sys.executable, str(path), str(port), str(finish)], port) as server,
        httpx.stream("GET", f"{address}/v1/slow", timeout=30) as running,
    ):
        pieces = running.iter_text()
        first = next(pieces)
        server.send_signal(signal.SIGTERM)
        assert "shutting down" in expect_error(wait_until_draining(address), 503, "unavailable")
        expect_error(httpx.get(f"{address}/v1/slow"), 503, "unavailable")
        assert httpx.get(f"{address}/healthz").status_code == 200
        finish.touch()
        text = first + "".join(pieces)
        assert text.startswith("begin ") and text.endswith(" end")
        assert server.wait(30) == 0
    assert finish.with_name("events").read_text().splitlines() == [
        *("worker started", "request started", "request ended"),
        *("worker stopped", "engine drained"),
    ]


def test_requests_that_exceed_the_grace_period_are_ended(tmp_path, finish, monkeypatch):
    monkeypatch.setenv("SEEDBED_GRACE", "0.1")
    path, port = tmp_path / "slow_server.py", free_port()
    path.write_text(SERVER)
    with (
        run_server([sys.executable, str(path), str(port), str(finish)], port) as server,
        httpx.stream("GET", f"http://127.0.0.1:{port}/v1/slow", timeout=30) as running,
    ):
        pieces = running.iter_text()
        assert next(pieces)
        server.send_signal(signal.SIGTERM)
        with pytest.raises(httpx.RemoteProtocolError):
            "".join(pieces)
        finish.touch()  # the thread of the answer
        assert server.wait(30) == 0
