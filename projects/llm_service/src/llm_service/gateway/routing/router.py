"""Which target answers a request: choose, try again, fall back, all before one deadline.

A request may be tried again only until its first event has been passed on: what a client has begun
to read is not begun anew. The router knows targets by their names and how they answered; what they
are (a process of ours, an upstream) is their own business.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_service.gateway.routing.attempt import Attempt, Slot, Watch, begin
from llm_service.gateway.routing.breaker import Breaker
from llm_service.gateway.routing.prefix_affinity import PrefixAffinity, blocks_of
from llm_service.models.entry import ModelEntry, Route
from llm_service.request import Ask, Backend, Embedded, Event, Facts
from seedbed.errors import (
    Busy,
    DeadlineExceeded,
    MissingExtra,
    SeedbedError,
    Unavailable,
    WeightsError,
)

FIRST_PAUSE = 0.2
MOST_PAUSE = 5.0
# What another target, or the same one later, may mend.
_MENDABLE = (Unavailable, DeadlineExceeded, Busy)
# What the same target would only say again: a queue is full, weights or a package are missing.
_STAYS = (Busy, WeightsError, MissingExtra)


@dataclass(slots=True)
class _Search:
    """One request on its way: what was tried, and what is left to try."""

    route: Route
    ask: Ask
    facts: Facts
    deadline: float
    began: float
    blocks: list[int] = field(default_factory=list)
    tried: dict[str, SeedbedError] = field(default_factory=dict)
    pauses: int = 0


class Router:
    """`backends` holds each model's backend, or its replicas. `previous` is the router before a
    reload: what it knows of backends that are still there is kept.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend | Sequence[Backend]],
        models: Mapping[str, ModelEntry] | None = None,
        *,
        previous: Router | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._random = rng or random.Random()
        self._affinity: PrefixAffinity = previous._affinity if previous else PrefixAffinity()
        known = {id(slot.backend): slot for slot in previous.slots()} if previous else {}
        self._slots: dict[str, list[Slot]] = {}
        for model, given in backends.items():
            replicas = list(given) if isinstance(given, Sequence) else [given]
            self._slots[model] = []
            for place, backend in enumerate(replicas):
                slot = known.get(id(backend)) or Slot(
                    model,
                    model if len(replicas) == 1 else f"{model}#{place}",
                    backend,
                    Breaker(clock),
                )
                if models and (entry := models.get(model)):
                    slot.kind, slot.timeout = entry.backend, entry.timeout
                self._slots[model].append(slot)

    def slots(self) -> list[Slot]:
        return [slot for slots in self._slots.values() for slot in slots]

    def states(self) -> list[dict[str, Any]]:
        """For metrics and the status page: a row for each replica."""
        return [
            {
                "model": slot.model,
                "name": slot.name,
                "backend": slot.kind,
                "state": slot.breaker.state,
                "retry_after": slot.breaker.retry_after,
                "running": slot.running,
                "waiting": slot.backend.load.waiting,
                "failures": slot.failures,
            }
            for slot in self.slots()
        ]

    async def generate(
        self, route: Route, ask: Ask, facts: Facts, deadline: float
    ) -> AsyncGenerator[Event, None]:
        """The events of the first target that answers; `deadline` is a time of `clock`.

        Raises what the last target raised, Unavailable where none may be asked now, or
        DeadlineExceeded. Closing it stops the work.
        """
        search = _Search(route, ask, facts, deadline, self._clock())
        attempt = await self._find(search)
        stream, failed = attempt.stream, False
        assert stream is not None
        watch = Watch(self._left(deadline))
        try:
            yield attempt.first
            while True:
                try:
                    event = await watch.next(stream)
                except StopAsyncIteration:
                    return
                except (Unavailable, DeadlineExceeded):
                    failed = True
                    raise
                except TimeoutError:  # a long answer is no fault of its target
                    raise self._late(attempt.slot.name) from None
                yield event
        finally:
            watch.stop()
            attempt.settle(failed=failed)
            await stream.aclose()

    async def embed(self, route: Route, ask: Ask, facts: Facts, deadline: float) -> Embedded:
        """The vectors, with the same tries and errors as `generate`."""
        search = _Search(route, ask, facts, deadline, self._clock())
        attempt = await self._find(search)
        attempt.settle(failed=False)
        embedded: Embedded = attempt.first
        return embedded

    async def check(self, model: str) -> None:
        """Raise Unavailable unless one replica of the model can answer."""
        error: SeedbedError = Unavailable(f"{model}: no backend with this name.")
        for slot in self._slots.get(model, ()):
            try:
                return await slot.backend.check()
            except SeedbedError as found:
                error = found
        raise error

    # Finding a target

    async def _find(self, search: _Search) -> Attempt:
        """The attempt that brought a first event, after as many tries as the route allows."""
        models = [target.model for target in search.route.targets]
        if len(models) > 1 or len(self._slots.get(models[0], ())) > 1:
            search.blocks = blocks_of(search.ask)
        tries = [models] * (search.route.retries + 1)
        tries += [[model] for model in search.route.fallback]
        try:
            for among in tries:
                slot = self._choose(search, among)
                if slot is None or not await self._pause(search, slot):
                    continue
                try:
                    attempt = await self._attempt(search, slot)
                    search.facts.model_used = attempt.slot.model
                    search.facts.backend = attempt.slot.kind
                    return attempt
                except _MENDABLE as error:
                    if self._clock() >= search.deadline:
                        raise self._late(slot.name) from error
            raise self._nobody(search)
        finally:
            search.facts.waited = self._clock() - search.began

    def _choose(self, search: _Search, among: Sequence[str]) -> Slot | None:
        """The slot to ask next: one that was not tried yet, if there is one."""
        ready = [
            slot for model in among for slot in self._slots.get(model, ()) if slot.breaker.admits
        ]
        fresh = [slot for slot in ready if slot.name not in search.tried]
        again = [slot for slot in ready if not isinstance(search.tried.get(slot.name), _STAYS)]
        candidates = fresh or again
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        weights = {target.model: target.weight for target in search.route.targets}
        models = list(dict.fromkeys(slot.model for slot in candidates))
        if len({weights.get(model, 1.0) for model in models}) > 1:
            chosen = self._random.choices(models, [weights[model] for model in models])[0]
            candidates = [slot for slot in candidates if slot.model == chosen]
        busy = {slot.name: slot.busy for slot in candidates}
        name = self._affinity.choose(search.blocks, busy)
        if name is None:
            least = min(busy.values())
            name = self._random.choice([n for n, count in busy.items() if count == least])
        return next(slot for slot in candidates if slot.name == name)

    async def _pause(self, search: _Search, slot: Slot) -> bool:
        """Wait before a target is asked again; False where that is not worth it.

        Full jitter: a random part of a limit that doubles, so that clients do not come together.
        """
        error = search.tried.get(slot.name)
        if error is None:
            return True
        limit = min(FIRST_PAUSE * 2**search.pauses, MOST_PAUSE)
        pause = max(self._random.uniform(0, limit), error.retry_after or 0.0)
        if pause > MOST_PAUSE or self._clock() + pause >= search.deadline:
            return False
        search.pauses += 1
        await self._sleep(pause)
        return slot.breaker.admits

    # One try

    async def _attempt(self, search: _Search, slot: Slot) -> Attempt:
        """One target's first event; what comes of it is told to its breaker."""
        left = self._left(search.deadline)
        if left <= 0:
            raise self._late(slot.name)
        timeout = slot.timeout
        if timeout >= left:
            # Half of it is for the targets that have not been tried.
            timeout = left / 2 if self._others(search, slot) else left
        permit = slot.breaker.begin()
        if permit is None:
            raise Unavailable(f"{slot.name}: circuit open after repeated failures.")
        if search.blocks:
            self._affinity.saw(search.blocks, slot.name)
        search.facts.attempts += 1
        try:
            return await begin(slot, permit, search.ask, timeout)
        except _MENDABLE as error:
            search.tried[slot.name] = error
            search.facts.failed.append((slot.model, error.type))
            raise

    def _others(self, search: _Search, slot: Slot) -> bool:
        """Whether another target may still be asked: a replica, a target or a fallback."""
        tried = {*search.tried, slot.name}
        models = [*(target.model for target in search.route.targets), *search.route.fallback]
        slots = (other for model in models for other in self._slots.get(model, ()))
        return any(other.name not in tried and other.breaker.admits for other in slots)

    # What to say when nobody answers

    def _left(self, deadline: float) -> float:
        return max(deadline - self._clock(), 0.0)

    def _late(self, name: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{name}: the answer was not finished before the deadline.", hint="Lower max_tokens."
        )

    def _nobody(self, search: _Search) -> SeedbedError:
        """The last error; or, where no target could be asked at all, which those are."""
        if search.tried:
            error = list(search.tried.values())[-1]
            # A full queue is the client's to wait for, even if a fallback failed after it.
            return next((e for e in search.tried.values() if isinstance(e, Busy)), error)
        models = [*(target.model for target in search.route.targets), *search.route.fallback]
        slots = [slot for model in models for slot in self._slots.get(model, ())]
        if not slots:
            return Unavailable(f"No backend is running for {', '.join(models)}.")
        wait = max(min(slot.breaker.retry_after for slot in slots), 1.0)
        error = Unavailable(
            f"Circuit open for {', '.join(dict.fromkeys(models))} after repeated failures; "
            f"next attempt in {math.ceil(wait)} s."
        )
        error.retry_after = wait
        return error
