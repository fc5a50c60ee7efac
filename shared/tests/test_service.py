import base64
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import Request, UploadFile
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field
from starlette.websockets import WebSocketDisconnect

from seedbed import errors
from seedbed.server.keys import Keys
from seedbed.server.service import Caller, CleanText, create_app, serve
from seedbed.settings import Settings
from seedbed.testing import free_port, run_server


class Question(BaseModel):
    question: CleanText = Field(min_length=1)
    k: int = 4
    extra: dict | None = None


def build(api_keys: str = "", **options):
    app = create_app(
        "demo", version="1.2", settings=Settings(api_keys=api_keys, open=False), **options
    )

    @app.post("/v1/ask")
    def ask(question: Question, caller: Caller) -> dict[str, str]:
        return {"caller": caller, "question": question.question}

    @app.post("/v1/files")
    async def files(file: UploadFile) -> int:
        return len(await file.read())

    @app.get("/v1/fail/{name}")
    def fail(name: str):
        raise {
            "busy": errors.Busy("Full.", retry_after=2.2),
            "window": errors.ContextWindowError("9000 tokens."),
            "secret": errors.Unavailable("sk-abcdefghijklmnop1234 refused."),
            "bug": RuntimeError("a private detail"),
        }[name]

    @app.get("/v1/stream")
    def stream(fail: bool = False):
        def pieces():
            yield "one "
            if fail:
                raise RuntimeError("a private detail")
            yield "two"

        return StreamingResponse(pieces())

    return app


@pytest.fixture
def client():
    with TestClient(build(max_body_mb=0.01)) as made:
        yield made


def error(response: httpx.Response, status: int, type_: str) -> str:
    assert response.status_code == status, response.text
    found = response.json()["error"]
    assert set(found) == {"type", "message", "request_id"} and found["type"] == type_
    assert found["request_id"] == response.headers["x-request-id"]
    assert "\n" not in found["message"]
    return found["message"]


