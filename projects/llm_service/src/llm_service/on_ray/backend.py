"""A model whose replicas run on a Ray cluster, seen from the gateway as one more backend.

It handles a Serve handle, and answers whose replica is lost. What a replica runs, and their
number, is decided in `app`.
"""

from __future__ import annotations

import contextvars
import logging
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from llm_service.request import Ask, Delta, Embedded, Event, Finish, Load
from seedbed.errors import Busy, Unavailable

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

log = logging.getLogger(__name__)
T = TypeVar("T")


class ReplicaLost(Exception):
    """The process or machine that worked on a request is gone."""


class RayBackend:
    """The replicas behind `handle`; each request goes to one, and to another where that one dies.

    An answer that is not streamed is collected before any of it is passed on. One that is streamed
    is asked for again with the same seed, and goes on where it broke off.
    """

    def __init__(self, name: str, handle: DeploymentHandle[Any], *, attempts: int = 3) -> None:
        self.name = name
        self.load = Load()
        self.lost = 0  # how often a replica died under a request of ours
        self._handle = handle
        self._attempts = attempts

    async def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Raises Unavailable when each attempt lost its replica or a stream can't go on as it
        began, Busy while too many wait for a replica, and what the replica's backend raises.
        """
        answer = self._streamed(ask) if ask.stream else self._collected(ask)
        with self._counted():
            async with aclosing(answer):
                async for event in answer:
                    yield event

    async def embed(self, ask: Ask) -> Embedded:
        with self._counted():
            return await self._answered(lambda: self._embedded(ask))

    async def close(self) -> None:
        """Nothing to do: the replicas are Serve's."""

    async def _collected(self, ask: Ask) -> AsyncGenerator[Event, None]:
        async def once() -> list[Event]:
            async with aclosing(self._events(ask)) as events:
                return [event async for event in events]

        for event in await self._answered(once):
            yield event

    async def _streamed(self, ask: Ask) -> AsyncGenerator[Event, None]:
        ask = _seeded(ask)
        sent = Sent(self.name)
        for attempt in range(self._attempts):
            try:
                async with aclosing(self._events(ask)) as events:
                    async for event in sent.rest(events):
                        yield event
                    return
            except ReplicaLost:
                if sent.complete:  # only the end of the connection was lost
                    return
                self._note_loss(attempt)

    async def _answered(self, once: Callable[[], Awaitable[T]]) -> T:
        attempt = 0
        while True:
            try:
                return await once()
            except ReplicaLost:
                self._note_loss(attempt)
                attempt += 1

    def _note_loss(self, attempt: int) -> None:
        self.lost += 1
        log.warning("%s: a replica died while it handled a request", self.name)
        if attempt + 1 >= self._attempts:
            raise Unavailable(
                f"{self._attempts} replicas of model {self.name!r} died in a row while "
                "handling this "
                "request.",
                hint="Try again later.",
            ) from None

    async def _embedded(self, ask: Ask) -> Embedded:
        response = _apart(lambda: self._handle.embed.remote(ask))
        try:
            with _translated(self.name):
                embedded: Embedded = await response
                return embedded
        finally:
            _cancel(response)

    async def _events(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """What one replica answers; closing the generator stops its work."""
        handle = self._handle.options(stream=True)
        response: Any = _apart(lambda: handle.generate.remote(ask))  # a generator, as it streams
        try:
            with _translated(self.name):
                async for batch in response:
                    for event in batch:
                        yield event
        finally:
            _cancel(response)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.load.running += 1
        try:
            yield
        finally:
            self.load.running -= 1


class Sent:
    """What a client has of a streamed answer, so that a second run of it adds only the rest."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._text: dict[int, str] = defaultdict(str)  # by choice
        self._finished: set[int] = set()
        self._only_text = True
        self.complete = False

    async def rest(self, events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
        """The events of a run without what was sent; raises Unavailable where it differs."""
        if not self._only_text:
            raise self._differs()
        position: dict[int, int] = defaultdict(int)
        async for event in events:
            if isinstance(event, Finish):
                if position[event.index] < len(self._text[event.index]):
                    raise self._differs()
                if event.index in self._finished:
                    continue
                self._finished.add(event.index)
            elif isinstance(event, Delta):
                sent_text = self._text[event.index][position[event.index] :][: len(event.text)]
                if not event.text.startswith(sent_text):
                    raise self._differs()
                position[event.index] += len(event.text)
                if event.text and sent_text == event.text:
                    continue
                event = replace(event, text=event.text[len(sent_text) :])
                self._text[event.index] += event.text
                if event.tool_calls or event.logprobs or event.extra:
                    self._only_text = False  # their parts can't be matched to a second run's
            else:  # the usage, with which an answer ends
                self.complete = True
            yield event

    def _differs(self) -> Unavailable:
        return Unavailable(
            f"The replica of model {self._name!r} died in the middle of the answer.",
            hint="Send the request again.",
        )


def _seeded(ask: Ask) -> Ask:
    """With a seed, so that a second run samples the same tokens."""
    if ask.kind == "embedding" or "seed" in ask.body:
        return ask
    return replace(ask, body={**ask.body, "seed": random.getrandbits(31)})


def _apart(call: Callable[[], T]) -> T:
    """Serve finds a waiting call by the id of the HTTP request around it, so two calls for one
    request would be taken for one another: hide the request from it.
    """
    return contextvars.Context().run(call)


def _cancel(response: Any) -> None:
    """Of no effect on what has ended; what could not be given to a replica is raised again."""
    with suppress(Exception):
        response.cancel()


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Ray's exceptions as ours."""
    from ray.exceptions import RayError, RayTaskError, TaskCancelledError
    from ray.serve.exceptions import BackPressureError, RayServeException

    try:
        yield
    except RayTaskError as error:
        raise error.cause from None
    except TaskCancelledError:
        raise
    except BackPressureError:
        raise Busy(
            f"The queue for replicas of model {name!r} is full.", hint="Try again later."
        ) from None
    except (RayError, RayServeException) as error:
        raise ReplicaLost(str(error)) from error
