"""Answers over HTTP. If the client disconnects, the answer and its model call are cancelled.

return await last_item(request, events)                   # the whole answer
return await event_stream(request, events, encode)        # as server-sent events
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from rag_chatbot.chatbot import Chatbot
from seedbed.errors import SeedbedError, public_message
from seedbed.observe.logs_and_traces import request_id
from seedbed.server.streaming import EventStream, cancel_on_disconnect

log = logging.getLogger(__name__)
Item = str | dict[str, Any]  # a piece of the answer, or the whole answer at the end
Events = Generator[Item]


async def _chatbot(request: Request) -> Chatbot:
    chatbot: Chatbot = request.app.state.chatbot
    return chatbot


Bot = Annotated[Chatbot, Depends(_chatbot)]
"""The type of a route's parameter that receives the chatbot of the app."""


def event(data: Any, kind: str = "") -> bytes:
    """One server-sent event with JSON as its data.

    >>> event({"text": "Hello"}, "token")
    b'event: token\\ndata: {"text": "Hello"}\\n\\n'
    """
    name = f"event: {kind}\n" if kind else ""
    return f"{name}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


async def event_stream(
    request: Request, events: Events, encode: Callable[[Iterator[Item]], Iterator[bytes]]
) -> EventStream:
    """A response with the server-sent events into which `encode` turns the items.

    An error before the first item with text is raised here, before the status line is sent. A later
    one becomes an `error` event.
    """

    def encoded(first: Item) -> Iterator[bytes]:
        try:
            yield from encode(itertools.chain([first], events))
        except Exception as error:
            kind = error.type if isinstance(error, SeedbedError) else "internal_error"
            message = public_message(error, log)
            body = {"type": kind, "message": message, "request_id": request_id.get()}
            yield event({"error": body}, "error")

    item: Item = ""
    try:
        async with cancel_on_disconnect(request.receive):
            while not item:
                item = await anext(_in_thread(events))
    except BaseException:
        await run_in_threadpool(events.close)
        raise
    return EventStream(_in_thread(encoded(item)), partial(run_in_threadpool, events.close))


async def last_item(request: Request, events: Events) -> Item:
    """The whole answer."""
    item: Item = ""
    try:
        async with cancel_on_disconnect(request.receive):
            async for current in _in_thread(events):
                item = current
    finally:
        await run_in_threadpool(events.close)
    return item


async def _in_thread(blocking: Iterator[Any]) -> AsyncIterator[Any]:
    """The items of a blocking iterator, each produced in a worker thread.

    On cancellation it waits for the current item, as a running generator cannot be closed.
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
