"""Requests and tokens a minute, counted by the `limits` library in memory or in Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from seedbed.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from limits import RateLimitItem

log = logging.getLogger(__name__)
_PATIENCE = 0.25  # seconds a request waits for Redis
_AWAY_SECONDS = 1.0  # after a failure, Redis is not tried again for this long
_WARN_SECONDS = 60.0


class Taken(NamedTuple):
    """What a request took of a minute, and what is left."""

    accepted: bool
    remaining: int
    reset_in: float  # seconds until more is free


class Rates:
    """Counters by name. In memory; or in Redis, shared by processes and machines.

    If Redis does not answer within 0.25 s, requests are admitted without limits, which is logged
    once a minute.
    """

    def __init__(self, redis_url: str | None = None) -> None:
        from limits.aio.storage import MemoryStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        storage = _redis(redis_url) if redis_url else MemoryStorage()
        self._storage: Any = storage if redis_url else None
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._away_until = self._warned_at = float("-inf")

    async def take(
        self, name: str, what: str, limit: int, cost: int, *, afterwards: bool = False
    ) -> Taken:
        """Take `cost` from `limit` per minute; with `afterwards`, at most what is left of it."""
        item = _item(limit)
        if self._storage is None:
            return await self._take(item, name, what, cost, afterwards)
        if time.monotonic() >= self._away_until:
            import redis

            try:
                async with asyncio.timeout(_PATIENCE):
                    return await self._take(item, name, what, cost, afterwards)
            except (redis.RedisError, OSError, TimeoutError) as error:
                self._lost(error)
        return Taken(True, limit - cost, 0.0)

    async def _take(
        self, item: RateLimitItem, name: str, what: str, cost: int, afterwards: bool
    ) -> Taken:
        if afterwards:
            cost = min(cost, (await self._limiter.get_window_stats(item, name, what)).remaining)
        accepted = await self._limiter.hit(item, name, what, cost=cost)
        stats = await self._limiter.get_window_stats(item, name, what)
        return Taken(accepted, stats.remaining, max(0.01, stats.reset_time - time.time()))

    async def close(self) -> None:
        if self._storage is not None:
            await self._storage.bridge.get_connection().aclose()

    def _lost(self, error: Exception) -> None:
        now = time.monotonic()
        self._away_until = now + _AWAY_SECONDS
        if now - self._warned_at >= _WARN_SECONDS:
            self._warned_at = now
            log.warning(
                "Redis is unavailable (%s): rate limits do not apply.",
                " ".join(str(error).split()) or type(error).__name__,
            )


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
