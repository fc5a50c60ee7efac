"""The last quarter of an hour in memory, for the status page: rates, percentiles, errors.

It knows no Prometheus and no request: it is told durations and counts. Time is cut into slots, and
durations into buckets that grow by 5 %, so memory is bounded whatever the traffic, and a
percentile is within 2.5 % of the true one. Only the event loop writes.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_GROWTH = math.log(1.05)
_SHORTEST = 1e-4  # seconds
_MOST_MESSAGE = 300


def _bucket(seconds: float) -> int:
    return int(math.log(max(seconds, _SHORTEST) / _SHORTEST) / _GROWTH)


def _middle(bucket: int) -> float:
    return _SHORTEST * math.exp((bucket + 0.5) * _GROWTH)


@dataclass(slots=True)
class _Slot:
    requests: int = 0
    errors: int = 0
    rejected: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    seconds: dict[int, int] = field(default_factory=dict)
    first_token: dict[int, int] = field(default_factory=dict)
    cache: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Mishap:
    """An error as the page shows it; the same one again only raises `count`."""

    at: str  # ISO 8601, UTC
    request_id: str
    model: str
    type: str
    message: str
    count: int = 1


class Recent:
    """What happened in the last `window` seconds, in slots of `slot` seconds.

    `clock` is monotonic seconds: a wall clock that is moved changes nothing here.
    """

    def __init__(
        self,
        window: float = 900.0,
        slot: float = 5.0,
        errors: int = 50,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.slot = slot
        self.many = max(1, round(window / slot))
        self.clock = clock
        self.now = now
        self.started = clock()
        self.errors: deque[Mishap] = deque(maxlen=errors)
        self._slots: dict[int, _Slot] = {}

    def _current(self) -> _Slot:
        number = int(self.clock() / self.slot)
        slot = self._slots.get(number)
        if slot is None:
            for old in [n for n in self._slots if n <= number - self.many]:
                del self._slots[old]
            slot = self._slots[number] = _Slot()
        return slot

    def request(
        self, seconds: float | None, tokens_in: int, tokens_out: int, cost_usd: float, cache: str
    ) -> None:
        """One request ended; `seconds` is None where its duration says nothing (it failed)."""
        slot = self._current()
        slot.requests += 1
        slot.tokens_in += tokens_in
        slot.tokens_out += tokens_out
        slot.cost_usd += cost_usd
        if seconds is not None:
            bucket = _bucket(seconds)
            slot.seconds[bucket] = slot.seconds.get(bucket, 0) + 1
        if cache:
            slot.cache[cache] += 1

    def first_token(self, seconds: float) -> None:
        found, bucket = self._current().first_token, _bucket(seconds)
        found[bucket] = found.get(bucket, 0) + 1

    def decision(self, name: str) -> None:
        self._current().decisions[name] += 1

    def refused(self, reason: str) -> None:
        self._current().refused[reason] += 1

    def attempt(self, upstream: str, failed: bool) -> None:
        slot = self._current()
        slot.attempts[upstream] += 1
        if failed:
            slot.failures[upstream] += 1

    def error(
        self, request_id: str, model: str, type_: str, message: str, *, rejected: bool = False
    ) -> None:
        """Keep an error for the page, its message redacted and cut.

        `rejected`: the request was wrong, or over a limit; the service and its models are well.
        """
        from seedbed.safety.personal_data import redact
        from seedbed.safety.secrets import redact_secrets

        slot = self._current()
        slot.errors += not rejected
        slot.rejected += rejected
        message = redact(redact_secrets(message[: 4 * _MOST_MESSAGE]))
        if len(message) > _MOST_MESSAGE:
            message = message[: _MOST_MESSAGE - 1] + "…"
        at = self.now().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        last = self.errors[-1] if self.errors else None
        # A flood of one refusal must not push everything else out of the list.
        if last and (last.model, last.type, last.message) == (model, type_, message):
            last.at, last.request_id, last.count = at, request_id, last.count + 1
        else:
            self.errors.append(Mishap(at, request_id, model, type_, message))

    def summary(self) -> dict[str, Any]:
        """Everything of the window as JSON; series run from the oldest slot to the last whole one.

        Percentiles are in seconds, None without any request.
        """
        newest = int(self.clock() / self.slot)
        kept = {n: s for n, s in list(self._slots.items()) if n > newest - self.many}
        slots = list(kept.values())
        whole = [kept.get(n) or _Slot() for n in range(newest - self.many, newest)]
        return {
            "window_seconds": self.many * self.slot,
            "slot_seconds": self.slot,
            "up_seconds": round(self.clock() - self.started, 1),
            "requests": sum(s.requests for s in slots),
            "errors": sum(s.errors for s in slots),
            "rejected": sum(s.rejected for s in slots),
            "tokens_in": sum(s.tokens_in for s in slots),
            "tokens_out": sum(s.tokens_out for s in slots),
            "cost_usd": sum(s.cost_usd for s in slots),
            "now": self._pace(whole, kept.get(newest) or _Slot()),
            "series": {
                "requests_per_second": [round(s.requests / self.slot, 3) for s in whole],
                "tokens_per_second": [round(s.tokens_out / self.slot, 2) for s in whole],
                "errors_per_second": [round(s.errors / self.slot, 3) for s in whole],
            },
            "latency": percentiles(s.seconds for s in slots),
            "first_token": percentiles(s.first_token for s in slots),
            "cache": _summed(s.cache for s in slots),
            "decisions": _summed(s.decisions for s in slots),
            "refused": _summed(s.refused for s in slots),
            "attempts": _summed(s.attempts for s in slots),
            "failures": _summed(s.failures for s in slots),
        }

    def _pace(self, whole: list[_Slot], current: _Slot) -> dict[str, float]:
        """Per second, over the last six whole slots and the one that runs."""
        slots = [*whole[-6:], current]
        since = (len(slots) - 1) * self.slot + self.clock() % self.slot
        seconds = max(1.0, min(since, self.clock() - self.started))
        return {
            "requests_per_second": round(sum(s.requests for s in slots) / seconds, 3),
            "tokens_per_second": round(sum(s.tokens_out for s in slots) / seconds, 2),
        }


def _summed(parts: Iterable[Counter[str]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(dict(part))
    return dict(total.most_common())


def percentiles(parts: Iterable[dict[int, int]]) -> dict[str, float] | None:
    """p50, p95 and p99 in seconds of bucketed durations; None if there are none."""
    total: Counter[int] = Counter()
    for part in parts:
        total.update(dict(part))
    many = sum(total.values())
    if not many:
        return None
    found: dict[str, float] = {}
    seen, buckets = 0, iter(sorted(total.items()))
    bucket = 0
    for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99)):
        while seen < math.ceil(share * many):
            bucket, n = next(buckets)
            seen += n
        found[name] = float(f"{_middle(bucket):.3g}")
    return found
