"""What surrounds every request of a server, as plain ASGI so that streams pass through unbuffered.

Outermost first: `Context` (request id, metrics, one log line, errors → envelope), `Guard` (drain,
origin, API key), `BodyLimit`. It knows no route; `service` puts the three around an app.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedbed import errors
from seedbed.guardrails import redact_secrets
from seedbed.observe.startup import request_id
from seedbed.observe.telemetry import error_kind, span
from seedbed.server.keys import KeySource

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

log = logging.getLogger("seedbed.service")
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
OPEN_PATHS = ("/healthz", "/readyz")
# Gradio keeps this stream open as long as the page is: a drain must not wait for it.
_ENDLESS = "/heartbeat/"


@dataclass
class Drain:
    """Whether the server is going down, how many requests it is answering, how many it may."""

    draining: bool = False
    running: int = 0
    most: int = 256


@dataclass(frozen=True)
class HttpMetrics:
    requests: Counter
    errors: Counter
    seconds: Histogram
    running: Gauge


@cache
def http_metrics() -> HttpMetrics:
    from prometheus_client import Counter, Gauge, Histogram

    return HttpMetrics(
        Counter("seedbed_http_requests_total", "Requests answered.", ("method", "route", "status")),
        Counter("seedbed_http_errors_total", "Error answers by type.", ("type",)),
        Histogram("seedbed_http_seconds", "Until the last byte of the answer.", ("route",)),
        Gauge("seedbed_http_running", "Requests being answered."),
    )


def envelope(type_: str, message: str, **details: str) -> bytes:
    body = {"type": type_, "message": redact_secrets(message), "request_id": request_id.get()}
    body |= details
    # A client's lone surrogate may stand in a message: escaped, it stays valid JSON.
    return json.dumps({"error": body}).encode()


def error_headers(error: errors.SeedbedError, scope: Scope | None = None) -> dict[str, str]:
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    elif error.status == 429:  # clients of OpenAI's protocol would try again by themselves
        headers["x-should-retry"] = "false"
    if isinstance(error, BodyTimeout):
        headers["connection"] = "close"
    if error.status == 401:
        browser = scope is not None and "text/html" in Headers(scope=scope).get("accept", "")
        headers["www-authenticate"] = f'{"Basic" if browser else "Bearer"} realm="seedbed"'
    return headers


async def send_error(scope: Scope, send: Send, error: errors.SeedbedError) -> None:
    """Answer with the envelope; a websocket is closed instead."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": error.type})
        return
    scope["seedbed.error"] = error.type
    body = envelope(error.type, str(error), **error.details)
    await _send(send, error.status, body, error_headers(error, scope))