def test_health_and_readiness(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_readiness_gives_the_reason_and_health_stays():
    problems = [errors.WeightsError("No weights."), RuntimeError("a private detail")]

    def ready():
        if problems:
            raise problems.pop(0)

    with TestClient(build(ready=ready)) as client:
        assert "No weights." in error(client.get("/readyz"), 503, "weights_error")
        assert "private" not in error(client.get("/readyz"), 503, "unavailable")
        assert client.get("/readyz").status_code == 200
        assert client.get("/healthz").status_code == 200


def test_an_inbound_request_id_is_kept_if_it_is_harmless(client):
    given = client.get("/healthz", headers={"x-request-id": "abc-1.2_3"})
    assert given.headers["x-request-id"] == "abc-1.2_3"
    for wrong in ("a b", "x" * 101, '"><script>', ""):
        made = client.get("/healthz", headers={"x-request-id": wrong}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", made)


def test_our_errors_keep_status_type_and_text(client):
    full = client.get("/v1/fail/busy")
    assert error(full, 429, "busy") == "Full."
    assert full.headers["retry-after"] == "3"
    assert error(client.get("/v1/fail/window"), 400, "context_window_error") == "9000 tokens."
    assert error(client.get("/v1/fail/secret"), 503, "unavailable") == "[SECRET] refused."


def test_a_bug_is_logged_with_its_request_and_told_to_nobody(client, caplog):
    response = client.get("/v1/fail/bug", headers={"x-request-id": "r42"})
    assert "private" not in error(response, 500, "internal_error")
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert "a private detail" in str(record.exc_info)


def test_unknown_addresses_and_methods_use_the_envelope(client):
    assert "/v1/nope" in error(client.get("/v1/nope"), 404, "not_found")
    wrong = client.get("/v1/ask")
    error(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not valid JSON"),
        (b'{"question": "a\x00b"}', "not valid JSON"),
        (b'{"question": "a\\u0000b"}', "question: holds a NUL character"),
        (b'{"question": "\\ud800"}', "question: "),
        (b'{"question": "\xff\xfe"}', ""),
        (b"[" * 9000, ""),
        (b'{"question": "x", "extra": ' + b'{"a":' * 1500, ""),
        (b'{"question": 3}', "question: Input should be a valid string"),
        (b'{"question": ""}', "question: "),
        (b"{}", "question: Field required"),
        (b"", "body: Field required"),
        (b"null", "body: "),
        (b'{"question": "x", "k": 1e999}', "k: "),
        (b'{"question": "x", "k": NaN}', "k: "),
        (b'{"question": "x", "k": ' + b"9" * 5000 + b"}", ""),
    ],
)
def test_bad_bodies_are_400_in_one_line(client, body, says):
    response = client.post("/v1/ask", content=body, headers={"content-type": "application/json"})
    assert says in error(response, 400, "bad_input")


def test_a_nul_in_the_address_is_400(client):
    error(client.get("/v1/fail/%00"), 400, "bad_input")
    error(client.get("/v1/stream?fail=%00"), 400, "bad_input")


def test_a_large_body_is_refused_by_header_and_by_count(client):
    large = json.dumps({"question": "x" * 20_000}).encode()
    headers = {"content-type": "application/json"}
    assert "0.01 MB" in error(client.post("/v1/ask", content=large), 413, "too_large")
    chunks = (large[i : i + 1000] for i in range(0, len(large), 1000))
    error(client.post("/v1/ask", content=chunks, headers=headers), 413, "too_large")
    error(client.post("/v1/files", files={"file": large}), 413, "too_large")
    assert client.post("/v1/files", files={"file": b"x" * 5000}).json() == 5000


def test_more_requests_than_allowed_are_busy():
    with TestClient(build(max_requests=0)) as client:
        assert "0 requests" in error(client.get("/v1/stream"), 429, "busy")
        assert client.get("/healthz").status_code == 200


def test_an_address_cannot_write_into_the_log(client, caplog):
    with caplog.at_level("INFO", "seedbed.service"):
        client.get("/v1/%0Afake%1b[31m")
    (line,) = [r.getMessage() for r in caplog.records if "fake" in r.getMessage()]
    assert line.isprintable()


def test_metrics_count_requests_errors_and_no_unknown_address(client):
    client.get("/v1/fail/busy")
    client.get("/v1/never-seen-address")
    text = client.get("/metrics").text
    assert re.search(
        r'http_requests_total\{method="GET",route="/v1/fail/\{name\}",status="429"\} ', text
    )
    assert 'seedbed_http_errors_total{type="busy"}' in text
    assert "never-seen-address" not in text


def test_a_stream_that_breaks_keeps_what_was_sent(client, caplog):
    assert client.get("/v1/stream").text == "one two"
    with pytest.raises(Exception), client.stream("GET", "/v1/stream?fail=1") as broken:  # noqa: B017
        assert "private" not in broken.read().decode()
        raise RuntimeError
    assert any("failed" in record.message for record in caplog.records)


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{key}".encode()).decode()


def test_without_keys_everyone_is_local(client):
    assert client.post("/v1/ask", json={"question": "q"}).json()["caller"] == "local"


def test_keys_name_the_caller_however_they_come():
    client = TestClient(build("alice=key-a, bob=key=b"))
    for headers, caller in [
        ({"authorization": "Bearer key-a"}, "alice"),
        ({"authorization": "bearer key=b"}, "bob"),
        ({"x-api-key": "key-a"}, "alice"),
        ({"authorization": basic("key-a")}, "alice"),
    ]:
        response = client.post("/v1/ask", json={"question": "q"}, headers=headers)
        assert response.json()["caller"] == caller


def test_without_a_known_key_only_health_answers():
    client = TestClient(build("alice=key-a"))
    wrong = [{}, {"authorization": "Bearer key-b"}, {"authorization": "Basic !!"}]
    wrong += [{"x-api-key": ""}, {"authorization": "Bearer "}, {"x-api-key": "alice"}]
    wrong += [{"authorization": basic("é")}, {"x-api-key": "kéy"}]
    for headers in wrong:
        raw = {name: value.encode("latin-1") for name, value in headers.items()}
        for path in ("/v1/ask", "/metrics", "/openapi.json", "/nope", "/healthz/"):
            response = client.get(path, headers=raw)
            assert "Bearer KEY" in error(response, 401, "unauthorized")
            assert response.headers["www-authenticate"].startswith("Bearer")
    browser = client.get("/", headers={"accept": "text/html"})
    assert browser.headers["www-authenticate"].startswith("Basic")
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


def test_keys_are_kept_as_hashes_only():
    app = build("alice=key-a")
    assert "key-a" not in repr(app.state.access) and "alice" in repr(app.state.access)


@pytest.mark.parametrize(
    "text", ["secretkey", "=secretkey", "a=", "a=secretkey,b=secretkey", "a=secretkey,a=other"]
)
def test_wrong_keys_are_refused_without_showing_them(text):
    with pytest.raises(errors.ConfigError, match="name=key") as caught:
        Keys.parse(text)
    assert "secretkey" not in str(caught.value)


def test_another_sites_page_may_not_send_and_a_foreign_name_not_ask():
    app = build()
    app.state.access.local_only = True
    client = TestClient(app, base_url="http://localhost")
    cross = {"sec-fetch-site": "cross-site"}
    error(client.post("/v1/ask", json={"question": "q"}, headers=cross), 401, "unauthorized")
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/v1/stream", headers={**cross, "host": "localhost"}),
    ):
        pass
    assert refused.value.reason == "unauthorized"
    error(client.get("/v1/stream", headers={"host": "evil.example:8001"}), 401, "unauthorized")
    for host in ("localhost:8001", "127.0.0.1", "[::1]:8001"):
        assert client.get("/v1/stream", headers={"host": host}).status_code == 200


