"""Answers that were given before, and answers that are being given right now.

An answer is kept as its events, under a hash of what was asked. Equal requests in flight share one
run. Nothing here knows keys, models or HTTP: a scope is a string that two requests must share, a
run is any function that makes an async iterator of events. Events are shared between requests:
whoever changes one copies it first.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import TracebackType

from cachetools import TTLCache

from llm_service.gateway.cache.recording import complete, merge, size_of
from llm_service.request import Ask, Event, Facts
from seedbed.errors import Unavailable

log = logging.getLogger(__name__)
Run = Callable[[], AsyncIterator[Event]]

_NOT_ASKED = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key"})


def request_hash(ask: Ask, scope: str) -> str:
    """Hex digest of what was asked: kind, model and body, but not by whom or whether streamed."""
    body = {name: value for name, value in ask.body.items() if name not in _NOT_ASKED}
    if body.get("n") == 1:
        del body["n"]
    if body.get("temperature") == 0:
        body["temperature"] = 0  # 0 and 0.0 are written differently
    text = json.dumps((scope, ask.kind, ask.model, body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class Answer:
    """The events of a complete answer, and who gave it."""

    events: list[Event]
    model_used: str = ""
    backend: str = ""
    size: int = 0


@dataclass(eq=False, slots=True)
class _Flight:
    """A run under way: its events so far, and the readers that wait for the next."""

    facts: Facts  # of the request that started it; the router writes there
    events: list[Event] = field(default_factory=list)
    waiters: list[asyncio.Future[None]] = field(default_factory=list)
    readers: int = 0
    done: bool = False
    error: BaseException | None = None
    trace: TracebackType | None = None
    task: asyncio.Task[None] | None = None

    def credit(self, facts: Facts) -> None:
        """Tell a reader who gave the answer."""
        if facts is not self.facts:
            facts.model_used, facts.backend = self.facts.model_used, self.facts.backend
        if facts.cache != "shared":
            facts.cache = "miss"

    def wake(self) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class AnswerCache:
    """At most `mb` megabytes of answers, each for `seconds`, the least recently used go first.

    Without `shared`, a scope (a key's id) sees only its own answers. `mb` 0 switches it off.
    """

    def __init__(
        self,
        mb: float,
        seconds: float,
        shared: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shared = shared
        self._on = mb > 0
        self._kept: TTLCache[str, Answer] = TTLCache(
            mb * 2**20, seconds, timer=clock, getsizeof=lambda answer: answer.size
        )
        self._flights: dict[str, _Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """What the kept answers take, about."""
        return int(self._kept.currsize)

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    def cacheable(self, ask: Ask) -> bool:
        """Whether the same request would get the same answer: temperature 0, or a seed."""
        body = ask.body
        return (
            self._on
            and ask.kind != "embedding"
            and (body.get("temperature") == 0 or body.get("seed") is not None)
        )

    def answer(
        self,
        ask: Ask,
        scope: str,
        run: Run,
        facts: Facts,
        *,
        store: bool = True,
        lookup: bool = True,
    ) -> AsyncIterator[Event]:
        """The events of a kept answer, of one in flight, or of `run()`; close it to go away.

        `facts.cache` is set before the first event: hit, shared or miss; it stays empty
        where nothing is cached. `lookup=False` runs anew, `store=False` keeps nothing and lets
        nobody join. Errors of a run reach all its readers; it is cancelled when the last one goes.
        """
        if not (store or lookup) or not self.cacheable(ask):
            return run()
        return self._answer(ask, scope, run, facts, store, lookup)

    async def _answer(
        self, ask: Ask, scope: str, run: Run, facts: Facts, store: bool, lookup: bool
    ) -> AsyncIterator[Event]:
        scope = "" if self.shared else scope
        key = request_hash(ask, scope)
        if lookup:
            kept = self._kept.get(key)
            if kept is not None:
                facts.cache, facts.model_used, facts.backend = "hit", kept.model_used, kept.backend
                for event in kept.events:
                    yield event
                return
        flight = self._flights.get(key) if lookup else None
        if flight is None:
            flight = self._start(key, run, facts, store, lookup)
        else:
            facts.cache = "shared"
        events, position, loop = flight.events, 0, asyncio.get_running_loop()
        flight.readers += 1
        try:
            while True:
                if position < len(events):
                    if not position:
                        flight.credit(facts)
                    position += 1
                    yield events[position - 1]
                elif flight.done:
                    break
                else:
                    waiter = loop.create_future()
                    flight.waiters.append(waiter)
                    await waiter
        finally:
            flight.readers -= 1
            if not flight.readers and not flight.done:
                await self._abandon(flight, key)
        flight.credit(facts)
        if flight.error is not None:
            # With the trace of the run only: each reader would add its own to the shared error.
            raise flight.error.with_traceback(flight.trace)

    def _start(self, key: str, run: Run, facts: Facts, store: bool, lookup: bool) -> _Flight:
        flight = _Flight(facts)
        if store and lookup:
            self._flights[key] = flight
        # A task of its own: the first reader may go away before the others.
        flight.task = asyncio.create_task(self._pump(flight, key, run, store), name="answer")
        self._tasks.add(flight.task)
        flight.task.add_done_callback(self._tasks.discard)
        return flight

    async def _abandon(self, flight: _Flight, key: str) -> None:
        """Nobody reads any more: stop the run, and wait until it has stopped."""
        self._forget(flight, key)
        assert flight.task is not None
        flight.task.cancel()
        await asyncio.wait([flight.task])

    def _forget(self, flight: _Flight, key: str) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _pump(self, flight: _Flight, key: str, run: Run, store: bool) -> None:
        try:
            await _copy(run(), flight)
            if store and complete(flight.events):
                self._keep(key, flight)
        except asyncio.CancelledError:
            flight.error = Unavailable(
                "The answer was interrupted.", hint="Send the request again."
            )
            raise
        except BaseException as error:
            flight.error, flight.trace = error, error.__traceback__
            if not isinstance(error, Exception):
                raise
        finally:
            flight.done = True
            self._forget(flight, key)
            flight.wake()

    def _keep(self, key: str, flight: _Flight) -> None:
        answer = Answer(merge(flight.events), flight.facts.model_used, flight.facts.backend)
        answer.size = len(key) + 500 + size_of(answer.events)
        try:
            self._kept[key] = answer
        except ValueError:  # larger than the whole cache
            return

    def clear(self) -> None:
        """Forget every kept answer; runs under way go on."""
        self._kept.clear()

    async def close(self) -> None:
        """Cancel the runs under way, and wait for them."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _copy(source: AsyncIterator[Event], flight: _Flight) -> None:
    events = flight.events
    try:
        async for event in source:
            events.append(event)
            if flight.waiters:
                flight.wake()
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()
