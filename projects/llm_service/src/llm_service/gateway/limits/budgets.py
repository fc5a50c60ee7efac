"""Budgets of keys and teams for a calendar month (UTC): what is spent, and what is reserved.

`store.accounting` adds up what was spent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import select

from llm_service.store import tables
from llm_service.store.database import Database
from llm_service.store.keys import Key
from seedbed.errors import SeedbedError

log = logging.getLogger(__name__)
_REREAD_SECONDS = 1.0
_PATIENCE = 0.25  # seconds a request waits for the database
_ROUNDING = 1e-9  # USD: sums of floats may be off by less


class OverBudget(SeedbedError):
    """The month's budget is spent; trying again before the next month is of no use."""

    status = 429

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.details["code"] = "insufficient_quota"


class Budgets:
    """A request reserves what it may cost at most, and gives back what it did not need.

    In one process that is exact: what is settled never exceeds a budget. What other processes
    spent is read from the database every second, so that together they may exceed it by what
    they have in flight during that second and accounting's window.

    The month never goes back: a clock set back does not renew a budget.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._reserved: defaultdict[str, float] = defaultdict(float)
        self._reading: asyncio.Task[None] | None = None
        self._reading_until = 0.0
        self._month = self._month_now()
        self._spent = self._read(self._month)
        self._reread_at = time.monotonic() + _REREAD_SECONDS

    async def refresh(self) -> None:
        """Learn what other processes spent, if that was a second ago; waits 0.25 s at most."""
        now = time.monotonic()
        if now >= self._reread_at and self._reading is None:
            self._reading = asyncio.create_task(self._reread())
            self._reread_at, self._reading_until = now + _REREAD_SECONDS, now + _PATIENCE
        if self._reading is not None and now < self._reading_until:
            await asyncio.wait([self._reading], timeout=self._reading_until - now)

    def reserve(self, key: Key, cost_usd: float) -> tuple[str, ...]:
        """Reserve `cost_usd`; returns the payers whose budgets it counts against.

        A request without a cost is admitted until a budget is spent. Raises OverBudget.
        """
        self._turn()
        limits = {f"key:{key.id}": key.budget_usd, f"team:{key.team}": key.team_budget_usd}
        budgets = {payer: budget for payer, budget in limits.items() if budget is not None}
        for payer, budget in budgets.items():
            spent = self._spent[payer]
            used = spent + self._reserved[payer]
            too_much = cost_usd > 0 and used + cost_usd > budget + _ROUNDING
            if too_much or spent >= budget - _ROUNDING:
                owner = f"key {key.name!r}" if payer.startswith("key:") else f"team {key.team!r}"
                raise OverBudget(
                    f"Budget exceeded for {owner}: ${used:.4f} of ${budget:.4f} used or "
                    "reserved in "
                    f"{self._month}; this request may cost up to ${cost_usd:.4f}.",
                    hint="Raise the budget, or lower max_tokens.",
                )
        for payer in budgets:
            self._reserved[payer] += cost_usd
        return tuple(budgets)

    def release(self, payers: tuple[str, ...], reserved_usd: float) -> None:
        for payer in payers:
            # Never below nothing by rounding.
            self._reserved[payer] = max(0.0, self._reserved[payer] - reserved_usd)

    def spend(self, payers: tuple[str, ...], cost_usd: float) -> None:
        self._turn()
        for payer in payers:
            self._spent[payer] += cost_usd

    def shares(self, key: Key) -> dict[str, float]:
        """The spent share of the key's budget, and of its team's: by name, for metrics."""
        budgets = {key.name: (f"key:{key.id}", key.budget_usd)}
        if key.team:
            budgets[f"team {key.team}"] = (f"team:{key.team}", key.team_budget_usd)
        spent = {} if self._month_now() > self._month else self._spent
        return {
            name: spent.get(payer, 0.0) / budget
            for name, (payer, budget) in budgets.items()
            if budget
        }

    def _turn(self) -> None:
        month = self._month_now()
        if month > self._month:
            self._month, self._spent = month, defaultdict(float)
            self._reread_at = 0.0

    async def _reread(self) -> None:
        try:
            month = self._month
            totals = await asyncio.to_thread(self._read, month)
            if month == self._month:
                for payer, cost in totals.items():
                    # The larger: ours may not be written yet, theirs is only in the database.
                    self._spent[payer] = max(self._spent[payer], cost)
        except SeedbedError as error:
            log.warning("Cannot read what other processes have spent: %s", error)
        finally:
            self._reading = None

    def _read(self, month: str) -> defaultdict[str, float]:
        column = tables.spending.c
        query = select(column.payer, column.cost_usd).where(column.month == month)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return defaultdict(float, [(row.payer, row.cost_usd) for row in rows])

    def _month_now(self) -> str:
        return f"{datetime.fromtimestamp(self._clock(), UTC):%Y-%m}"
