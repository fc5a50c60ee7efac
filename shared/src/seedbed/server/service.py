"""The FastAPI factory: health, metrics, request ids, keys, limits, errors and a graceful end.

It knows no project: a project adds routes to what `create_app` returns and runs it with `serve`.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import AfterValidator
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from seedbed import errors
from seedbed.observe import startup
from seedbed.server.connection import STALL_SECONDS, Connection
from seedbed.server.keys import Keys, KeySource
from seedbed.server.middleware import (
    OPEN_PATHS,
    Access,
    BodyLimit,
    Context,
    Drain,
    Guard,
    envelope,
    error_headers,
)
from seedbed.settings import Settings, load

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger("seedbed.service")
_TYPES = {400: "bad_input", 401: "unauthorized", 403: "forbidden", 404: "not_found"} | {
    405: "method_not_allowed",
    413: "too_large",
    422: "bad_input",
    429: "busy",
    503: "unavailable",
}


def caller_of(request: Any) -> str:
    """Who sends this request (Starlette's or Gradio's): a key's name, `"local"` without keys."""
    scope = getattr(request, "request", request).scope
    if "caller" not in scope.get("state", {}):
        raise errors.Unauthorized("Nobody checked this request's key.")
    return str(scope["state"]["caller"])


# Not a plain function: those run in a thread, which takes longer than the look into the scope.
async def _caller(
    request: Request, _: Annotated[Any, Depends(HTTPBearer(auto_error=False))]
) -> str:
    return caller_of(request)


Caller = Annotated[str, Depends(_caller)]
"""A route's parameter of this type holds the name of the API key that calls it."""


def _clean(text: str) -> str:
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise ValueError("holds a NUL character or half a surrogate pair")
    return text


CleanText = Annotated[str, AfterValidator(_clean)]
"""A string that a database and a model can take: no NUL character (or lone surrogate)."""


def create_app(
    title: str,
    *,
    version: str,
    ready: Callable[[], None] = lambda: None,
    settings: Settings | None = None,
    keys: KeySource | None = None,
    max_body_mb: float = 50,
    max_requests: int = 256,
    stall_seconds: float = STALL_SECONDS,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[Any]] | None = None,
    on_shutdown: Callable[[], None] | None = None,
) -> FastAPI:
    """An app with /healthz, /readyz, /metrics, and every error in one envelope.

    The keys are those of SEEDBED_API_KEYS, or `keys`, where a project keeps its own.
    Over `max_requests` at a time are answered Busy, bodies over `max_body_mb` TooLarge. Who takes
    nothing of an answer for `stall_seconds` loses the connection.

    `ready` raises (best: Unavailable, with the reason) while the app can't answer; it must be
    cheap, for it runs on each call of /readyz.

    `lifespan` is an async context manager around all requests, for what starts and stops with the
    app, such as a worker: it is entered before the first request is accepted and left after the
    last one has ended (or `serve`'s grace period has). `on_shutdown`, the short form for code that
    blocks, runs in a thread after that.

        @asynccontextmanager
        async def worker(app: FastAPI) -> AsyncIterator[None]:
            task = asyncio.create_task(work(app))
            yield
            task.cancel()

        app = create_app("demo", version="1", lifespan=worker)
    """
    settings = settings or load(Settings)
    startup.start(title, settings.log_level)
    drain = Drain(most=max_requests)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[Any]:
        if lifespan is None:
            yield
        else:
            async with lifespan(app) as state:
                yield state
        if on_shutdown is not None:
            await run_in_threadpool(on_shutdown)

    # The stock pages for /docs load their scripts from a CDN; /openapi.json has it all, offline.
    app = FastAPI(title=title, version=version, lifespan=life, docs_url=None, redoc_url=None)
    app.state.drain = drain
    app.state.max_body = int(max_body_mb * 2**20)
    app.state.stall_seconds = stall_seconds
    app.state.settings = settings
    app.state.access = Access(
        Keys.parse(settings.api_keys.get_secret_value()) if keys is None else keys
    )
    app.add_middleware(BodyLimit, limit=app.state.max_body)
    app.add_middleware(Guard, drain=drain, access=app.state.access)
    app.add_middleware(Context, drain=drain)
    _add_errors(app)
    _add_health(app, ready, drain)
    return app


