"""ASGI middleware for every request: request id, metrics, log line, access checks, body limits.

    app.add_middleware(BodyLimit, limit=50 * 2**20)          # innermost
    app.add_middleware(Guard, drain=drain, access=access)    # drain, host, origin, API key
    app.add_middleware(Context, drain=drain)                 # outermost; a bug becomes a 500

`service.create_app` adds all three. They are plain ASGI, so streams pass through unbuffered.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry import trace
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedbed import errors
from seedbed.observe.logs_and_traces import request_id, requester
from seedbed.observe.telemetry import error_kind, metric
from seedbed.safety.secrets import redact_secrets
from seedbed.server.access import Access
from seedbed.server.callers import Caller

log = logging.getLogger("seedbed.service")
OPEN_PATHS = ("/healthz", "/readyz")
"""Probes: they need no key, are answered during a drain, and do not count as running requests."""
_ENDLESS = "/heartbeat/"  # Gradio's stream, open as long as the page: a drain must not wait for it
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_READING = ("GET", "HEAD", "OPTIONS")
CLIENT_LEFT = 499  # status in log and metrics
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass
class Drain:
    """The running requests of a server, and whether it is shutting down."""

    draining: bool = False  # from the first SIGTERM or Ctrl-C on: new requests get a 503
    running: int = 0  # requests in progress, without probes and Gradio's heartbeat
    limit: int = 256  # maximum of `running`; requests above it get a 429


def error_response(
    scope: Scope,
    status: int,
    type_: str,
    message: str,
    headers: Mapping[str, str] | None = None,
    **details: str,
) -> Response:
    """The response to a request that failed, in one line. Secrets in the message are redacted."""
    scope["seedbed.error"] = type_
    line = " ".join(redact_secrets(message).splitlines())  # it may quote the client's input
    body = {"type": type_, "message": line, "request_id": request_id.get()}
    # ASCII only: the client's input may contain a lone surrogate, which UTF-8 cannot encode.
    content = json.dumps({"error": body | details}).encode()
    return Response(content, status, headers=headers, media_type="application/json")


def response_to(error: errors.SeedbedError, scope: Scope) -> Response:
    """The response to an error: with when to retry, and how to authenticate."""
    headers = dict(error.headers)
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    elif error.status == 429:  # OpenAI's clients retry a 429 unless this header forbids it
        headers["x-should-retry"] = "false"
    if error.status == 401:  # a browser is offered its own dialog for name and password
        browser = "text/html" in Headers(scope=scope).get("accept", "")
        headers["www-authenticate"] = f'{"Basic" if browser else "Bearer"} realm="seedbed"'
    return error_response(scope, error.status, error.type, str(error), headers, **error.details)


class Context:
    """Sets the request id, records metrics and one log line, and answers a bug with a bare 500."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self.app = app
        self.drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        # 1. Keep the client's request id if it is safe to log and to send back; else make one.
        client_id = Headers(scope=scope).get("x-request-id", "")
        token = request_id.set(client_id if _VALID_ID.fullmatch(client_id) else uuid.uuid4().hex)
        nobody = requester.set(None)
        start, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id.get()
            await send(message)

        # 2. Count the request as running, so that a drain waits for it.
        counts = not scope["path"].startswith(OPEN_PATHS) and _ENDLESS not in scope["path"]
        self.drain.running += counts
        metric("http_running").inc()
        try:
            # 3. Run the app.
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            # 4. Not a bug, and no client is left to answer. nginx logs the same status.
            status = status or CLIENT_LEFT
            scope["seedbed.error"] = "client_disconnect"
        except Exception as error:
            # 5. Log a bug in full, and answer without details unless a response has started.
            log.exception("%s %s failed", scope["method"], _raw_path(scope))
            scope["seedbed.error"] = error_kind(error)
            if not status:
                response = error_response(scope, 500, "internal_error", errors.UNEXPECTED)
                await response(scope, receive, send_with_id)
        finally:
            # 6. Record the outcome, also of a request whose client has disconnected.
            self.drain.running -= counts
            metric("http_running").dec()
            self._record(scope, status, time.perf_counter() - start)
            request_id.reset(token)
            requester.reset(nobody)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # Labels are routes, never paths of a client: the number of time series stays bounded.
        route = scope.get("seedbed.route") or getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in METHODS else "other"
        metric("http_requests").labels(method, route, str(status)).inc()
        metric("http_seconds").labels(route).observe(seconds)
        if status >= 400:
            metric("http_errors").labels(scope.get("seedbed.error", f"http_{status}")).inc()
        # Probes, scrapes and the many files of a page would bury the other lines.
        quiet = route in OPEN_PATHS or (route in ("page", "/metrics") and status < 400)
        log.log(
            logging.DEBUG if quiet else logging.INFO,
            "%s %s %d %.0f ms %s",
            scope["method"],
            _raw_path(scope),
            status,
            seconds * 1000,
            known.name if (known := requester.get()) else "-",
        )


def _raw_path(scope: Scope) -> str:
    """The path as sent, still percent-encoded, so it cannot put line breaks or escapes in a log."""
    return str(scope.get("raw_path", b"").decode("ascii", "replace"))


