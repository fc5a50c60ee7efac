"""A blocking generator of events: a disconnect waits for the current item, and closes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from rag_chatbot.talk.streams import event, event_stream


def test_event_keeps_its_data_on_one_line() -> None:
    assert event("a\nö", "token") == 'event: token\ndata: "a\\nö"\n\n'.encode()


async def test_disconnect_completes_the_current_item_and_closes_the_generator() -> None:
    closed, sent, left = [], [], asyncio.Event()
    go_on, running = threading.Event(), threading.Event()

    def blocking() -> Iterator[bytes]:
        try:
            yield b"first"
            running.set()
            assert go_on.wait(30)
            yield b"second"
        finally:
            closed.append(True)

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    events: Any = blocking()
    request: Any = SimpleNamespace(receive=receive)
    response = await event_stream(request, events, lambda items: map(bytes, items))
    reading = asyncio.create_task(response({"type": "http"}, receive, send))
    while not running.is_set():
        await asyncio.sleep(0.005)
    left.set()
    for _ in range(10):  # turns of the event loop, enough for the disconnect to reach the stream
        await asyncio.sleep(0.005)
    assert not reading.done() and not closed
    go_on.set()
    await reading
    assert closed == [True] and b"".join(sent) == b"first"
