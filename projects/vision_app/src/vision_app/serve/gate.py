"""Limits how many requests work at a time, and how many may wait.

gate = Gate(slots=1, limit=32)
pages = await gate.run(lambda: vision.read(source))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from prometheus_client import Gauge
from starlette.concurrency import run_in_threadpool

from seedbed.errors import Busy

Result = TypeVar("Result")
WAITING = Gauge("vision_queue_length", "Requests that wait for a model.", ["queue"])


class Gate:
    """Runs blocking work in threads, at most `slots` at a time; `limit` requests may wait.

    Work that has begun keeps its slot until it ends, even if its client has disconnected: a thread
    cannot be stopped.
    """

    def __init__(self, slots: int, limit: int, *, name: str = "read") -> None:
        self.limit = limit
        self.waiting = 0
        self._slots = asyncio.Semaphore(slots)
        self._gauge = WAITING.labels(name)

    async def run(self, work: Callable[[], Result]) -> Result:
        """What `work` returns or raises. Raises Busy if too many requests wait."""
        if self._slots.locked() and self.waiting >= self.limit:
            message = f"The queue is full: {self.limit} requests are waiting."
            raise Busy(message, hint="Retry in a moment.", retry_after=2.0)
        self._count(1)
        try:
            await self._slots.acquire()
        finally:
            self._count(-1)
        running = asyncio.ensure_future(run_in_threadpool(work))
        running.add_done_callback(self._release)
        return await asyncio.shield(running)

    def _count(self, step: int) -> None:
        self.waiting += step
        self._gauge.set(self.waiting)

    def _release(self, running: asyncio.Future[Result]) -> None:
        self._slots.release()
        if not running.cancelled():
            running.exception()  # marks it as seen: its request may have been cancelled
