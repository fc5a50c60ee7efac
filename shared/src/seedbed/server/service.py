"""Creates and runs FastAPI apps with what every server needs: health, keys, limits, error format.

    app = create_app("demo", version="1.0")

    @app.get("/v1/me")
    def me(caller: CurrentCaller) -> str:
        return caller.name

    serve(app, port=8000)

The checks around every request are in `middleware`. A client that sends its request slowly, or does
not read the answer, keeps its connection: limits on that are left to a reverse proxy.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import uvicorn
from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from seedbed import errors
from seedbed.observe import logs_and_traces
from seedbed.server.access import Access, require_operator
from seedbed.server.callers import Caller
from seedbed.server.keys import Keys
from seedbed.server.limits import Limits
from seedbed.server.middleware import (
    OPEN_PATHS,
    BodyLimit,
    Context,
    Drain,
    Guard,
    error_response,
    response_to,
)
from seedbed.settings import OidcSettings, Settings, load

if TYPE_CHECKING:
    from types import FrameType

    from seedbed.server.sign_in import SignIn

log = logging.getLogger("seedbed.service")
# Error types for the exceptions of Starlette; those of seedbed carry their own.
_TYPE_BY_STATUS = {400: "bad_input", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def caller_of(request: Any) -> Caller:
    """The caller of a request (Starlette's or Gradio's); `LOCAL` without API keys.

    Raises Unauthorized for a request that did not pass
    `middleware.Guard`.
    """
    scope = getattr(request, "request", request).scope
    if "caller" not in scope.get("state", {}):
        raise errors.Unauthorized("The API key of this request was not checked.")
    caller: Caller = scope["state"]["caller"]
    return caller


# `async`, as FastAPI would run a plain function in a thread: slower than the lookup itself.
async def _caller(
    request: Request, _: Annotated[Any, Depends(HTTPBearer(auto_error=False))]
) -> Caller:
    return caller_of(request)


CurrentCaller = Annotated[Caller, Depends(_caller)]
"""The type of a route's parameter that receives the caller."""


class ErrorDetail(BaseModel):
    """What an API reports about an error."""

    type: str = Field(description="Machine-readable kind of the error, e.g. `not_found`.")
    message: str = Field(description="What went wrong, and what to do about it.")
    request_id: str = Field(description="Also in the `X-Request-Id` header and in the log.")


class ErrorResponse(BaseModel):
    """The body of every error response, for the OpenAPI document of an app."""

    error: ErrorDetail


def _clean(text: str) -> str:
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise ValueError("contains a NUL character or half a surrogate pair")
    return text


CleanText = Annotated[str, AfterValidator(_clean)]
"""A string that databases and tokenizers accept: without NUL characters and lone surrogates."""


def create_app(
    title: str,
    *,
    version: str,
    ready: Callable[[], None] = lambda: None,
    settings: Settings | None = None,
    max_body_mb: float = 50,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[Any]] | None = None,
    on_shutdown: Callable[[], None] | None = None,
) -> FastAPI:
    """A FastAPI app with /healthz, /readyz and /metrics, and one format for every error.

    - `ready` raises while the app cannot answer (best: Unavailable, with the reason). It runs on
      each call of /readyz, so it must be cheap.
    - `settings` are read from the environment by default.
    - `max_body_mb` is the maximum size of a request body in MiB; larger ones are answered with 413.
    - `lifespan` is an async context manager around all requests, for what starts and stops with the
      app; it is left when the last one has ended or `serve`'s grace period is over.
    - `on_shutdown` is a blocking function that runs in a thread after that.

    `app.state.access` and `app.state.drain` decide who may call and how many at once (`Access`,
    `Drain`); requests to the paths in `app.state.untraced` get no span.
    """
    # 1. Settings, logs and traces.
    settings = settings or load(Settings)
    logs_and_traces.start(title, settings.log_level)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[Any]:
        if lifespan is None:
            yield
        else:
            async with lifespan(app) as state:
                yield state
        if on_shutdown is not None:
            await run_in_threadpool(on_shutdown)

    # 2. The app, without FastAPI's pages for /docs, which load scripts from a CDN.
    # FastAPI makes the span of a request, in the trace that its header `traceparent` names.
    untraced = {*OPEN_PATHS}
    spans: Any = {"operation_spans": False, "exclude": lambda scope: scope["path"] in untraced}
    app = FastAPI(
        title=title, version=version, lifespan=life, docs_url=None, redoc_url=None, telemetry=spans
    )
    app.state.untraced = untraced
    app.state.drain = Drain()
    app.state.max_body = int(max_body_mb * 2**20)
    app.state.settings = settings
    keys = Keys.parse(settings.api_keys.get_secret_value())
    app.state.access = Access(
        keys,
        _sign_in(load(OidcSettings)),
        limits=Limits(settings),
        log_plain=settings.log_callers == "plain",
    )
    # 3. The middleware, innermost first, and the routes and error format of every server.
    app.add_middleware(BodyLimit, limit=app.state.max_body)
    app.add_middleware(Guard, drain=app.state.drain, access=app.state.access)
    app.add_middleware(Context, drain=app.state.drain)
    _add_errors(app)
    _add_health(app, ready)
    if app.state.access.sign_in is not None:
        app.state.access.sign_in.add_routes(app)
    return app


