"""Web search against a real HTTP server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import pytest

from multi_agent.tools.web import MAX_TEXT, search_web
from seedbed.errors import BadInput, Unavailable


@pytest.fixture
def searxng():
    """A server whose reply a test sets; it records the queries."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.queries.append(parse_qs(urlparse(self.path).query))
            self.send_response(self.server.status)
            self.end_headers()
            try:
                for _ in range(self.server.repeat):
                    self.wfile.write(self.server.body)
            except OSError:
                pass  # the client has hung up

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.body, server.repeat, server.queries = 200, b"{}", 1, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_search_returns_title_url_and_text(searxng):
    entry = {"title": "A", "url": "http://a.example", "content": "x" * 2000, "score": 3}
    searxng.body = json.dumps({"results": [entry] * 30}).encode()
    results = search_web(searxng.url + "/", "tallest building")
    assert len(results) == 8 and results[0].keys() == {"title", "url", "text"}
    assert len(results[0]["text"]) == MAX_TEXT
    assert searxng.queries == [{"q": ["tallest building"], "format": ["json"]}]


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (403, b"", "refuses JSON"),
        (500, b"", "500"),
        (200, b"<html>", "JSON"),
        (200, b"[]", "JSON"),
        (200, b'{"results": [3]}', "JSON"),
    ],
)
def test_reply_that_is_not_search_results_is_an_error(searxng, status, body, problem):
    searxng.status, searxng.body = status, body
    with pytest.raises(Unavailable, match=problem):
        search_web(searxng.url, "a")


def test_reply_without_end_is_cut_off(searxng):
    searxng.body, searxng.repeat = b"x" * 1_000_000, 1000
    with pytest.raises(Unavailable, match="more than 2,000,000 bytes"):
        search_web(searxng.url, "a")


def test_closed_port_and_empty_query_are_errors():
    with pytest.raises(Unavailable, match="failed"):
        search_web("http://127.0.0.1:9", "a")
    with pytest.raises(BadInput, match="empty"):
        search_web("http://127.0.0.1:9", " ")
