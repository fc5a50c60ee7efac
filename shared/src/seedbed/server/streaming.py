"""Server-sent events, and work that is cancelled when the client disconnects.

return EventStream(events, close=call.aclose)
result = await until_disconnect(request, gateway.answer(...))  # one result, no stream
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
_WATCH_AFTER = 0.02  # seconds; for a shorter answer the task that watches the client costs more


@contextlib.asynccontextmanager
async def cancel_on_disconnect(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client disconnects, and raise ClientDisconnect.

    `receive` must belong to a request whose body has been read:

        async with cancel_on_disconnect(request.receive):
            await long_work()
    """
    task = asyncio.current_task()
    assert task is not None
    disconnected = False

    # 1. A second task waits for the disconnect and cancels this one.
    async def watch() -> None:
        nonlocal disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        disconnected = True
        task.cancel()

    watcher: asyncio.Task[None] | None = None

    def start() -> None:
        nonlocal watcher
        watcher = asyncio.ensure_future(watch())

    timer = asyncio.get_running_loop().call_later(_WATCH_AFTER, start)
    try:
        yield
    except asyncio.CancelledError:
        # 2. Other cancellations, such as the server's shutdown, must reach the caller unchanged.
        if disconnected and not task.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()


async def until_disconnect(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled if the client disconnects."""
    async with cancel_on_disconnect(request.receive):
        return await work


class EventStream(Response):
    """A response of server-sent events that stops when the client disconnects.

    `close` is awaited exactly once: after the last event, an error, a cancellation or a disconnect.
    Closing the generator would not be enough, as one that has not started never runs its `finally`.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.events = events
        self.close = close
        self.status_code = 200
        self.background = None
        # Against proxies that collect events before they pass them on; the second is nginx's.
        unbuffered = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        self.init_headers({**(headers or {}), **unbuffered})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            async with cancel_on_disconnect(receive):
                await send(start)
                async for chunk in self.events:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientDisconnect:
            pass  # no client is left to answer
        finally:
            await self.close()
