"""The HTTP server around `app.py`: a key, limits and a probe. `routes.py` adds what it offers.

    python -m PACKAGE.server              # on 127.0.0.1:8000; HOST= and PORT= bind another address
    NANO_KEY=secret HOST=0.0.0.0 python -m PACKAGE.server

With NANO_KEY, every path but /health requires the header `Authorization: Bearer KEY`. TLS, quotas
per client and several processes are left to a proxy in front.
"""

from __future__ import annotations

import hmac
import os
import signal
import sys
from typing import Any

import uvicorn
from dotenv import load_dotenv
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

MAX_RUNNING = 8  # requests at a time; the next one is refused rather than queued without end
MAX_BODY = 10_000_000  # bytes


class Gate:
    """Checks the key, the number of running requests, and the size of a body while it arrives.

    A middleware, since FastAPI reads the whole body before it calls any dependency, and since here
    a request also ends if its client leaves before the first event of a stream.
    """

    def __init__(self, app: Any, key: str) -> None:
        self.app, self.key, self.running = app, key, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] != "http" or scope["path"] == "/health":
            return await self.app(scope, receive, send)
        sent = Headers(scope=scope).get("authorization", "").removeprefix("Bearer ")
        # Compared in constant time, so that timing does not reveal how much of a guess is right.
        if self.key and not hmac.compare_digest(sent.encode(), self.key.encode()):
            return await refusal(401, "Wrong or missing API key.")(scope, receive, send)
        if self.running >= MAX_RUNNING:
            busy = refusal(429, "The server is full. Retry after 1 s.", {"retry-after": "1"})
            return await busy(scope, receive, send)
        size = 0

        async def receive_counted() -> Any:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise HTTPException(413, f"The body is larger than {MAX_BODY} bytes.")
            return message

        self.running += 1
        try:
            await self.app(scope, receive_counted, send)
        finally:
            self.running -= 1


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error in the form in which OpenAI's API has it, which its clients show."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "code": status}
    return JSONResponse({"error": error}, status, headers)


def create_app(key: str = "") -> FastAPI:
    """The server without the routes of `routes.py`. Without `key`, anyone may use it."""
    app = FastAPI()
    app.add_middleware(Gate, key=key)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return refusal(error.status_code, error.detail)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return refusal(400, f"{field}: {first['msg']}")

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        """Errors of models have a status, of other code none; uvicorn logs both."""
        status = getattr(error, "status", getattr(error, "status_code", None))
        if isinstance(status, int):
            return refusal(status, str(error))
        return refusal(500, "Something failed on our side; it is logged.")

    return app


def main() -> None:
    """Add the routes, then listen until Ctrl-C or SIGTERM."""
    load_dotenv(".env")
    key = os.environ.get("NANO_KEY", "")
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))
    if host not in ("127.0.0.1", "localhost", "::1") and not key:
        raise SystemExit(f"Set NANO_KEY before you bind {host}: any client could use the server.")
    from .routes import add_routes  # after the settings of `.env`

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that `atexit` runs
    app = create_app(key)
    add_routes(app)  # loads the models
    uvicorn.run(app, host=host, port=port)


if __name__ == "__main__":
    main()
