"""Answers that were given before, and answers that are being given right now.

An answer is cached as its events, under a hash of the request. Equal requests in flight share one
run. Keys, models and HTTP are left to the caller: a scope is a string that two requests must share,
a run is any function that makes an async iterator of events. Events are shared between requests:
copy one before changing it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from cachetools import TTLCache

from llm_service.request import Ask, Delta, Event, Events, Facts, Finish, Usage
from seedbed.errors import Unavailable

log = logging.getLogger(__name__)
Run = Callable[[], Events]

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
    readers: list[Facts] = field(default_factory=list)  # the first one pays, the others are shared
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

    def leave(self, facts: Facts) -> None:
        """A reader goes: the one that pays hands the costs on, or takes them with it at the end."""
        pays = self.readers[0] is facts
        self.readers = [reader for reader in self.readers if reader is not facts]
        if not pays:
            return
        if self.readers and not self.done:
            facts.cache, self.readers[0].cache = "shared", "miss"
            return
        for event in self.events:
            if isinstance(event, Usage):
                facts.usage = event
            elif isinstance(event, Delta):
                facts.generated += event.tokens

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
        self._answers: TTLCache[str, Answer] = TTLCache(
            mb * 2**20, seconds, timer=clock, getsizeof=lambda answer: answer.size
        )
        self._flights: dict[str, _Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def bytes(self) -> int:
        """What the kept answers take, about."""
        return int(self._answers.currsize)

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
    ) -> Events:
        """The events of a kept answer, of one in flight, or of `run()`; close it to go away.

        `facts.cache` is set before the first event: hit, shared or miss; it stays empty
        where nothing is cached. `lookup=False` runs again, `store=False` caches nothing and is
        not joined. Errors of a run reach all its readers; it is cancelled when the last one goes.
        """
        if not (store or lookup) or not self.cacheable(ask):
            return run()
        return self._answer(ask, scope, run, facts, store, lookup)

    async def _answer(
        self, ask: Ask, scope: str, run: Run, facts: Facts, store: bool, lookup: bool
    ) -> AsyncGenerator[Event, None]:
        scope = "" if self.shared else scope
        key = request_hash(ask, scope)
        if lookup:
            hit = self._answers.get(key)
            if hit is not None:
                facts.cache, facts.model_used, facts.backend = "hit", hit.model_used, hit.backend
                for event in hit.events:
                    yield event
                return
        flight = self._flights.get(key) if lookup else None
        if flight is None:
            flight = self._start(key, run, facts, store, lookup)
        else:
            facts.cache = "shared"
        events, position, loop = flight.events, 0, asyncio.get_running_loop()
        flight.readers.append(facts)
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
            flight.leave(facts)
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
        """The last reader has left: cancel the run and wait for it to end."""
        self._forget(flight, key)
        assert flight.task is not None
        flight.task.cancel()
        await asyncio.wait([flight.task])

    def _forget(self, flight: _Flight, key: str) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _pump(self, flight: _Flight, key: str, run: Run, store: bool) -> None:
        try:
            async with aclosing(run()) as events:
                async for event in events:
                    flight.events.append(event)
                    if flight.waiters:
                        flight.wake()
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
            self._answers[key] = answer
        except ValueError:  # larger than the whole cache
            return

    async def close(self) -> None:
        """Cancel the runs under way, and wait for them."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


# ── the events of an answer as they are kept ────────────────────────────────────────────────────


def complete(events: Iterable[Event]) -> bool:
    """Whether every choice that began has ended; an upstream may just stop."""
    begun = {event.index for event in events if isinstance(event, Delta)}
    ended = {event.index for event in events if isinstance(event, Finish)}
    return bool(ended) and begun <= ended


def merge(events: Iterable[Event]) -> list[Event]:
    """The same answer in fewer events: one delta a choice, except where `extra` comes in between.

    Choice by choice, each with its end, and the usage last.
    """
    choices: dict[int, list[Any]] = {}
    usage: list[Event] = []
    for event in events:
        if not isinstance(event, (Delta, Finish)):
            usage.append(event)
            continue
        parts = choices.setdefault(event.index, [])
        if isinstance(event, Finish) or event.extra:
            parts.append(event)
            continue
        if not parts or not isinstance(parts[-1], list):
            parts.append([])
        parts[-1].append(event)
    ordered = [part for index in sorted(choices) for part in choices[index]]
    return [_join(part) if isinstance(part, list) else part for part in ordered] + usage


def _join(deltas: list[Delta]) -> Delta:
    return Delta(
        "".join(delta.text for delta in deltas),
        deltas[0].index,
        sum(delta.tokens for delta in deltas),
        tool_calls=tuple(call for delta in deltas for call in delta.tool_calls),
        logprobs=tuple(entry for delta in deltas for entry in delta.logprobs),
    )


def size_of(value: Any) -> int:
    """Bytes of a value and all it holds."""
    total = sys.getsizeof(value)
    if isinstance(value, Mapping):
        return total + sum(size_of(k) + size_of(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return total + sum(map(size_of, value))
    if isinstance(value, Delta):
        return total + sum(
            map(size_of, (value.text, value.tool_calls, value.logprobs, value.extra or 0))
        )
    return total
