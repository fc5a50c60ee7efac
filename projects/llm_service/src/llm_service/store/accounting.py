"""Every request's tokens, cost, time and outcome: written in batches by a thread of its own.

A process that is killed loses what was added in the last `window` (0.25 s) and what was being
written; nothing else. (When the machine loses its power, SQLite may lose the last seconds too.)
It also adds what was spent to `spending`, for the budgets.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from llm_service.store import tables
from llm_service.store.database import Database, cleaned
from seedbed.database.database import upsert
from seedbed.errors import SeedbedError

log = logging.getLogger(__name__)
MOST_CONTENT = 64_000  # characters of messages and answer together
_MOST_WITH_CONTENT = 1000  # records that may wait with their content: it is what takes memory
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds before a failed write is tried again
_STOP_SECONDS = 5.0
_CLEANUP_SECONDS = 3600.0
_KEPT_UNRATED = timedelta(days=1)
# Errors that a row itself may cause; all others come from the database, and are retried.
_REFUSED = (DataError, IntegrityError, OverflowError, TypeError, ValueError)


@dataclass(slots=True)
class Record:
    """One request. `outcome` is ok, cancelled or an error's type; `messages` is JSON."""

    request_id: str
    response_id: str
    at: datetime
    key_id: str
    key_name: str = ""
    team: str = ""
    user: str = ""
    model: str = ""
    model_used: str = ""
    backend: str = ""
    kind: str = "chat"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    first_token: float | None = None
    outcome: str = "ok"
    stream: bool = False
    cache: str = ""
    experiment: str = ""
    variant: str = ""
    prompt: str = ""
    decisions: str = ""
    messages: str | None = None
    answer: str | None = None


