"""Keeps complete answers, under a hash of the request, and gives them to equal requests."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

from cachetools import TTLCache

from llm_service.request import Ask, Delta, Event, Events, Facts, Finish

_NOT_ASKED = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key"})


def request_hash(ask: Ask, scope: str) -> str:
    """Hex digest of scope, kind, model and body, without fields that do not affect the answer."""
    body = {name: value for name, value in ask.body.items() if name not in _NOT_ASKED}
    if body.get("n") == 1:
        del body["n"]
    if body.get("temperature") == 0:
        body["temperature"] = 0  # 0 and 0.0 are written differently
    text = json.dumps((scope, ask.kind, ask.model, body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """At most `mb` megabytes of answers, each for `seconds`; the least recently used go first.

    Without `shared`, a scope (a key's id) only gets its own answers. `mb` 0 disables the cache.
    """

    def __init__(
        self,
        mb: float,
        seconds: float,
        shared: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shared = shared
        # Pickled, so that their size is known and no reader can change them.
        self._answers: TTLCache[str, bytes] = TTLCache(
            mb * 2**20, seconds, timer=clock, getsizeof=len
        )

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def bytes(self) -> int:
        """Size of the kept answers."""
        return int(self._answers.currsize)

    def cacheable(self, ask: Ask) -> bool:
        """Whether the same request would get the same answer: temperature 0, or a seed."""
        certain = ask.body.get("temperature") == 0 or ask.body.get("seed") is not None
        return certain and self._answers.maxsize > 0

    def answer(
        self, ask: Ask, scope: str, run: Events, facts: Facts, *, store: bool, lookup: bool
    ) -> Events:
        """The events of a kept answer, or those of `run`, which are kept once complete.

        `facts.cache` is set before the first event: "hit" or "miss"; it stays empty for a request
        that is not cacheable. `lookup=False` always runs, `store=False` keeps nothing.
        """
        if not (store or lookup) or not self.cacheable(ask):
            return run
        return self._answer(ask, scope, run, facts, store, lookup)

    async def _answer(
        self, ask: Ask, scope: str, run: Events, facts: Facts, store: bool, lookup: bool
    ) -> AsyncGenerator[Event, None]:
        key = request_hash(ask, "" if self.shared else scope)
        hit = self._answers.get(key) if lookup else None
        if hit is not None:
            facts.cache = "hit"
            facts.model_used, facts.backend, events = pickle.loads(hit)
            for event in events:
                facts.count(event)
                yield event
            return
        facts.cache, events = "miss", []
        async with aclosing(run):
            async for event in run:
                events.append(event)
                yield event
        if store and complete(events):
            answer = pickle.dumps((facts.model_used, facts.backend, events))
            if len(answer) <= self._answers.maxsize:
                self._answers[key] = answer


def complete(events: Iterable[Event]) -> bool:
    """Whether every choice that began has ended; an upstream may just stop."""
    begun = {event.index for event in events if isinstance(event, Delta)}
    ended = {event.index for event in events if isinstance(event, Finish)}
    return bool(ended) and begun <= ended
