"""URLs of API callers: the public internet only, also after redirects, within size and time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest

from vision_app.serve.fetch import Address, fetch, is_public, resolve_public
from seedbed.errors import BadInput, DeadlineExceeded, TooLarge
from seedbed.testing.launch import closed_port

HOST = "pictures.test"  # not in any DNS: only the resolver of these tests returns its address


class Server(BaseHTTPRequestHandler):
    """/file is 1,000 bytes, /to/URL redirects to it, /again to itself, /slow never ends."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.respond(302, location=self.path.removeprefix("/to/"))
        elif self.path == "/again":
            self.respond(301, location="/again")
        elif self.path == "/slow":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            with suppress(OSError):  # when the client disconnects
                while not self.server.stop.wait(0.05):  # type: ignore[attr-defined]
                    self.wfile.write(b"X: y\r\n")
        elif self.path == "/file":
            self.respond(200, b"x" * 1000)
        else:
            self.respond(404)

    def respond(self, status: int, body: bytes = b"", location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def server_on(address: str) -> Iterator[int]:
    with ThreadingHTTPServer((address, 0), Server) as server:
        server.stop = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.stop.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with server_on("127.0.0.1") as port:
        yield port


def resolve(host: str, port: int) -> list[Address]:
    """HOST is public here and served by 127.0.0.1; other hosts are checked as always."""
    return [ip_address("127.0.0.1")] if host == HOST else resolve_public(host, port)


def test_fetch_returns_content(port: int) -> None:
    assert fetch(f"http://{HOST}:{port}/file", max_bytes=1000, resolve=resolve) == b"x" * 1000


def test_fetch_follows_redirects_between_public_hosts(port: int) -> None:
    url = f"http://{HOST}:{port}/to//to/http://{HOST}:{port}/file"
    assert len(fetch(url, max_bytes=1000, resolve=resolve)) == 1000


@pytest.mark.parametrize("target", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])
def test_fetch_refuses_redirect_to_loopback(port: int, target: str) -> None:
    url = f"http://{HOST}:{port}/to/http://{target}:{port}/file"
    with pytest.raises(BadInput, match="not public"):
        fetch(url, max_bytes=1000, resolve=resolve)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/", "gopher://a/"])
def test_fetch_refuses_redirect_to_other_scheme(port: int, target: str) -> None:
    with pytest.raises(BadInput, match="Only http and https"):
        fetch(f"http://{HOST}:{port}/to/{target}", max_bytes=1000, resolve=resolve)


def test_fetch_connects_to_address_that_was_checked(port: int) -> None:
    """A name whose next resolution returns a private address (DNS rebinding) is resolved once."""
    answers = iter([[ip_address("127.0.0.1")]])
    url = f"http://{HOST}:{port}/file"
    assert fetch(url, max_bytes=1000, resolve=lambda *_: next(answers))
    assert next(answers, None) is None


def test_fetch_tries_next_address_of_host(port: int) -> None:
    addresses = [ip_address("::1"), ip_address("127.0.0.1")]  # nothing listens on the first
    url = f"http://{HOST}:{port}/file"
    assert fetch(url, max_bytes=1000, resolve=lambda *_: addresses)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",  # decimal
        "0x7f000001",  # hexadecimal
        "127.1",
        "0",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.100.100.200",  # shared address space
        "169.254.169.254",  # metadata service of most clouds
        "192.0.0.192",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",  # NAT64
        "[2002:7f00:1::]",  # 6to4
        "[fe80::1]",
        "[fec0::1]",
        "[fc00::1]",
        "[ff02::1]",
    ],
)
def test_fetch_refuses_private_address(port: int, host: str) -> None:
    with pytest.raises(BadInput, match="not public"):
        fetch(f"http://{host}:{port}/file", max_bytes=1000)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_address_is_allowed(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/",
        "photo.jpg",
        "",
        "http://",
        "http://a\nb/",
        "http://host:port/",
        "http://0177.0.0.1/",  # octal
    ],
)
def test_fetch_refuses_invalid_url(url: str) -> None:
    with pytest.raises(BadInput, match="https://HOST/PATH"):
        fetch(url, max_bytes=1000)


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example"])
def test_fetch_refuses_invalid_host(host: str) -> None:
    with pytest.raises(BadInput, match="unknown"):
        fetch(f"http://{host}/", max_bytes=1000)


def test_fetch_stops_at_size_limit(port: int) -> None:
    with pytest.raises(TooLarge, match=r"larger than 0\.000999 MB"):
        fetch(f"http://{HOST}:{port}/file", max_bytes=999, resolve=resolve)


def test_fetch_stops_after_a_few_redirects(port: int) -> None:
    with pytest.raises(BadInput, match="more than 3 times"):
        fetch(f"http://{HOST}:{port}/again", max_bytes=1000, resolve=resolve)


def test_fetch_stops_at_deadline_while_server_sends_headers_slowly(port: int) -> None:
    with pytest.raises(DeadlineExceeded, match=r"0\.3 s"):
        fetch(f"http://{HOST}:{port}/slow", max_bytes=1000, timeout=0.3, resolve=resolve)


def test_fetch_reports_status_of_server(port: int) -> None:
    with pytest.raises(BadInput, match="status 404"):
        fetch(f"http://{HOST}:{port}/nothing", max_bytes=1000, resolve=resolve)


def test_fetch_reports_server_that_does_not_listen() -> None:
    with closed_port() as port, pytest.raises(BadInput, match="cannot be reached"):
        fetch(f"http://{HOST}:{port}/", max_bytes=1000, resolve=resolve)
