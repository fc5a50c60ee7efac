"""Sending an answer while watching the client: who goes away stops the work.

It knows ASGI and no model. Who stays and never reads is cut off by `seedbed.server.connection`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
_WATCH_AFTER = 0.02  # seconds


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.asynccontextmanager
async def cancelled_when_gone(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client closes its connection, and raise ClientDisconnect."""
    task = asyncio.current_task()
    assert task is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        await _gone(receive)
        gone = True
        task.cancel()

    watching: asyncio.Task[None] | None = None

    def begin() -> None:
        nonlocal watching
        watching = asyncio.ensure_future(watch())

    # What is answered at once is not worth a task.
    soon = asyncio.get_running_loop().call_later(_WATCH_AFTER, begin)
    try:
        yield
    except asyncio.CancelledError:
        if gone and not task.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        soon.cancel()
        if watching is not None:
            watching.cancel()


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client goes away."""
    async with cancelled_when_gone(request.receive):
        return await work


class EventStream(Response):
    """Server-sent events. `close` runs at the end, however it comes, also before the first."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]],
        headers: Mapping[str, str],
    ) -> None:
        self.events = events
        self.close = close
        self.status_code = 200
        self.background = None
        # A proxy that buffers would hold the tokens back.
        self.init_headers({**headers, "cache-control": "no-cache", "x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            async with cancelled_when_gone(receive):
                await send(start)
                async for chunk in self.events:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientDisconnect:
            pass  # nobody is there to be told
        finally:
            await self.close()
