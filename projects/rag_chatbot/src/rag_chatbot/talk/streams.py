"""Answers over HTTP that end when their client disconnects, the call of the model included.

first = await first_item(request, events)     # then events as a stream
answer = await last_item(request, events)     # the whole answer
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Generator, Iterator
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from seedbed.errors import SeedbedError, public_message
from seedbed.observe.logs_and_traces import request_id
from seedbed.server.streaming import cancel_on_disconnect

log = logging.getLogger(__name__)
T = TypeVar("T")
Item = str | dict[str, Any]  # a piece of the answer, or the whole answer at the end
Events = Generator[Item]


def event(kind: str, data: Any) -> bytes:
    """One server-sent event with JSON as its data.

    >>> event("token", {"text": "Hello"})
    b'event: token\\ndata: {"text": "Hello"}\\n\\n'
    """
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


async def in_thread(blocking: Iterator[T]) -> AsyncIterator[T]:
    """The items of a blocking iterator, each produced in a worker thread.

    On cancellation it waits for the current item, as a running generator cannot be closed.

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


async def first_item(request: Request, events: Events) -> Item:
    """The first item with text. An error is raised here, before the status line is sent."""
    item: Item = ""
    try:
        async with cancel_on_disconnect(request.receive):
            while not item:
                item = await anext(in_thread(events))
    except BaseException:
        await run_in_threadpool(events.close)
        raise
    return item


async def last_item(request: Request, events: Events) -> Item:
    """The whole answer."""
    item: Item = ""
    try:
        async with cancel_on_disconnect(request.receive):
            async for event in in_thread(events):
                item = event
    finally:
        await run_in_threadpool(events.close)
    return item


def closing(events: Events) -> Any:
    """What an EventStream awaits at its end."""
    return partial(run_in_threadpool, events.close)


def error_body(error: Exception) -> dict[str, Any]:
    """An error as an event, where the status line has been sent already."""
    kind = error.type if isinstance(error, SeedbedError) else "internal_error"
    body = {"type": kind, "message": public_message(error, log), "request_id": request_id.get()}
    return {"error": body}
