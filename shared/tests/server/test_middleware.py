"""The middleware: request ids, logs, metrics, access checks, and limits on bodies."""

import json
import re

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect


def test_request_id_of_the_client_is_kept_if_it_is_harmless(client):
    response = client.get("/healthz", headers={"x-request-id": "abc-1.2_3"})
    assert response.headers["x-request-id"] == "abc-1.2_3"
    for invalid in ("a b", "x" * 101, '"><script>', ""):
        response = client.get("/healthz", headers={"x-request-id": invalid})
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


def test_bug_is_logged_in_full_and_answered_without_details(client, caplog, expect_error):
    response = client.get("/v1/fail/bug", headers={"x-request-id": "r42"})
    assert "private" not in expect_error(response, 500, "internal_error")
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert "a private detail" in str(record.exc_info)


def test_failed_stream_is_logged_and_keeps_the_bytes_before(client, caplog):
    assert client.get("/v1/stream").text == "one two"
    with pytest.raises(Exception), client.stream("GET", "/v1/stream?fail=1") as broken:  # noqa: B017
        assert "private" not in broken.read().decode()
        raise RuntimeError
    assert any("failed" in record.message for record in caplog.records)


def test_log_line_escapes_the_path(client, caplog):
    with caplog.at_level("INFO", "seedbed.service"):
        client.get("/v1/%0Afake%1b[31m")
    (line,) = [r.getMessage() for r in caplog.records if "fake" in r.getMessage()]
    assert line.isprintable()


def test_browser_is_asked_for_name_and_password(build, expect_error):
    client = TestClient(build("alice=key-a"))
    browser = client.get("/", headers={"accept": "text/html"})
    assert browser.headers["www-authenticate"].startswith("Basic")
    client.app.state.drain.limit = 0
    assert "limit of 0 requests" in expect_error(client.get("/v1/stream"), 429, "busy")


def test_cross_site_requests_are_refused(client, expect_error):
    cross = {"sec-fetch-site": "cross-site"}
    response = client.post("/v1/ask", json={"question": "q"}, headers=cross)
    expect_error(response, 401, "unauthorized")
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/v1/stream", headers=cross),
    ):
        pass
    assert refused.value.reason == "unauthorized"
    assert client.get("/v1/stream", headers=cross).status_code == 200  # a link from another site
    proxied = {"origin": "https://desk.example", "sec-fetch-site": "same-origin"}
    response = client.post("/v1/ask", json={"question": "q"}, headers=proxied)
    assert response.status_code == 200


@pytest.mark.parametrize("keys", ["", "alice=key-a"])
@pytest.mark.parametrize(
    ("origin", "refused"),
    [
        ("http://evil.example", True),
        ("http://desk.lan", True),  # another port is another site
        ("http://desk.lan:9000", True),
        ("null", True),  # a sandboxed frame, or a file
        ("http://desk.lan:8001", False),
        ("HTTP://DESK.LAN:8001", False),
    ],
)
def test_origin_must_be_the_host_that_is_addressed(build, expect_error, keys, origin, refused):
    headers = {"x-api-key": "key-a", "host": "desk.lan:8001", "origin": origin}
    response = TestClient(build(keys)).post("/v1/ask", json={"question": "q"}, headers=headers)
    if refused:
        assert "Cross-site" in expect_error(response, 401, "unauthorized")
    else:
        assert response.status_code == 200


def test_large_body_is_refused_by_declared_and_by_actual_size(client, expect_error):
    large = json.dumps({"question": "x" * 20_000}).encode()
    headers = {"content-type": "application/json"}
    message = expect_error(client.post("/v1/ask", content=large), 413, "too_large")
    assert "0.01 MB" in message
    chunks = (large[i : i + 1000] for i in range(0, len(large), 1000))
    expect_error(client.post("/v1/ask", content=chunks, headers=headers), 413, "too_large")
    expect_error(client.post("/v1/files", files={"file": large}), 413, "too_large")
    assert client.post("/v1/files", files={"file": b"x" * 5000}).json() == 5000


def test_draining_server_is_alive_but_not_ready(build, expect_error):
    app = build()
    with TestClient(app) as client:
        app.state.drain.draining = True
        expect_error(client.get("/readyz"), 503, "unavailable")
        expect_error(client.get("/v1/stream"), 503, "unavailable")
        assert client.get("/healthz").status_code == 200


def test_unknown_path_and_wrong_method_say_what_there_is(client, expect_error):
    message = expect_error(client.get("/v1/no-such-path"), 404, "not_found")
    assert message == "Not found: GET '/v1/no-such-path'."
    assert "Allowed: POST." in expect_error(client.get("/v1/ask"), 405, "method_not_allowed")


def test_nul_character_in_the_url_is_bad_input(client, expect_error):
    expect_error(client.get("/v1/stream?x=%00"), 400, "bad_input")


def test_local_server_without_keys_accepts_localhost_only(build, expect_error):
    app = build()
    app.state.access.local_only = True
    with TestClient(app) as client:
        response = client.get("/v1/x", headers={"host": "evil.example:8001"})
        assert "'evil.example' is not allowed" in expect_error(response, 401, "unauthorized")
        assert client.get("/openapi.json", headers={"host": "localhost:1"}).status_code == 200


def test_metrics_count_requests_by_route(client):
    client.get("/v1/never-seen-path")
    assert "never-seen" not in (text := client.get("/metrics").text)
    assert 'seedbed_http_errors_total{type="not_found"}' in text