def _sign_in(oidc: OidcSettings) -> SignIn | None:
    if not oidc.issuer:
        return None
    errors.MissingExtra.check("jwt", "authlib", "cryptography", "httpx2", extra="sign-in")
    from seedbed.server.sign_in import SignIn  # imports cryptography

    return SignIn(oidc)


def _add_health(app: FastAPI, ready: Callable[[], None]) -> None:
    probes = CapacityLimiter(2)  # threads of their own: the others may all wait for something

    # `async`, as a plain function would wait for one of the threads that run the other routes.
    # HEAD is what some load balancers send.
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """Liveness: 200 while the process responds."""
        return {"status": "ok"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", tags=["health"])
    async def readyz() -> dict[str, str]:
        """Readiness: 200, or 503 with the reason."""
        if app.state.drain.draining:
            raise errors.Unavailable("The server is shutting down.")
        try:
            await to_thread.run_sync(ready, limiter=probes)
        except errors.Unavailable:
            raise
        except Exception as error:
            log.warning("not ready: %s", error)  # in full; probes need no key, so they get less
            reason = str(error) if isinstance(error, errors.SeedbedError) else "A check failed."
            raise errors.Unavailable(f"Not ready: {reason}") from error
        return {"status": "ready"}

    @app.get("/metrics", tags=["health"])
    def metrics(caller: CurrentCaller) -> Response:
        """Metrics of this process in Prometheus' text format."""
        require_operator(caller, "read the metrics")
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(errors.SeedbedError)
    async def seedbed_error(request: Request, error: errors.SeedbedError) -> Response:
        if error.status >= 500 and request.url.path not in OPEN_PATHS:  # probes are frequent
            log.warning("%s: %s", error.type, error)
        return response_to(error, request.scope)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        message = validation_message(error.errors())
        return error_response(request.scope, 400, "bad_input", message)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        message = str(error.detail)
        if error.status_code == 404:
            message = f"Not found: {request.method} {request.url.path!r}."
        elif error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "none")
            path = request.url.path
            message = f"{request.method} is not allowed for {path!r}. Allowed: {allowed}."
        type_ = _TYPE_BY_STATUS.get(error.status_code, "error")
        return error_response(request.scope, error.status_code, type_, message, error.headers)


def validation_message(details: Any) -> str:
    """The first of Pydantic's errors in one line: the field and the problem, without the value."""
    first = details[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == "json_invalid":
        return f"The body is not valid JSON: {first['ctx']['error']}, at character {field}."
    if not field and isinstance(first.get("input"), bytes):
        return "body: not sent as JSON. Send it with `content-type: application/json`."
    if first["type"] in ("model_attributes_type", "model_type", "dict_type"):
        return f"{field or 'body'}: should be a JSON object."
    message = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{field or 'body'}: {message}."


class _Server(uvicorn.Server):
    """Uvicorn with a drain: the socket stays open until the running requests have ended.

    Uvicorn itself closes it on the first signal, so that a load balancer's probe of /readyz fails
    to connect instead of getting the reason. A second signal stops the server at once.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain, grace: float) -> None:
        super().__init__(config)
        self.drain = drain
        self.grace = grace  # seconds
        self.deadline = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.drain.draining:
            self.force_exit = True
            super().handle_exit(sig, frame)
            return
        self.drain.draining = True
        self.deadline = time.monotonic() + self.grace
        log.info("shutting down: up to %g s for %d requests", self.grace, self.drain.running)

    async def on_tick(self, counter: int) -> bool:
        if self.drain.draining:
            done = self.drain.running == 0 or time.monotonic() > self.deadline
            self.should_exit = self.should_exit or done
        return await super().on_tick(counter)


def serve(
    app: FastAPI,
    port: int,
    host: str = "127.0.0.1",
    *,
    bound_to: Callable[[int], None] = lambda _: None,
) -> None:
    """Serve an app until SIGTERM or Ctrl-C.

    `port` 0 selects a free port; `bound_to` is called with the port as soon as it is open.
    Raises ConfigError if `host` is not a loopback address and there are no API keys (SEEDBED_OPEN=1
    permits it), and Unavailable if the port cannot be opened.
    """
    # 1. Refuse to expose a server without keys.
    settings: Settings = app.state.settings
    local = is_loopback(host)
    if not local:
        require_access(app, host)
    app.state.access.local_only = local and not settings.open
    # 2. Open the port here, as uvicorn would only log a failure and exit.
    listener = bind(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    bound_to(listener.getsockname()[1])
    # 3. Serve; `_Server` drains the requests.
    log.info("%s serves on http://%s:%d", app.title, host, listener.getsockname()[1])
    _Server(config, app.state.drain, app.state.settings.grace).run(sockets=[listener])


def require_access(app: FastAPI, host: str) -> None:
    """Raise ConfigError if anyone may call, unless SEEDBED_OPEN=1; `host` is for the message."""
    if app.state.access.admits_anyone and not app.state.settings.open:
        raise errors.ConfigError(
            f"Serving on {host!r} requires API keys or sign-in.",
            hint='Set SEEDBED_API_KEYS="name=key" or SEEDBED_OIDC_ISSUER, or SEEDBED_OPEN=1 behind '
            "a gateway.",
        )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A TCP socket bound to the address, not listening yet. Raises Unavailable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise errors.Unavailable(
            f"Cannot open port {port} on {host}: {reason}.",
            hint="Choose another with --port.",
        ) from None
    return listener
