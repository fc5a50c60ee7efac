"""Admits requests: scopes and models, limits per minute, concurrency, budgets."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from llm_service.gateway.limits.budgets import Budgets, OverBudget
from llm_service.gateway.limits.rates import Rates, Taken
from llm_service.store.database import Database
from llm_service.store.keys import Key
from seedbed.errors import Busy, Forbidden, TooLarge

__all__ = ["Admission", "OverBudget", "Ticket"]


class Admission:
    """Rate limits are shared through Redis where `redis_url` is given, else each process has its
    own; concurrency is always limited by each process on its own. Budgets: see `Budgets`.
    """

    def __init__(
        self,
        database: Database,
        redis_url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rates = Rates(redis_url)
        self.budgets = Budgets(database, clock)
        self.running: Counter[str] = Counter()  # by key id
        self._charges: set[asyncio.Task[Taken]] = set()

    async def enter(
        self, key: Key, model: str, *, prompt_tokens: int, cost_usd: float, scope: str = ""
    ) -> Ticket:
        """Admit a request. `prompt_tokens` and `cost_usd` are upper bounds of what it uses; `scope`
        is the scope that it needs, or "".

        Raises Forbidden; TooLarge for more tokens than a minute allows; OverBudget; Busy with
        `retry_after`. A refused request reserves nothing, but counts towards the requests per
        minute if only the limit on tokens refused it.
        """
        _check_rights(key, model, scope)
        if key.tpm is not None and prompt_tokens > key.tpm:
            raise TooLarge(
                f"The prompt has {prompt_tokens:,} tokens, more than the {key.tpm:,} tokens per "
                f"minute that key {key.name!r} may use.",
                hint="Shorten the prompt.",
            )
        if key.has_budget:
            await self.budgets.refresh()
        if key.concurrency is not None and self.running[key.id] >= key.concurrency:
            raise _limited(
                f"Concurrency limit reached for key {key.name!r}: {key.concurrency} of "
                f"{key.concurrency} requests are running.",
                "concurrency",
            )
        payers = self.budgets.reserve(key, cost_usd)
        self.running[key.id] += 1
        ticket = Ticket(self, key, prompt_tokens, cost_usd, payers)
        try:
            await self._take(key, prompt_tokens, ticket.headers)
        except BaseException:
            ticket.close()
            raise
        return ticket

    async def close(self) -> None:
        """Finish pending charges, and disconnect from Redis."""
        if self._charges:
            await asyncio.wait(self._charges, timeout=1)
        await self.rates.close()

    async def _take(self, key: Key, tokens: int, headers: dict[str, str]) -> None:
        for what, limit, cost in (("requests", key.rpm, 1), ("tokens", key.tpm, tokens)):
            if limit is None:
                continue
            taken = await self.rates.take(key.id, what, limit, cost)
            headers[f"x-ratelimit-limit-{what}"] = str(limit)
            headers[f"x-ratelimit-remaining-{what}"] = str(taken.remaining)
            if not taken.accepted:
                needs = f"; this request needs {cost:,}" if what == "tokens" else ""
                error = _limited(
                    f"Rate limit reached for key {key.name!r}: {limit - taken.remaining:,} of "
                    f"{limit:,} {what} this minute{needs}.",
                    what,
                    taken.reset_in,
                )
                error.headers |= headers
                raise error

    def _charge(self, key: Key, tokens: int) -> None:
        if key.tpm is not None and tokens > 0:
            charge = self.rates.take(key.id, "tokens", key.tpm, tokens, afterwards=True)
            task = asyncio.get_running_loop().create_task(charge)
            self._charges.add(task)
            task.add_done_callback(self._charges.discard)


@dataclass(slots=True)
class Ticket:
    """What a request has reserved. `settle` charges what it used, `close` returns the rest.

    `headers` report what the key has left, under the names that OpenAI uses.
    """

    _admission: Admission
    _key: Key
    _prompt_tokens: int
    _cost_usd: float
    _payers: tuple[str, ...]
    headers: dict[str, str] = field(default_factory=dict)
    _closed: bool = False

    def settle(self, prompt_tokens: int, completion_tokens: int, cost_usd: float) -> None:
        """Charge what the request used, and close the ticket. Later calls have no effect."""
        if self._closed:
            return
        self._admission.budgets.spend(self._payers, max(0.0, cost_usd))
        self.close()
        beyond = prompt_tokens + completion_tokens - self._prompt_tokens
        self._admission._charge(self._key, beyond)

    def close(self) -> None:
        """Release the slot, and what was reserved and not settled. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._admission.budgets.release(self._payers, self._cost_usd)
        running = self._admission.running
        running[self._key.id] -= 1
        if not running[self._key.id]:
            del running[self._key.id]


def _limited(message: str, limit: str, retry_after: float = 1.0) -> Busy:
    """`limit`, for clients and metrics: requests, tokens or concurrency."""
    error = Busy(message, hint=f"Retry after {math.ceil(retry_after)} s.", retry_after=retry_after)
    error.details |= {"code": "rate_limit_exceeded", "limit": limit}
    return error


def _check_rights(key: Key, model: str, scope: str) -> None:
    if scope and not key.may(scope):
        raise Forbidden(
            f"Key {key.name!r} does not have the scope {scope!r}.",
            hint=f"Its scopes: {', '.join(sorted(key.scopes))}.",
        )
    if key.models and model not in key.models:
        raise Forbidden(
            f"Key {key.name!r} is not allowed to use model {model!r}.",
            hint=f"Allowed models: {', '.join(key.models)}.",
        )