def _add_health(app: FastAPI, ready: Callable[[], None], drain: Drain) -> None:
    @app.get("/healthz", tags=["health"])
    def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"])
    def readyz() -> dict[str, str]:
        """It can answer; 503 with the reason otherwise."""
        if drain.draining:
            raise errors.Unavailable("The server is shutting down.")
        try:
            ready()
        except errors.Unavailable:
            raise
        except Exception as error:
            log.warning("not ready: %s", error)
            reason = str(error) if isinstance(error, errors.SeedbedError) else "a check failed"
            raise errors.Unavailable(f"Not ready: {reason}.") from error
        return {"status": "ready"}

    @app.get("/metrics", tags=["health"])
    def metrics() -> Response:
        """Prometheus counters of this process."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(errors.SeedbedError)
    async def seedbed_error(request: Request, error: errors.SeedbedError) -> Response:
        if error.status >= 500 and request.url.path not in OPEN_PATHS:  # a probe asks often
            log.warning("%s: %s", error.type, error)
        headers = error_headers(error)
        return _answer(request, error.status, error.type, str(error), headers, **error.details)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _answer(request, 400, "bad_input", validation_message(error.errors()))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        message = str(error.detail)
        if error.status_code == 404:
            message = f"No such address: {request.method} {request.url.path!r}."
        elif error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            message = f"{request.url.path!r} takes {allowed}, not {request.method}."
        type_ = _TYPES.get(error.status_code, "error")
        return _answer(request, error.status_code, type_, message, dict(error.headers or {}))


def _answer(
    request: Request,
    status: int,
    type_: str,
    message: str,
    headers: dict[str, str] | None = None,
    **details: str,
) -> Response:
    request.scope["seedbed.error"] = type_
    body = envelope(type_, message, **details)
    return Response(body, status, headers=headers, media_type="application/json")


def validation_message(found: Any) -> str:
    """The first of pydantic's complaints in one line that names the field, without its value."""
    first = found[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == "json_invalid":
        return f"The body is not valid JSON: {first['ctx']['error']}, at character {field}."
    if not field and isinstance(first.get("input"), bytes):
        return "body: is not sent as JSON. Send it with `content-type: application/json`."
    if first["type"] in ("model_attributes_type", "model_type", "dict_type"):
        return f"{field or 'body'}: should be a JSON object."
    message = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{field or 'body'}: {message}."


class _Server(uvicorn.Server):
    """Uvicorn that closes its socket after the running requests, not before: /readyz says so."""

    def __init__(self, config: uvicorn.Config, drain: Drain, grace: float) -> None:
        super().__init__(config)
        self.drain = drain
        self.grace = grace
        self.deadline = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.drain.draining:
            self.force_exit = True
            super().handle_exit(sig, frame)
            return
        self.drain.draining = True
        self.deadline = time.monotonic() + self.grace
        log.info("shutting down: %d running requests may end", self.drain.running)

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
    grace: float = 30,
    bound_to: Callable[[int], None] = lambda _: None,
) -> None:
    """Run until SIGTERM or Ctrl-C; running requests then have `grace` seconds to end.

    `bound_to` is told the port once it is ours.

    Raises ConfigError for an address beyond this machine without keys (SEEDBED_OPEN=1 allows it),
    Unavailable if the port is taken.
    """
    settings: Settings = app.state.settings
    local = is_loopback(host)
    if not local:
        require_keys(app.state.access.keys, settings, host)
    app.state.access.local_only = local and not settings.open
    bound = bind(host, port)
    _raise_file_limit()
    connection: Any = partial(Connection, stall_seconds=app.state.stall_seconds)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        server_header=False,
        http=connection,
    )
    bound_to(bound.getsockname()[1])
    log.info("%s serves on http://%s:%d", app.title, host, bound.getsockname()[1])
    _Server(config, app.state.drain, grace).run(sockets=[bound])


def _raise_file_limit() -> None:
    """A thousand idle connections are more than the 1,024 files that a process has by default."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def require_keys(keys: KeySource, settings: Settings, host: str) -> None:
    """Raise ConfigError where a server beyond this machine would be open to everyone."""
    if not keys and not settings.open:
        raise errors.ConfigError(
            f"Serving on {host!r} without a key would let anyone in.",
            hint='Set SEEDBED_API_KEYS="name=key", or SEEDBED_OPEN=1 behind a gateway.',
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A socket at the address, which nobody listens on yet. Raises Unavailable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise errors.Unavailable(
            f"Port {port} on {host} can't be opened: {str(error).rstrip('.')}.",
            hint="Choose another with --port.",
        ) from None
    return bound
