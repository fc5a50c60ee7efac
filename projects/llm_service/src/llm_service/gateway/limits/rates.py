"""Requests and tokens a minute, counted by the `limits` library in memory or in Redis.

It does not know what a request is; `admission` asks it for each.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import lru_cache
from math import floor
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from seedbed.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.aio.strategies import SlidingWindowCounterRateLimiter

log = logging.getLogger(__name__)
WINDOW = 60  # seconds
_AWAY_SECONDS = 1.0  # then Redis is left alone for this long
_WARN_SECONDS = 60.0


class Window(NamedTuple):
    """Two minutes of one counter: the one before counts by what it still overlaps."""

    before: int
    before_left: float  # seconds until nothing of it counts
    now: int
    now_left: float  # seconds until nothing of it counts: up to two minutes

    @property
    def used(self) -> int:
        return floor(self.before * self.before_left / WINDOW) + self.now

    def free_in(self, limit: int, cost: int) -> float:
        """Seconds until `cost` ≤ `limit` fits, if no other request takes any."""
        room = limit - cost + 1  # what is used, rounded down, must be less
        if self.used < room:
            return 0.0
        if self.now < room:
            return self.before_left - (room - self.now) * WINDOW / self.before
        # Only when this minute is the one before does it begin to count less.
        return self.now_left - WINDOW + WINDOW * (1 - room / self.now)


class Rates:
    """Counters by name. In memory; or in Redis, shared by processes and machines.

    While Redis does not answer within 0.25 s, each process counts for itself: no
    request fails because Redis is down. That is logged once a minute and counted in `unreachable`.
    """

    def __init__(self, redis_url: str | None = None) -> None:
        from limits.aio.storage import MemoryStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        self.unreachable = 0
        self.patience = 0.25  # seconds a request waits for Redis
        self._latest = time.time()
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = SlidingWindowCounterRateLimiter(_redis(redis_url)) if redis_url else None
        self._away_until = self._warned_at = float("-inf")

    async def take(self, name: str, *counts: tuple[str, int, int]) -> list[tuple[Window, bool]]:
        """For each (what, limit a minute, cost): what was used before, and whether it now is
        taken. After one that is not, the next ones are left alone. Costs are at most their limit.
        """
        accepted: list[tuple[Window, bool]] = await self._ask(
            lambda limiter: _take(limiter, name, counts)
        )
        return accepted

    async def charge(self, name: str, what: str, limit: int, cost: int) -> None:
        """Take `cost` afterwards, or all that is left: what is beyond a full window is forgiven."""
        await self._ask(lambda limiter: _charge(limiter, name, what, limit, cost))

    async def close(self) -> None:
        if self._shared is not None:
            storage: Any = self._shared.storage
            await storage.bridge.get_connection().aclose()

    async def _ask(self, question: Callable[[SlidingWindowCounterRateLimiter], Any]) -> Any:
        if self._shared is not None and time.monotonic() >= self._away_until:
            import redis

            try:
                async with asyncio.timeout(self.patience):
                    return await question(self._shared)
            except (redis.RedisError, OSError, TimeoutError) as error:
                self._lost(error)
        now = time.time()
        if now < self._latest - 1:
            # Its entries expire by the clock: after an hour set back they would an hour too late.
            await self._local.storage.reset()
        self._latest = now
        return await question(self._local)

    def _lost(self, error: Exception) -> None:
        self.unreachable += 1
        now = time.monotonic()
        self._away_until = now + _AWAY_SECONDS
        if now - self._warned_at >= _WARN_SECONDS:
            self._warned_at = now
            log.warning(
                "Redis is unavailable (%s): each process now enforces the rate limits on its own.",
                " ".join(str(error).split()) or type(error).__name__,
            )


async def _take(
    limiter: SlidingWindowCounterRateLimiter, name: str, counts: tuple[tuple[str, int, int], ...]
) -> list[tuple[Window, bool]]:
    answers = []
    for what, limit, cost in counts:
        window = await _window(limiter, name, what, limit)
        accepted = await limiter.hit(_item(limit), name, what, cost=cost)
        answers.append((window, accepted))
        if not accepted:
            break
    return answers


async def _charge(
    limiter: SlidingWindowCounterRateLimiter, name: str, what: str, limit: int, cost: int
) -> None:
    window = await _window(limiter, name, what, limit)
    left = min(cost, limit - window.used)
    if left > 0:
        await limiter.hit(_item(limit), name, what, cost=left)


async def _window(
    limiter: SlidingWindowCounterRateLimiter, name: str, what: str, limit: int
) -> Window:
    storage: Any = limiter.storage
    return Window(*await storage.get_sliding_window(_item(limit).key_for(name, what), WINDOW))


@lru_cache(maxsize=1024)
def _item(limit: int) -> RateLimitItem:
    from limits import RateLimitItemPerMinute

    return RateLimitItemPerMinute(limit, namespace="llm_service")


def _redis(url: str) -> Any:
    try:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise MissingExtra("redis", "llm-service[redis]") from None
    from limits.aio.storage import RedisStorage
    from limits.errors import ConfigurationError

    once: Any = Retry(NoBackoff(), 1)  # for a connection that Redis has closed
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise ValueError
        if parts.port is None:
            parts = parts._replace(netloc=f"{parts.netloc}:6379")
        return RedisStorage(f"async+{parts.geturl()}", implementation="redispy", retry=once)
    except (ValueError, ConfigurationError):  # their texts would show the password
        raise ConfigError(
            "SERVICE_REDIS_URL is not a Redis URL.", hint="Example: redis://HOST:6379/0"
        ) from None