class Guard:
    """Refuses requests during a drain, above the limit, from other sites, or without a valid key.

    All paths but /healthz and /readyz are checked, those of the page and /metrics included.
    """

    def __init__(self, app: ASGIApp, drain: Drain, access: Access) -> None:
        self.app = app
        self.drain = drain
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"] not in OPEN_PATHS:
            try:
                if caller := await self._authorize(scope):
                    await self._count(caller, scope)
            except errors.SeedbedError as error:
                if scope["type"] == "http":
                    return await self._refusal(error, scope)(scope, receive, send)
                close = {"type": "websocket.close", "code": 1008, "reason": error.type}
                return await send(close)
        await self.app(scope, receive, send)

    async def _count(self, caller: Caller, scope: Scope) -> None:
        """Make the caller known to what handles the request. Raises Busy above their limits."""
        if self.access.limits and scope.get("method") not in _READING:
            await self.access.limits.admit(caller.name)
        known = self.access.requester(caller)
        scope.setdefault("state", {}).update(caller=caller, requester=known)
        requester.set(known)
        known.on_span(trace.get_current_span())

    async def _authorize(self, scope: Scope) -> Caller | None:
        """The caller; None on a path that needs none. Raises the error to answer with."""
        headers = Headers(scope=scope)
        # 1. Capacity.
        if self.drain.draining:
            raise errors.Unavailable("The server is shutting down.", hint="Try again shortly.")
        if self.drain.running > self.drain.limit:
            raise errors.Busy(f"The server is at its limit of {self.drain.limit} requests.")
        # 2. NUL characters, which neither databases nor file systems accept.
        if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
            raise errors.BadInput("The URL contains a NUL character.")
        # 3. Without keys, only the browser's same-origin policy keeps the page of another site from
        # using this server. DNS rebinding (a name of that site that resolves to 127.0.0.1) defeats
        # the policy, but leaves that name in the Host header.
        host = re.sub(r":\d+$", "", headers.get("host", "localhost"))
        if self.access.local_only and self.access.admits_anyone and host not in _LOCAL_HOSTS:
            raise errors.Unauthorized(
                f"Host {host!r} is not allowed: this server accepts requests to localhost only.",
                hint="Set SEEDBED_API_KEYS or SEEDBED_OIDC_ISSUER; or SEEDBED_OPEN=1 behind a "
                "gateway.",
            )
        # 4. A browser sends stored credentials along with requests of other sites (CSRF).
        safe = scope.get("method") in _READING  # a WebSocket has no method
        if not safe and self._is_cross_site(headers):
            raise errors.Unauthorized("Cross-site requests are not allowed.")
        # 5. The API key or the sign-in. The pages of the sign-in itself are for people without.
        sign_in = self.access.sign_in
        if sign_in is not None and sign_in.is_open(scope):
            return None
        return await self.access.authenticate(headers)

    def _refusal(self, error: errors.SeedbedError, scope: Scope) -> Response:
        sign_in = self.access.sign_in
        if error.status != 401 or sign_in is None:
            return response_to(error, scope)
        challenge = sign_in.challenge(scope, error)
        if isinstance(challenge, Response):
            return challenge
        response = response_to(error, scope)
        response.headers["www-authenticate"] = challenge
        return response

    def _is_cross_site(self, headers: Headers) -> bool:
        """Whether a browser sent the request for a page of another site, which is not trusted."""
        origin = headers.get("origin")
        if "*" in self.access.origins or origin in self.access.origins:
            return False
        # Pages cannot set the first header, but browsers send it to https and localhost only.
        site = headers.get("sec-fetch-site")
        if site is not None and site != "same-site":
            return site == "cross-site"
        host = headers.get("host", "").lower()
        return origin is not None and (not host or origin.lower().partition("://")[2] != host)


class BodyLimit:
    """Limits the size of a request body, in bytes, counted as it arrives.

    FastAPI's own `max_body_size` (0.165) answers a `content-length` over the limit in plain text
    from outside all other middleware: without the envelope, the request id, a log line or metrics.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        too_large = errors.TooLarge(
            f"The request body exceeds the limit of {self.limit / 2**20:.2g} MB."
        )
        # 1. Refuse a declared size above the limit before the body is read.
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.limit:
            return await response_to(too_large, scope)(scope, receive, send)
        received, started = 0, False

        # 2. Count the parts that the app reads: the header may be missing, or wrong.
        async def receive_part() -> Message:
            nonlocal received
            if received <= self.limit:
                message = await receive()
                received += len(message.get("body", b""))
            if received > self.limit:
                raise too_large
            return message

        # 3. Drop what the app itself answers to a refusal, such as FastAPI's 400 for any error
        # while it reads a body.
        async def send_unless_refused(message: Message) -> None:
            nonlocal started
            if started or received <= self.limit:
                started = True
                await send(message)

        try:
            await self.app(scope, receive_part, send_unless_refused)
        except Exception as error:
            if received <= self.limit:
                raise
            log.debug("body refused: %s", error)
        # 4. Answer with the refusal, unless the app had begun a response before it read the body.
        if received > self.limit and not started:
            await response_to(too_large, scope)(scope, receive, send)
