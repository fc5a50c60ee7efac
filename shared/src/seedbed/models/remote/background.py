"""One event loop in a thread of its own, in which all calls of remote models run.

    run(call())                  # from ordinary code; Ctrl-C cancels the call
    await run_async(call())      # from any event loop; cancelling it cancels the call
    for chunk in iterate(stream(), cancel): ...    # another thread ends it by cancel.set()
    async for chunk in iterate_async(stream()): ...

Vendors' clients keep connections that belong to one event loop, while a program may use several,
or none. In this one loop, deadlines also apply to ordinary code, and ending the wait ends the HTTP
request.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()
_POLL = 0.1  # seconds until `cancel` is noticed: an event cannot wake a thread that waits for more
_loops: dict[int, asyncio.AbstractEventLoop] = {}  # by process, as threads do not survive a fork


def run(call: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine. An exception in the waiting thread cancels the coroutine."""
    future = _submit(call)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def run_async(call: Coroutine[Any, Any, T]) -> T:
    """`run` without blocking the caller's event loop."""
    return await asyncio.wrap_future(_submit(call))


def iterate(stream: AsyncIterator[T], cancel: threading.Event | None = None) -> Iterator[T]:
    """The items of a stream. Closing the iterator cancels it; so does `cancel`: CancelledError."""
    items: queue.SimpleQueue[tuple[T, BaseException | None]] = queue.SimpleQueue()
    future = _submit(_forward(stream, items.put))
    try:
        while True:
            if cancel is not None and cancel.is_set():
                raise CancelledError
            try:
                item, error = items.get(timeout=None if cancel is None else _POLL)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        future.cancel()


async def iterate_async(stream: AsyncIterator[T]) -> AsyncIterator[T]:
    """`iterate` without blocking the caller's event loop."""
    items: asyncio.Queue[tuple[T, BaseException | None]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def put(item: tuple[T, BaseException | None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(items.put_nowait, item)

    future = _submit(_forward(stream, put))
    try:
        while True:
            item, error = await items.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        future.cancel()


async def _forward(
    stream: AsyncIterator[T], put: Callable[[tuple[T, BaseException | None]], None]
) -> None:
    try:
        async for item in stream:
            put((item, None))
        put((_END, None))
    except BaseException as error:
        put((_END, error))
        if not isinstance(error, Exception):  # a cancellation
            raise
    finally:
        await stream.aclose()  # type: ignore[attr-defined]


def _submit(call: Coroutine[Any, Any, T]) -> Future[T]:
    """Start a coroutine in the loop. It has the caller's context variables, such as its span."""
    loop = _loops.get(os.getpid())
    if loop is None:
        new = asyncio.new_event_loop()
        loop = _loops.setdefault(os.getpid(), new)
        if loop is new:
            threading.Thread(target=loop.run_forever, name="remote-models", daemon=True).start()
        else:  # another thread was faster
            new.close()
    return asyncio.run_coroutine_threadsafe(call, loop)
