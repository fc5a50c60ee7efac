"""Selects the replica that answers a request: choose, retry, fall back, all before one deadline.

A request may be retried only until its first event has been passed on, because a client that has
begun to read cannot start again.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from llm_service.gateway.routing.attempt import Attempt, Replica, begin
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
# Errors that another replica, or the same one later, may not have.
RETRYABLE = (Unavailable, DeadlineExceeded, Busy)
# The same replica would fail again: its queue is full, or weights or a package are missing.
NOT_ON_SAME_REPLICA = (Busy, WeightsError, MissingExtra)


@dataclass(slots=True)
class _Tries:
    """The attempts of one request: on which replicas, and how they failed."""

    route: Route
    ask: Ask
    facts: Facts
    deadline: float
    started: float
    blocks: list[int] = field(default_factory=list)
    errors: dict[str, SeedbedError] = field(default_factory=dict)  # by replica
    pauses: int = 0


class Router:
    """`backends` has each model's backend.

    `previous` is the router before a reload: breakers of backends that remain are kept.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
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
        old = {id(replica.backend): replica for replica in previous.replicas()} if previous else {}
        self._replicas: dict[str, Replica] = {}
        for model, backend in backends.items():
            replica = old.get(id(backend)) or Replica(model, backend, Breaker(clock))
            if models and (entry := models.get(model)):
                replica.kind, replica.timeout = entry.backend, entry.timeout
            self._replicas[model] = replica

    def replicas(self) -> list[Replica]:
        return list(self._replicas.values())

    async def generate(
        self, route: Route, ask: Ask, facts: Facts, deadline: float
    ) -> AsyncGenerator[Event, None]:
        """The events of the first replica that answers; `deadline` is a time of `clock`.

        Raises the error of the last one, Unavailable if none may be tried now, or
        DeadlineExceeded. Closing the generator cancels the work.
        """
        tries = _Tries(route, ask, facts, deadline, self._clock())
        attempt = await self._first_success(tries)
        stream, failed = attempt.stream, False
        assert stream is not None
        event = attempt.first
        try:
            while True:
                facts.count(event)
                yield event
                try:
                    async with asyncio.timeout(self._left(deadline)):
                        event = await anext(stream)
                except StopAsyncIteration:
                    return
                except (Unavailable, DeadlineExceeded):
                    failed = True
                    raise
                except TimeoutError:  # a long answer is not the replica's fault
                    raise self._deadline_error(attempt.replica.model) from None
        finally:
            attempt.settle(failed=failed)
            await stream.aclose()

    async def embed(self, route: Route, ask: Ask, facts: Facts, deadline: float) -> Embedded:
        """The embeddings, with the same attempts and errors as `generate`."""
        tries = _Tries(route, ask, facts, deadline, self._clock())
        attempt = await self._first_success(tries)
        attempt.settle(failed=False)
        embedded: Embedded = attempt.first
        return embedded

    # ── choosing replicas ───────────────────────────────────────────────────────────────────

    async def _first_success(self, tries: _Tries) -> Attempt:
        """The attempt that returned a first event, after as many as the route allows."""
        targets = [target.model for target in tries.route.targets]
        if len(targets) > 1:
            tries.blocks = blocks_of(tries.ask)
        rounds = [targets] * (tries.route.retries + 1)
        rounds += [[model] for model in tries.route.fallback]
        try:
            for models in rounds:
                replica = self._choose(tries, models)
                if replica is None or not await self._pause(tries, replica):
                    continue
                try:
                    attempt = await self._attempt(tries, replica)
                    tries.facts.model_used = attempt.replica.model
                    tries.facts.backend = attempt.replica.kind
                    return attempt
                except RETRYABLE as error:
                    if self._clock() >= tries.deadline:
                        raise self._deadline_error(replica.model) from error
            raise self._final_error(tries)
        finally:
            tries.facts.waited = self._clock() - tries.started

    def _choose(self, tries: _Tries, models: Sequence[str]) -> Replica | None:
        """The replica for the next attempt: an untried one, if there is one."""
        replicas = (self._replicas[model] for model in models if model in self._replicas)
        ready = [replica for replica in replicas if replica.breaker.admits]
        untried = [r for r in ready if r.model not in tries.errors]
        again = [r for r in ready if not isinstance(tries.errors.get(r.model), NOT_ON_SAME_REPLICA)]
        candidates = untried or again
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        weights = {target.model: target.weight for target in tries.route.targets}
        models = list(dict.fromkeys(replica.model for replica in candidates))
        if len({weights.get(model, 1.0) for model in models}) > 1:
            model = self._random.choices(models, [weights[model] for model in models])[0]
            candidates = [replica for replica in candidates if replica.model == model]
        busy = {replica.model: replica.busy for replica in candidates}
        name = self._affinity.choose(tries.blocks, busy)
        if name is None:
            least = min(busy.values())
            name = self._random.choice([n for n, count in busy.items() if count == least])
        return next(replica for replica in candidates if replica.model == name)

    async def _pause(self, tries: _Tries, replica: Replica) -> bool:
        """Wait before a replica is tried again; False if that cannot help.

        Full jitter: a random part of a limit that doubles, so that clients do not come together.
        """
        error = tries.errors.get(replica.model)
        if error is None:
            return True
        limit = min(FIRST_PAUSE * 2**tries.pauses, MOST_PAUSE)
        pause = max(self._random.uniform(0, limit), error.retry_after or 0.0)
        if pause > MOST_PAUSE or self._clock() + pause >= tries.deadline:
            return False
        tries.pauses += 1
        await self._sleep(pause)
        return replica.breaker.admits

    async def _attempt(self, tries: _Tries, replica: Replica) -> Attempt:
        """One replica's first event; its breaker records the outcome."""
        left = self._left(tries.deadline)
        if left <= 0:
            raise self._deadline_error(replica.model)
        timeout = replica.timeout
        if timeout >= left:
            # Half of it is for the replicas that have not been tried.
            timeout = left / 2 if self._has_others(tries, replica) else left
        permit = replica.breaker.begin()
        if permit is None:
            raise Unavailable(f"{replica.model}: circuit open after repeated failures.")
        if tries.blocks:
            self._affinity.saw(tries.blocks, replica.model)
        tries.facts.attempts += 1
        try:
            return await begin(replica, permit, tries.ask, timeout)
        except RETRYABLE as error:
            tries.errors[replica.model] = error
            tries.facts.failed.append((replica.model, error.type))
            raise

    def _has_others(self, tries: _Tries, replica: Replica) -> bool:
        """Whether another replica, target or fallback may still be tried."""
        tried = {*tries.errors, replica.model}
        others = (self._replicas[model] for model in tries.route.models if model in self._replicas)
        return any(other.model not in tried and other.breaker.admits for other in others)

    # ── errors ──────────────────────────────────────────────────────────────────────────────

    def _left(self, deadline: float) -> float:
        return max(deadline - self._clock(), 0.0)

    def _deadline_error(self, name: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{name}: the answer was not finished before the deadline.", hint="Lower max_tokens."
        )

    def _final_error(self, tries: _Tries) -> SeedbedError:
        """The last error; or, if no replica could be tried at all, the open circuits."""
        if tries.errors:
            error = list(tries.errors.values())[-1]
            # The client can wait for a full queue, even if a fallback failed after it.
            return next((e for e in tries.errors.values() if isinstance(e, Busy)), error)
        names = tries.route.models
        replicas = [self._replicas[model] for model in names if model in self._replicas]
        models = ", ".join(dict.fromkeys(names))
        if not replicas:
            return Unavailable(f"No backend is running for {models}.")
        wait = max(min(replica.breaker.retry_after for replica in replicas), 1.0)
        error = Unavailable(
            f"Circuit open for {models} after repeated failures; "
            f"next attempt in {math.ceil(wait)} s."
        )
        error.retry_after = wait
        return error