class Accounting:
    """Takes records on the event loop, writes them in a thread, keeps them while it can't.

    A failed write (disk full, server gone) is tried again, at most every 5 s, until it works.
    When `most` records wait, `full` is true: the service then refuses requests rather than lose
    what they cost; those that are running are still taken.

    `keep_content`: "none" stores no messages and answers, "all" every one up to 64,000
    characters, "rated" deletes those without feedback after a day.
    """

    def __init__(
        self,
        database: Database,
        window: float = 0.25,
        batch: int = 500,
        most: int = 100_000,
        keep_content: Literal["none", "rated", "all"] = "rated",
    ) -> None:
        self.database = database
        self.window = window
        self.batch = batch
        self.most = most
        self.keep_content = keep_content
        self.healthy = True
        self.failed_writes = 0
        self._waiting: deque[Record] = deque()
        self._writing: list[dict[str, Any]] = []
        self._added = self._done = 0
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._stopping, self._give_up = threading.Event(), threading.Event()
        self._progress = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def pending(self) -> int:
        """Records not yet written."""
        return self._added - self._done

    @property
    def full(self) -> bool:
        return self.pending >= self.most

    def add(self, record: Record) -> None:
        """Take a record; never waits, never raises."""
        content = len(record.messages or "") + len(record.answer or "")
        if (
            self.keep_content == "none"
            or content > MOST_CONTENT
            or self.pending > _MOST_WITH_CONTENT
        ):
            record.messages = record.answer = None
        self._added += 1
        self._waiting.append(record)
        self._wake.set()

    async def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="accounting", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Write what is left; after 5 s of a database that fails, give up and log how much."""
        self._stopping.set()
        self._hurry.set()
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _STOP_SECONDS)
            self._give_up.set()
            self._thread = None
        if self.pending:
            log.error("%d usage records could not be written and are lost.", self.pending)

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all that was added so far is written; False if it takes longer."""
        added = self._added
        self._hurry.set()
        with self._progress:
            return self._progress.wait_for(lambda: self._done >= added, timeout)

    def _run(self) -> None:
        cleaned_at = -_CLEANUP_SECONDS
        while True:
            if time.monotonic() - cleaned_at >= _CLEANUP_SECONDS:
                cleaned_at = time.monotonic()
                self._clean_up()
            if self._wake.wait(timeout=_CLEANUP_SECONDS / 60):
                self._hurry.wait(self.window)  # so that a batch is more than one record
                self._wake.clear()  # before writing: a record added during it wakes it again
                self._hurry.clear()
                self._write_waiting()
            if self._stopping.is_set():
                self._write_waiting()  # what came between the last write and here
                return

    def _write_waiting(self) -> None:
        """Write until nothing waits, or until `stop` gives up on a database that fails."""
        batch_size, again, pause = self.batch, False, _SHORTEST_PAUSE
        while self._take():
            rows = self._writing[:batch_size]
            try:
                self._write(rows, again)
            except _REFUSED as error:
                again = True
                if len(rows) > 1:  # one by one, so that only the wrong one is left out
                    batch_size = 1
                    continue
                log.error("Cannot store a usage record: %s", error)
            except Exception as error:
                if self.healthy:
                    log.error("Cannot write usage, %d records are waiting: %s", self.pending, error)
                self.healthy, again = False, True
                self.failed_writes += 1
                if self._stopping.wait(pause) and self._give_up.wait(_SHORTEST_PAUSE):
                    return
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            if not self.healthy:
                log.warning("Writing usage works again, %d records are waiting.", self.pending)
            self.healthy, pause = True, _SHORTEST_PAUSE
            del self._writing[: len(rows)]
            if not self._writing:
                batch_size, again = self.batch, False
            self._finish(len(rows))

    def _take(self) -> bool:
        """Fill `_writing` from the waiting records unless it is filled; False if there are none."""
        while not self._writing and self._waiting:
            count = min(len(self._waiting), self.batch)
            for record in [self._waiting.popleft() for _ in range(count)]:
                try:
                    self._writing.append(_row(record))
                except Exception as error:  # a mistake of ours: this thread must live on
                    log.error("Cannot store a usage record: %s", error)
                    self._finish(1)
        return bool(self._writing)

    def _finish(self, count: int) -> None:
        with self._progress:
            self._done += count
            self._progress.notify_all()

    def _write(self, rows: Sequence[dict[str, Any]], again: bool) -> None:
        """Write rows in one transaction. `again`: an earlier attempt may have been committed."""
        with self.database.writing() as connection:
            if again and _is_written(connection, rows[0]["id"]):
                return
            connection.execute(tables.usage.insert(), list(rows))
            for month, payer, cost in _spent(rows):
                row = {"month": month, "payer": payer, "cost_usd": cost}
                connection.execute(upsert(connection, tables.spending, row, ("cost_usd",)))

    def _clean_up(self) -> None:
        """Delete the content of answers that were not rated within a day."""
        if self.keep_content != "rated":
            return
        column = tables.usage.c
        old = (
            select(column.id)
            .where(column.messages.is_not(None), column.at < datetime.now(UTC) - _KEPT_UNRATED)
            .where(column.response_id.not_in(select(tables.feedback.c.response_id)))
            .limit(5000)  # so that no write waits long
        )
        forget = update(tables.usage).values(messages=None, answer=None).where(column.id.in_(old))
        try:
            while True:
                with self.database.writing() as connection:
                    if not connection.execute(forget).rowcount:
                        return
                if self._waiting:
                    self._write_waiting()
        except (SeedbedError, DBAPIError) as error:
            log.warning("Cannot delete old prompts and answers: %s", error)


def _row(record: Record) -> dict[str, Any]:
    row = {field.name: getattr(record, field.name) for field in fields(Record)}
    row = {name: cleaned(v) if isinstance(v, str) else v for name, v in row.items()}
    # Begins with the time, so that the index grows at its end.
    row["id"] = f"{time.time_ns():016x}{secrets.token_hex(4)}"
    row["day"] = f"{record.at.astimezone(UTC):%Y-%m-%d}"
    return row


def _is_written(connection: Connection, id: str) -> bool:
    return (
        connection.execute(select(tables.usage.c.id).where(tables.usage.c.id == id)).first()
        is not None
    )


def _spent(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str, float]]:
    """(month, payer, USD), sorted so that two processes lock the rows in one order."""
    total: dict[tuple[str, str], float] = {}
    for row in rows:
        payers = [f"key:{row['key_id']}"] + [f"team:{row['team']}"] * bool(row["team"])
        for payer in payers if row["cost_usd"] else ():
            at = row["day"][:7], payer
            total[at] = total.get(at, 0.0) + row["cost_usd"]
    return [(*at, cost) for at, cost in sorted(total.items())]
