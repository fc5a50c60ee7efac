"""Event streams stop when their client disconnects: before the first event and in the middle."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from seedbed.server.streaming import EventStream, until_disconnect

pytestmark = pytest.mark.timeout(60)


class Client:
    """An ASGI client that reads an answer and disconnects when `left` is set."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.left = asyncio.Event()
        self.body_read = False
        self.closed = 0

    async def receive(self) -> dict[str, Any]:
        if not self.body_read:
            self.body_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        await asyncio.sleep(0)

    async def close(self) -> None:
        self.closed += 1

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def read(self, response: EventStream) -> None:
        await response({"type": "http"}, self.receive, self.send)

    def request(self) -> Request:
        return Request({"type": "http", "headers": []}, self.receive)


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def three() -> AsyncIterator[bytes]:
    for number in range(3):
        yield b"data: %d\n\n" % number


async def test_stream_is_sent_and_closed() -> None:
    client = Client()
    await client.read(EventStream(three(), client.close, {"x-model": "m"}))
    headers = dict(client.messages[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"x-model"] == b"m" and headers[b"x-accel-buffering"] == b"no"
    assert client.body == b"".join([piece async for piece in three()])
    assert client.messages[-1]["more_body"] is False
    assert client.closed == 1


async def test_disconnect_before_the_first_event_stops_the_work() -> None:
    client, stopped = Client(), []

    async def thinking() -> AsyncIterator[bytes]:
        try:
            await asyncio.sleep(3600)
            yield b"never"
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    reading = asyncio.create_task(client.read(EventStream(thinking(), client.close)))
    await until(lambda: client.messages)
    client.left.set()
    await reading  # without an error: no client is left to answer
    assert stopped and client.closed == 1 and client.body == b""


async def test_until_disconnect_cancels_the_work() -> None:
    client, started, cancelled = Client(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    waiting = asyncio.create_task(until_disconnect(client.request(), work()))
    await started.wait()
    client.left.set()
    with pytest.raises(ClientDisconnect):
        await waiting
    assert cancelled.is_set()
