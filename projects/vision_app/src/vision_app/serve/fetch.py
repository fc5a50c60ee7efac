"""Download an image from a URL that an API caller named, without reaching private networks.

    data = fetch("https://example.org/photo.jpg", max_bytes=25_000_000)

Otherwise a caller could read the cloud's metadata service or an internal page through this server
(server-side request forgery). Whether URLs are allowed at all, and what the bytes are, is left to
the caller. Proxies of the environment are not used.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpcore
import httpx

from vision_app.files.pixels import printable
from seedbed.errors import BadInput, DeadlineExceeded, TooLarge

MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
FORM, UPLOAD = "Use https://HOST/PATH.", "Check the URL, or upload the file."
HEADERS: dict[bytes | str, bytes | str] = {
    "User-Agent": "vision-app",
    "Accept": "image/*, application/pdf",
}
# Public by number, but reachable only from inside a cloud: Oracle's and Azure's metadata services.
CLOUD_INTERNAL = [ip_network("192.0.0.0/24"), ip_network("168.63.129.16/32")]

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], list[Address]]


def fetch(
    url: str, *, max_bytes: int, timeout: float = 20.0, resolve: Resolve | None = None
) -> bytes:
    """The content of an http or https URL, after at most MAX_REDIRECTS redirects.

    `timeout` in seconds is for everything but the resolution of names. `resolve` returns the
    addresses of a host that may be connected to; default: `resolve_public`. Raises BadInput for a
    URL that is invalid, private or unreachable, TooLarge over `max_bytes`, and DeadlineExceeded.

        fetch("http://2130706433/", max_bytes=1000)    # BadInput: that is 127.0.0.1
    """
    deadline = time.monotonic() + timeout
    shown = printable(url[:200])
    backend = _CheckedBackend(resolve or resolve_public, deadline)
    try:
        target = _parse(url)
        with httpcore.ConnectionPool(network_backend=backend) as pool:
            for _ in range(MAX_REDIRECTS + 1):
                content = _get(pool, target, max_bytes)
                if isinstance(content, bytes):
                    return content
                target = _parse(content)
    except (httpcore.TimeoutException, TimeoutError):
        raise DeadlineExceeded(f"{shown} took longer than {timeout:g} s.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError):
        raise BadInput(f"{shown} cannot be reached.", hint=UPLOAD) from None
    raise BadInput(f"{shown} redirects more than {MAX_REDIRECTS} times.", hint=UPLOAD)


def resolve_public(host: str, port: int) -> list[Address]:
    """The addresses of a host. Raises BadInput if one of them is not public, or there is none.

    >>> resolve_public("8.8.8.8", 443)
    [IPv4Address('8.8.8.8')]
    """
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise BadInput(f"The host {printable(host)} is unknown.", hint=UPLOAD) from None
    addresses = [ip_address(str(entry[4][0])) for entry in entries]
    if not addresses or not all(map(is_public, addresses)):
        # Without the address, which would reveal names of the private network.
        problem = "is not public; URLs in private networks are refused"
        raise BadInput(f"The host {printable(host)} {problem}.", hint=UPLOAD)
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address is in the public internet, also where it contains an IPv4 address.

    >>> is_public(ip_address("::ffff:127.0.0.1"))
    False
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address.sixtofour or address.is_site_local:
            return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    internal = any(address in network for network in CLOUD_INTERNAL)
    return address.is_global and not special and not internal


def _parse(url: str | httpx.URL) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise BadInput("The URL is invalid.", hint=FORM) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadInput("Only http and https URLs are allowed.", hint=FORM)
    return parsed


def _get(pool: httpcore.ConnectionPool, url: httpx.URL, max_bytes: int) -> bytes | httpx.URL:
    """The content, or the URL to which the server redirects."""
    target = httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
    with pool.stream("GET", target, headers=HEADERS) as response:
        headers = {name.lower(): value for name, value in response.headers}
        if response.status in REDIRECTS and b"location" in headers:
            return url.join(headers[b"location"].decode("latin-1"))
        if response.status != 200:
            raise BadInput(f"The server answered with status {response.status}.", hint=UPLOAD)
        content = bytearray()
        for chunk in response.iter_stream():
            content += chunk
            if len(content) > max_bytes:
                limit = f"{max_bytes / 1e6:g} MB"
                raise TooLarge(f"The file at the URL is larger than {limit}.", hint=UPLOAD)
        return bytes(content)


class _CheckedBackend(httpcore.NetworkBackend):
    """Resolves a host once and connects to the address that was checked.

    A second resolution could return another address (DNS rebinding). TLS still verifies the host.
    """

    def __init__(self, resolve: Resolve, deadline: float) -> None:
        self._resolve, self._deadline = resolve, deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> _Stream:  # noqa: ARG002
        *others, last = self._resolve(host, port)
        for address in others:
            with suppress(httpcore.ConnectError):
                return self._connect(address, port)
        return self._connect(last, port)

    def _connect(self, address: Address, port: int) -> _Stream:
        stream = self._backend.connect_tcp(str(address), port, _left(self._deadline))
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    """A connection that ends at a deadline, even if the server sends a byte now and then."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline
        self.close, self.get_extra_info = stream.close, stream.get_extra_info  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _left(self._deadline))

    def start_tls(self, *args: Any, **kwargs: Any) -> _Stream:
        stream = self._stream.start_tls(*args, **kwargs | {"timeout": _left(self._deadline)})
        return _Stream(stream, self._deadline)


def _left(deadline: float) -> float:
    """Seconds until `deadline`. Raises TimeoutError after it."""
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left
