"""One attempt on one replica: waits for its first event, and reports to its circuit breaker.

Which replica is tried, and in which order, is decided in `router`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

from llm_service.gateway.routing.breaker import Breaker, Permit
from llm_service.request import Ask, Backend, Embedded, Event
from seedbed.errors import DeadlineExceeded, Unavailable

_TIMEOUT = 60.0
# An upstream that did not answer for this long has failed, even if no more time was left.
_FAIR_CHANCE = 5.0


@dataclass(slots=True, eq=False)
class Replica:
    """The backend of a model, with its circuit breaker and its load."""

    model: str
    backend: Backend
    breaker: Breaker
    kind: str = ""
    timeout: float = _TIMEOUT
    running: int = 0

    @property
    def fair_chance(self) -> float:
        """Seconds that an attempt must have had before its timeout counts as a failure.

        A local model that uses up a request's time has a long queue: it is not broken.
        """
        return self.timeout if self.kind == "local" else min(self.timeout, _FAIR_CHANCE)

    @property
    def busy(self) -> int:
        load = self.backend.load
        return max(self.running, load.running + load.waiting)


@dataclass(slots=True)
class Attempt:
    """An attempt that succeeded: `first` is the first event of `stream`, or the whole embedding.

    Call `settle` exactly once, when the stream has ended.
    """

    replica: Replica
    permit: Permit
    stream: AsyncGenerator[Event, None] | None
    first: Any

    def settle(self, *, failed: bool) -> None:
        replica = self.replica
        replica.running -= 1
        if failed:
            replica.breaker.failed(self.permit)
        else:
            replica.breaker.succeeded(self.permit)


async def begin(replica: Replica, permit: Permit, ask: Ask, timeout: float) -> Attempt:
    """Send the request to a replica, with its breaker's permit, and wait for the first event.

    Raises the backend's error, or DeadlineExceeded after `timeout` seconds.
    """
    replica.running += 1
    stream: AsyncGenerator[Event, None] | None = None
    try:
        async with asyncio.timeout(timeout):
            if ask.kind == "embedding":
                first: Event | Embedded = await replica.backend.embed(ask)
            else:
                stream, first = await _open(replica, ask)
    except (TimeoutError, DeadlineExceeded, Unavailable) as error:
        replica.running -= 1
        if timeout >= replica.fair_chance or not isinstance(error, TimeoutError):
            replica.breaker.failed(permit)
        else:
            replica.breaker.dropped(permit)
        if isinstance(error, TimeoutError):
            raise DeadlineExceeded(
                f"{replica.model}: no response within {timeout:.3g} s."
            ) from None
        raise
    except BaseException:
        replica.running -= 1
        replica.breaker.dropped(permit)
        raise
    return Attempt(replica, replica.breaker.answered(permit), stream, first)


async def _open(replica: Replica, ask: Ask) -> tuple[AsyncGenerator[Event, None], Event]:
    stream = cast("AsyncGenerator[Event, None]", replica.backend.generate(ask))
    try:
        return stream, await anext(stream)
    except BaseException as error:
        await stream.aclose()
        if isinstance(error, StopAsyncIteration):
            raise Unavailable(f"{replica.model}: the response was empty.") from None
        raise