async def _send(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    pairs = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    raw = [(name.encode(), value.encode()) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


class Context:
    """Request id, metrics, one log line a request; what nobody caught becomes a bare 500."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self.app = app
        self.drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        token = request_id.set(given if _VALID_ID.fullmatch(given) else uuid.uuid4().hex)
        started, status = time.perf_counter(), 0

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id.get()
            await send(message)

        counted = not scope["path"].startswith(OPEN_PATHS) and _ENDLESS not in scope["path"]
        self.drain.running += counted
        http_metrics().running.inc()
        try:
            with span(scope["method"]) as current:
                await self.app(scope, receive, with_id)
                current.update_name(f"{scope['method']} {_route(scope)}")
        except Exception as error:
            log.exception("%s %s failed", scope["method"], _shown(scope))
            scope["seedbed.error"] = error_kind(error)
            if not status:
                body = envelope("internal_error", errors.UNEXPECTED)
                await _send(with_id, 500, body, {})
        finally:
            self.drain.running -= counted
            http_metrics().running.dec()
            self._record(scope, status, time.perf_counter() - started)
            request_id.reset(token)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # Only addresses that exist become labels: the number of time series stays bounded.
        route = _route(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        known = http_metrics()
        known.requests.labels(method, route, str(status)).inc()
        known.seconds.labels(route).observe(seconds)
        if status >= 400:
            known.errors.labels(scope.get("seedbed.error", f"http_{status}")).inc()
        quiet = route in OPEN_PATHS or (route in ("page", "/metrics") and status < 400)
        log.log(
            logging.DEBUG if quiet else logging.INFO,
            "%s %s %d %.0f ms %s",
            scope["method"],
            _shown(scope),
            status,
            seconds * 1000,
            scope.get("state", {}).get("caller", "-"),
        )


def _route(scope: Scope) -> str:
    return scope.get("seedbed.route") or getattr(scope.get("route"), "path", None) or "other"


def _shown(scope: Scope) -> str:
    """The path as it came, percent-encoded: no line break or escape code reaches a log."""
    return str(scope.get("raw_path", b"").decode("ascii", "replace"))


_SLOWEST = 16_000  # bytes a second of a body, on average
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass
class Access:
    """Who may call: the keys, and whether only this machine's own names for itself are served."""

    keys: KeySource
    local_only: bool = False


class Guard:
    """Lets in who may come in: not while draining, not from a foreign page, not without a key.

    Everything but /healthz and /readyz passes here, the page and /metrics included.
    """

    def __init__(self, app: ASGIApp, drain: Drain, access: Access) -> None:
        self.app = app
        self.drain = drain
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"] not in OPEN_PATHS:
            try:
                scope.setdefault("state", {})["caller"] = self._admit(scope)
            except errors.SeedbedError as error:
                return await send_error(scope, send, error)
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        if self.drain.draining:
            raise errors.Unavailable("The server is shutting down.", hint="Try again shortly.")
        if self.drain.running > self.drain.most:
            raise errors.Busy(f"{self.drain.most} requests are running, the limit here.")
        if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
            raise errors.BadInput("The address holds a NUL character.")
        # Without a key, the browser's same-origin rules are all that keeps a web page elsewhere
        # from using this server; a name that resolves to 127.0.0.1 gets around them.
        host = re.sub(r":\d+$", "", headers.get("host", "localhost"))
        if self.access.local_only and not self.access.keys and host not in _LOCAL_NAMES:
            raise errors.Unauthorized(
                f"This server answers to localhost, not to {host!r}.",
                hint="Set SEEDBED_API_KEYS, or SEEDBED_OPEN=1 behind a gateway.",
            )
        safe = scope.get("method") in ("GET", "HEAD", "OPTIONS")  # a websocket has none
        if headers.get("sec-fetch-site") == "cross-site" and not safe:
            raise errors.Unauthorized("Another site's page may not send requests here.")
        return self.access.keys.caller(headers)


_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


class BodyTimeout(errors.BadInput):
    """The body came too slowly."""

    status = 408


class BodyLimit:
    """Refuses a body over `limit` bytes, counted as it arrives, whatever its header claims; and
    one that takes over `seconds`, and a second more for each 16 kB of it.

    FastAPI's own `max_body_size` (0.165) answers a `content-length` over the limit in plain text
    from outside all other middleware: without the envelope, the request id, a log line or metrics.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float = 10.0) -> None:
        self.app = app
        self.limit = limit
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        refusal: errors.SeedbedError = errors.TooLarge(
            f"The body is over {self.limit / 2**20:.2g} MB, the limit here."
        )
        claimed = Headers(scope=scope).get("content-length", "0")
        if claimed.isdecimal() and int(claimed) > self.limit:
            return await send_error(scope, send, refusal)
        received, over, started, ended = 0, False, False, False
        begun = time.monotonic()

        async def next_part() -> Message:
            if ended:  # what comes now is the client's leaving
                return await receive()
            end = begun + self.seconds + received / _SLOWEST
            async with asyncio.timeout(end - time.monotonic()):
                return await receive()

        async def counted() -> Message:
            nonlocal received, over, ended, refusal
            try:
                message = await next_part()
            except TimeoutError:
                over, refusal = True, BodyTimeout("The body did not arrive in time.")
                raise refusal from None
            received += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if received > self.limit:
                over = True
                raise refusal
            return message

        async def unless_over(message: Message) -> None:
            # The app may turn the refusal into an answer of its own: ours goes out instead.
            nonlocal started
            if started or not over:
                started = True
                await send(message)

        try:
            await self.app(scope, counted, unless_over)
        except Exception as error:
            if not over:
                raise
            log.debug("body over the limit: %s", error)
        if over and not started:
            await send_error(scope, send, refusal)
