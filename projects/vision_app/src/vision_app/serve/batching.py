"""Joins concurrent requests into batches for a model, and limits how many may wait.

    batcher = Batcher(lambda images: classifier.classify(images), limit=32)
    prediction = await batcher.submit(image)      # batched with the images of other requests

    gate = Gate(slots=1, limit=32)
    pages = await gate.run(lambda: vision.read(source))     # for work that cannot be batched

An idle model starts at once with what there is; requests that arrive while it is busy form the next
batch. Nothing waits for a timer, so a single request is as fast as without batching. Decoding the
images is left to the caller.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import Gauge, Histogram
from starlette.concurrency import run_in_threadpool

from seedbed.errors import Busy

Item = TypeVar("Item")
Result = TypeVar("Result")
MAX_BATCH = 16
"""Images in a batch: above it, EfficientNet-Lite0 becomes slower per image on two cores."""


BATCH_SIZE = Histogram(
    "vision_batch_size", "Images per batch.", ["queue"], buckets=[2**n for n in range(5)]
)
WAITING = Gauge("vision_queue_length", "Requests that wait for a model.", ["queue"])


@dataclass(eq=False)  # found in the queue by identity: arrays cannot be compared
class _Job(Generic[Item, Result]):
    item: Item
    outcome: asyncio.Future[Result]


class Batcher(Generic[Item, Result]):
    """Calls `work` with the items of concurrent requests, at most `max_batch` at a time.

    `work` runs in a thread and returns one result per item, in their order. If it raises, each item
    is tried alone, so that one bad image does not fail the others. `limit` is the number of items
    that may wait. Use a batcher from one event loop.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], list[Result]],
        limit: int,
        *,
        max_batch: int = MAX_BATCH,
        name: str = "classify",
    ) -> None:
        self.work = work
        self.limit = limit
        self.max_batch = max_batch
        self._jobs: deque[_Job[Item, Result]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._batch_size = BATCH_SIZE.labels(name)
        self._waiting = WAITING.labels(name)

    async def submit(self, item: Item) -> Result:
        """The result for one item. Raises Busy if the queue is full, and what `work` raises.

        A cancelled request that still waits is removed from the queue.
        """
        # 1. Enter the queue, or refuse.
        if len(self._jobs) >= self.limit:
            raise full(self.limit)
        outcome: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        job = _Job(item, outcome)
        self._jobs.append(job)
        self._waiting.set(len(self._jobs))
        # 2. Start the worker unless it is running; it ends when the queue is empty.
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._drain())
        # 3. Wait for the result.
        try:
            return await outcome
        finally:
            if job in self._jobs:  # cancelled before its batch began
                self._jobs.remove(job)
                self._waiting.set(len(self._jobs))

    async def _drain(self) -> None:
        while self._jobs:
            size = min(self.max_batch, len(self._jobs))
            batch = [self._jobs.popleft() for _ in range(size)]
            self._waiting.set(len(self._jobs))
            self._batch_size.observe(size)
            outcomes = await run_in_threadpool(self._attempt, [job.item for job in batch])
            for job, outcome in zip(batch, outcomes, strict=True):
                if job.outcome.done():  # its request was cancelled
                    continue
                if isinstance(outcome, BaseException):
                    job.outcome.set_exception(outcome)
                else:
                    job.outcome.set_result(outcome)

    def _attempt(self, items: list[Item]) -> list[Result | Exception]:
        try:
            results = [*self.work(items)]
            if len(results) != len(items):  # or some requests would wait forever
                raise RuntimeError(f"{len(results)} results for {len(items)} items")
            return [*results]
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [outcome for item in items for outcome in self._attempt([item])]


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
            raise full(self.limit)
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


def full(limit: int) -> Busy:
    """The error for a request above the limit of a queue.

    >>> full(32).retry_after
    2.0
    """
    message = f"The queue is full: {limit} requests are waiting."
    return Busy(message, hint="Retry in a moment.", retry_after=2.0)
