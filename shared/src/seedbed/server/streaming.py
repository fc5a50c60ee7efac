"""Server-sent events, and work that is cancelled when the client disconnects.

    return EventStream(events, close=call.aclose)                  # asynchronous events
    return EventStream(in_thread(events), close=...)               # events of a blocking generator
    result = await until_disconnect(request, gateway.answer(...))  # no stream at all

A client that stays connected but never reads is cut off by `seedbed.server.connection`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
_WATCH_AFTER = 0.02  # seconds; a shorter answer is not worth the task that watches the client


def event(kind: str, data: Any) -> bytes:
    """One server-sent event with JSON as its data.

    >>> event("token", {"text": "Hello"})
    b'event: token\\ndata: {"text": "Hello"}\\n\\n'
    """
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


@contextlib.asynccontextmanager
async def cancel_on_disconnect(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client closes its connection, and raise ClientDisconnect.

    `receive` is that of a request whose body has been read:

        async with cancel_on_disconnect(request.receive):
            await long_work()
    """
    task = asyncio.current_task()
    assert task is not None
    disconnected = False

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
        if disconnected and not task.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()


async def until_disconnect(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled if the client disconnects.

    >>> answer = await until_disconnect(request, model.ainvoke(question))  # doctest: +SKIP
    """
    async with cancel_on_disconnect(request.receive):
        return await work


async def in_thread(blocking: Iterator[T]) -> AsyncIterator[T]:
    """The items of a blocking iterator, each made in a worker thread.

    On cancellation the step that is running ends first: a generator can't be closed in the middle
    of one.

    >>> async for token in in_thread(chatbot.stream(question)): ...  # doctest: +SKIP
    """
    end: Any = object()
    while True:
        step = asyncio.ensure_future(run_in_threadpool(next, blocking, end))
        try:
            item = await asyncio.shield(step)
        except asyncio.CancelledError:
            await asyncio.wait([step])
            raise
        if item is end:
            return
        yield item


class EventStream(Response):
    """A response of server-sent events that stops when the client disconnects.

    `close` runs exactly once at the end, whichever way it comes. Closing the generator is not
    enough: one that has not started yet never runs its own `finally`.

    >>> EventStream(events, close=call.aclose, headers={"x-model": "smollm2"})  # doctest: +SKIP
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
        # A proxy that buffers would hold the tokens back.
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
