"""Limits of each caller: requests a minute and tokens a day.

    limits = Limits(load(Settings))
    await limits.admit("alice")       # Busy above a limit
    limits.add_tokens("alice", 120)   # after a call of a model

They are counted in memory or, for several replicas, in the database of `SEEDBED_DATABASE_URL`. Days
are those of UTC. Tokens are known when a call of a model ends: what runs by then is not stopped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from seedbed.errors import Busy, MissingExtra, SeedbedError
from seedbed.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger(__name__)
MINUTE, DAY = 60, 86_400  # seconds
_MAX_NAME = 200  # characters
_PATIENCE = 2.0  # seconds that a request waits for the database


class Counts(Protocol):
    """Amounts by caller and period."""

    def add(self, caller: str, period: str, amount: int) -> int:
        """Add to an amount; returns the sum. With 0 it is only read."""
        ...


class MemoryCounts:
    """The amounts of this process; each kind of period has the current one only."""

    def __init__(self) -> None:
        self._amounts: dict[str, tuple[str, Counter[str]]] = {}

    def add(self, caller: str, period: str, amount: int) -> int:
        kind = period.partition(" ")[0]
        if self._amounts.get(kind, ("",))[0] != period:
            self._amounts[kind] = period, Counter()
        amounts = self._amounts[kind][1]
        if amount:
            amounts[caller] += amount
        return amounts[caller]


class DatabaseCounts:
    """The amounts that replicas share."""

    def __init__(self, url: SecretStr) -> None:
        MissingExtra.check("sqlalchemy", "psycopg", extra="postgres")
        from sqlalchemy import BigInteger, Column, MetaData, String, Table

        self._url, self._opening = url, Lock()
        self._engine: Engine | None = None
        self._table = Table(
            "caller_uses",
            MetaData(),
            Column("caller", String(_MAX_NAME), primary_key=True),
            Column("period", String(40), primary_key=True),  # such as "day 20794"
            Column("amount", BigInteger, nullable=False),
        )

    def add(self, caller: str, period: str, amount: int) -> int:
        from sqlalchemy import select

        from seedbed.database.database import open_database, upsert, writing

        with self._opening:
            if self._engine is None:
                file, tables = Path("limits.sqlite"), self._table.metadata
                self._engine = open_database(self._url, file, "seedbed", tables)
        row = {"caller": caller[:_MAX_NAME], "period": period, "amount": amount}
        with writing(self._engine) as connection:
            if amount:
                connection.execute(upsert(connection, self._table, row, ["amount"]))
            mine = {"caller": row["caller"], "period": period}
            query = select(self._table.c.amount).filter_by(**mine)
            return int(connection.execute(query).scalar() or 0)


class Limits:
    """The limits of `SEEDBED_REQUESTS_PER_MINUTE` and `SEEDBED_TOKENS_PER_DAY`; 0 is none."""

    def __init__(self, settings: Settings) -> None:
        self.requests, self.tokens = settings.requests_per_minute, settings.tokens_per_day
        url = settings.database_url if self.requests or self.tokens else None
        self._counts: Counts = DatabaseCounts(url) if url else MemoryCounts()
        self._threads = ThreadPoolExecutor(4, "limits") if url else None

    async def admit(self, caller: str) -> None:
        """Count a request of a caller. Raises Busy above a limit, or if the database fails."""
        now = time.time()
        if self.requests:
            sent = await self._add(caller, _period("minute", now, MINUTE), 1)
            if sent > self.requests:
                raise Busy(
                    f"You have sent {self.requests} requests in this minute, which is the limit.",
                    retry_after=MINUTE - now % MINUTE,
                )
        if self.tokens:
            used = await self._add(caller, _period("day", now, DAY), 0)
            if used >= self.tokens:
                raise Busy(
                    f"You have used {used:,} tokens today; the limit is {self.tokens:,}.",
                    hint="The next day begins at 00:00 UTC.",
                    retry_after=DAY - now % DAY,
                )

    async def _add(self, caller: str, period: str, amount: int) -> int:
        if self._threads is None:
            return self._counts.add(caller, period, amount)
        loop = asyncio.get_running_loop()
        adding = loop.run_in_executor(self._threads, self._counts.add, caller, period, amount)
        try:
            return await asyncio.wait_for(adding, _PATIENCE)
        except TimeoutError:
            raise Busy("The database that counts requests is too slow.", retry_after=5) from None

    def add_tokens(self, caller: str, tokens: int) -> None:
        """Count tokens that a model has used for a caller; never raises, and never waits."""
        if self.tokens and tokens:
            arguments = (caller, _period("day", time.time(), DAY), tokens)
            if self._threads is None:
                self._counts.add(*arguments)
            else:
                self._threads.submit(self._add_later, *arguments)

    def _add_later(self, caller: str, period: str, tokens: int) -> None:
        try:
            self._counts.add(caller, period, tokens)
        except SeedbedError as error:
            log.error("%d tokens were not counted: %s", tokens, error)


def _period(kind: str, now: float, seconds: int) -> str:
    return f"{kind} {int(now // seconds)}"