def test_openapi_lists_the_key_scheme_and_needs_no_cdn(client):
    schema = client.get("/openapi.json").json()
    assert schema["info"] == {"title": "demo", "version": "1.2"}
    assert schema["paths"]["/v1/ask"]["post"]["security"]
    assert client.get("/docs").status_code == 404


def test_lifespan_surrounds_requests_and_ends_before_on_shutdown():
    order = []

    @asynccontextmanager
    async def worker(app):
        order.append(f"{app.title} started")
        yield {"worker": "busy"}
        order.append("stopped")

    app = build(lifespan=worker, on_shutdown=lambda: order.append("engine drained"))

    @app.get("/v1/worker")
    def state(request: Request) -> str:
        order.append("request")
        return request.state.worker

    with TestClient(app) as client:
        assert client.get("/v1/worker").json() == "busy"
    assert order == ["demo started", "request", "stopped", "engine drained"]


def test_lifespan_that_fails_to_start_stops_the_server(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(BROKEN_SERVER)
    done = subprocess.run(
        [sys.executable, str(path), str(free_port())], capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert "no database" in done.stderr


BROKEN_SERVER = """
import sys
from contextlib import asynccontextmanager
from seedbed.server.service import create_app, serve

@asynccontextmanager
async def worker(app):
    raise RuntimeError("no database")
    yield

serve(create_app("broken", version="1", lifespan=worker), int(sys.argv[1]))
"""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_beyond_this_machine_only_with_keys(host):
    with pytest.raises(errors.ConfigError, match="SEEDBED_OPEN=1"):
        serve(build(), 0, host)


def test_a_taken_port_is_said():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(errors.Unavailable, match=f"Port {port}.*--port"):
            serve(build(), port)
    with pytest.raises(errors.Unavailable, match="99999"):
        serve(build(), 99999)


SERVER = """
import sys, time
from contextlib import asynccontextmanager
from pathlib import Path
from fastapi.responses import StreamingResponse
from seedbed.server.service import create_app, serve

finish = Path(sys.argv[3])
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

serve(app, int(sys.argv[1]), grace=float(sys.argv[2]))
"""


@pytest.fixture
def finish(tmp_path: Path) -> Path:
    """The file whose creation ends every answer of the slow server."""
    return tmp_path / "finish"


@pytest.fixture
def slow_server(tmp_path: Path, finish: Path):
    """Starts the slow server with a grace period in seconds; yields its process and address."""
    path = tmp_path / "slow_server.py"
    path.write_text(SERVER)

    @contextmanager
    def start(grace: float):
        port = free_port()
        argv = [sys.executable, str(path), str(port), str(grace), str(finish)]
        with run_server(argv, port) as server:
            yield server, f"http://127.0.0.1:{port}"

    return start


def wait_until_draining(address: str) -> httpx.Response:
    """The first answer of /readyz that is not "ready"."""
    end = time.monotonic() + 30
    while (response := httpx.get(f"{address}/readyz")).status_code == 200:
        assert time.monotonic() < end, "still ready 30 s after SIGTERM"
        time.sleep(0.02)
    return response


def test_sigterm_lets_running_requests_end_and_refuses_new_ones(slow_server, finish):
    with (
        slow_server(grace=600) as (server, address),
        httpx.stream("GET", f"{address}/v1/slow", timeout=30) as running,
    ):
        pieces = running.iter_text()
        first = next(pieces)
        server.send_signal(signal.SIGTERM)
        assert "shutting down" in error(wait_until_draining(address), 503, "unavailable")
        error(httpx.get(f"{address}/v1/slow"), 503, "unavailable")
        assert httpx.get(f"{address}/healthz").status_code == 200
        finish.touch()
        text = first + "".join(pieces)
        assert text.startswith("begin ") and text.endswith(" end")
        assert server.wait(30) == 0  # far less than the grace period
    assert finish.with_name("events").read_text().splitlines() == [
        *("worker started", "request started", "request ended"),
        *("worker stopped", "engine drained"),
    ]


def test_request_over_the_grace_is_cut(slow_server):
    with (
        slow_server(grace=0.1) as (server, address),
        httpx.stream("GET", f"{address}/v1/slow", timeout=30) as running,
    ):
        pieces = running.iter_text()
        assert next(pieces).startswith("begin ")
        server.send_signal(signal.SIGTERM)
        with pytest.raises(httpx.HTTPError):
            list(pieces)
        server.wait(30)  # the answer alone would take 120 s
