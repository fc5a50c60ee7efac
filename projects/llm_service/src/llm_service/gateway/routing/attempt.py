"""One try of one target: its first event within a time, and what came of it told to its breaker.

Which target is tried, and what is tried after it, is `router`'s business.
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
class Slot:
    """One replica of a model, and what is known of how it answers."""

    model: str
    name: str
    backend: Backend
    breaker: Breaker
    kind: str = ""
    timeout: float = _TIMEOUT
    running: int = 0
    failures: int = 0

    @property
    def fair_chance(self) -> float:
        """Seconds an attempt must have had for its end to say something of the target.

        A local model that lets a request's time run out has a long queue: it is not broken.
        """
        return self.timeout if self.kind == "local" else min(self.timeout, _FAIR_CHANCE)

    @property
    def busy(self) -> int:
        load = self.backend.load
        return max(self.running, load.running + load.waiting)


@dataclass(slots=True)
class Attempt:
    """A target that has answered: `first` is the first event of `stream`, or all of an embedding.

    `settle` is called exactly once, when the stream has ended.
    """

    slot: Slot
    permit: Permit
    stream: AsyncGenerator[Event, None] | None
    first: Any

    def settle(self, *, failed: bool) -> None:
        slot = self.slot
        slot.running -= 1
        if failed:
            slot.failures += 1
            slot.breaker.failed(self.permit)
        else:
            slot.breaker.succeeded(self.permit)


async def begin(slot: Slot, permit: Permit, ask: Ask, timeout: float) -> Attempt:
    """Ask a target, whose breaker gave the permit, and wait for its first event.

    Raises what the backend raised, and DeadlineExceeded after `timeout` seconds.
    """
    slot.running += 1
    stream: AsyncGenerator[Event, None] | None = None
    try:
        async with asyncio.timeout(timeout):
            if ask.kind == "embedding":
                first: Event | Embedded = await slot.backend.embed(ask)
            else:
                stream, first = await _open(slot, ask)
    except (TimeoutError, DeadlineExceeded, Unavailable) as error:
        slot.running -= 1
        if timeout >= slot.fair_chance or not isinstance(error, TimeoutError):
            slot.failures += 1
            slot.breaker.failed(permit)
        else:
            slot.breaker.dropped(permit)
        if isinstance(error, TimeoutError):
            raise DeadlineExceeded(f"{slot.name}: no response within {timeout:.3g} s.") from None
        raise
    except BaseException:
        slot.running -= 1
        slot.breaker.dropped(permit)
        raise
    return Attempt(slot, slot.breaker.answered(permit), stream, first)


async def _open(slot: Slot, ask: Ask) -> tuple[AsyncGenerator[Event, None], Event]:
    stream = cast("AsyncGenerator[Event, None]", slot.backend.generate(ask))
    try:
        return stream, await anext(stream)
    except BaseException as error:
        await stream.aclose()
        if isinstance(error, StopAsyncIteration):
            raise Unavailable(f"{slot.name}: the response was empty.") from None
        raise


class Watch:
    """`asyncio.timeout` around each event of a stream, with one timer for all of them: a timer for
    each would cost as much as reading the event.
    """

    __slots__ = ("_expired", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._expired = False
        self._task: asyncio.Task[Any] | None = None
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    def stop(self) -> None:
        self._timer.cancel()

    async def next(self, stream: AsyncGenerator[Event, None]) -> Event:
        """The next event. Raises TimeoutError when the time is up."""
        if self._expired:
            raise TimeoutError
        self._task = task = cast("asyncio.Task[Any]", asyncio.current_task())
        try:
            return await anext(stream)
        except asyncio.CancelledError:
            # Only our own cancellation is taken back; somebody else's goes on.
            if self._expired and task.uncancel() <= 0:
                raise TimeoutError from None
            raise
        finally:
            self._task = None
