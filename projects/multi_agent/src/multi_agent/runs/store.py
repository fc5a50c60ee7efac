"""Runs, their events and their leases in one database: a SQLite file, or Postgres.

    store = RunStore(Path("var/runs.sqlite"))             # or "postgresql://USER@HOST/NAME"
    run = store.create("How many orders were placed in May?")
    store.add_event(run.id, "step_started", "s1", specialist="analyst")
    store.events(run.id, after=0)                         # [Event(id=1, kind="step_started", …)]

A run is worked on by the process that holds its lease, which it renews. Once the lease has ended,
another process can claim the run; what the first one writes as its `holder` is then refused, in the
same transaction, even if it was frozen in the meantime.

Every method is one transaction. It raises Busy if the database is locked and Unavailable if the
disk is full or the server cannot be reached; nothing was written then. Calls of tools and models
are in `ledger.py`, the state of the graph in `checkpoints.py`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import Field
from pydantic_core import to_jsonable_python

from multi_agent.runs.state import Answer, Limits, Status, Value
from seedbed.database.database import open_database, writing
from seedbed.errors import Conflict, NotFound

_ENDED = ("done", "stopped", "failed")
_ELSEWHERE = "Run {!r} is running in another process."


def as_json(value: Any) -> Any:
    """A value as lists, dicts, strings and numbers; other objects become their text.

    >>> as_json((Limits(steps=3).steps, float("nan"), b"x"))
    [3, None, 'eA==']
    """
    return to_jsonable_python(value, fallback=str, bytes_mode="base64", inf_nan_mode="null")


_column = partial(sa.Column[Any], nullable=False)
metadata = sa.MetaData()
runs = sa.Table(
    "runs",
    metadata,
    _column("id", sa.String, primary_key=True),
    _column("owner", sa.String),
    _column("thread", sa.String, index=True),
    _column("status", sa.String),
    _column("created_at", sa.Float, index=True),  # as all times: seconds since 1970
    _column("events", sa.Integer),  # id of the last one
    _column("holder", sa.String),  # the process that runs it
    _column("held_until", sa.Float),  # unless renewed
    _column("record", sa.JSON),  # the RunRecord
)
events = sa.Table(
    "events",
    metadata,
    _column("run", sa.String, primary_key=True),
    _column("id", sa.Integer, primary_key=True),
    _column("at", sa.Float),
    _column("kind", sa.String),
    _column("step", sa.String),
    _column("data", sa.JSON),
)
ledger = sa.Table(
    "ledger",
    metadata,
    _column("key", sa.String, primary_key=True),  # `Ledger.key`
    _column("run", sa.String, index=True),
    _column("step", sa.String),
    _column("name", sa.String),
    _column("arguments", sa.JSON),
    _column("started_at", sa.Float),
    sa.Column("ended_at", sa.Float),  # null: started, not done
    sa.Column("result", sa.JSON),
)


class TakenOver(Conflict):
    """Another process owns this run. Status 503, so that the ledger keeps the call in doubt."""

    status = 503


class RunRecord(Value):
    """A run. `usage` has the amounts of `Budget.usage`."""

    id: str
    owner: str = ""
    """Name of the API key that started it; "" without keys and for the command line."""
    thread: str
    """Runs of one owner with the same thread follow each other."""
    task: str
    full_task: str = ""
    """The task as the team understood it, if it followed another one or needed a clarification."""
    status: Status
    created_at: datetime
    ended_at: datetime | None = None
    limits: Limits = Limits()
    usage: dict[str, float] = Field(default_factory=dict)
    answer: Answer | None = None
    reason: str = ""
    """Why it was stopped or failed, or what it waits for."""


class Event(Value):
    """What happened in a run; its ids are 1, 2, 3 … in the order of their commits."""

    id: int
    run: str
    at: datetime
    kind: str
    step: str = ""
    data: dict[str, Any] = Field(default_factory=dict)


class RunStore:
    """Runs and their events, for any number of threads and processes.

    >>> store = RunStore(Path("runs.sqlite"))
    >>> run = store.create("What is 15 % of 240?")
    >>> store.add_event(run.id, "answer", text="36").id
    1
    >>> store.update(run.id, status="done").ended_at is None
    False
    """

    def __init__(self, url: str | Path) -> None:
        self.engine = open_database(
            url,
            Path("runs.sqlite"),
            "multi_agent",
            metadata,
            extra="multi-agent",
            folder_setting="AGENTS_DATA_DIR",
        )

    def close(self) -> None:
        self.engine.dispose()

    def check(self) -> None:
        """Raise Busy or Unavailable if the database does not respond."""
        self.runs(1)

    def create(
        self,
        task: str,
        *,
        owner: str = "",
        thread: str | None = None,
        limits: Limits | None = None,
        holder: str = "",
        seconds: float = 0.0,
    ) -> RunRecord:
        """Store a new run, leased to `holder` for `seconds`; by default in a new thread."""
        id, now = f"r{secrets.token_hex(6)}", datetime.now(UTC)
        columns: dict[str, Any] = {"id": id, "owner": owner, "thread": thread or id}
        columns["status"] = "running"
        record = RunRecord(**columns, task=task, created_at=now, limits=limits or Limits())
        at = now.timestamp()
        columns |= {"created_at": at, "events": 0, "holder": holder, "held_until": at + seconds}
        with writing(self.engine) as connection:
            connection.execute(sa.insert(runs).values(record=as_json(record), **columns))
        return record

    def run(self, id: str, owner: str | None = None) -> RunRecord:
        """A run, of any owner by default. Raises NotFound, also for a run of another owner."""
        with self.engine.connect() as connection:
            return RunRecord.model_validate(_row(connection, id, owner=owner)["record"])

    def runs(
        self,
        limit: int | None = 50,
        *,
        owner: str | None = None,
        thread: str | None = None,
        before: datetime | None = None,
    ) -> list[RunRecord]:
        """The latest runs, of any owner by default, newest first; those created `before` a time."""
        query = sa.select(runs.c.record).order_by(runs.c.created_at.desc(), runs.c.id).limit(limit)
        query = query if owner is None else query.where(runs.c.owner == owner)
        query = query.where(runs.c.thread == thread) if thread else query
        query = query.where(runs.c.created_at < before.timestamp()) if before else query
        with self.engine.connect() as connection:
            return [RunRecord.model_validate(one) for one in connection.execute(query).scalars()]

    def update(
        self, id: str, *, when: Collection[str] = (), holder: str = "", **fields: Any
    ) -> RunRecord:
        """Change fields of a run; `status` sets `ended_at` too. Raises NotFound.

        Raises Conflict if another process than `holder` holds the run, or if its status is not
        among `when`: of two processes that resume a run with
        `update(id, when=["stopped"], status="running")`, one does.
        """
        with writing(self.engine) as connection:
            row = _row(connection, id, lock=True)
            if holder and row["holder"] != holder:
                raise Conflict(_ELSEWHERE.format(id))
            if when and row["status"] not in when:
                raise Conflict(f"Run {id!r} is {row['status']}, not {' or '.join(when)}.")
            if "status" in fields:
                fields["ended_at"] = datetime.now(UTC) if fields["status"] in _ENDED else None
            record = RunRecord.model_validate(row["record"]).model_copy(update=fields)
            columns = {"status": record.status, "record": as_json(record)}
            connection.execute(sa.update(runs).where(runs.c.id == id).values(columns))
        return record

    def delete(self, id: str) -> None:
        with writing(self.engine) as connection:
            for column in (runs.c.id, events.c.run, ledger.c.run):
                connection.execute(sa.delete(column.table).where(column == id))

    def add_event(
        self, run: str, kind: str, /, step: str = "", *, holder: str = "", **data: Any
    ) -> Event:
        """Append an event. Raises TakenOver if another process than `holder` holds the run.

        Raises NotFound for an unknown run.
        """
        number = sa.update(runs).where(runs.c.id == run).values(events=runs.c.events + 1)
        number = number.where(runs.c.holder == holder) if holder else number
        row = {"run": run, "at": time.time(), "kind": kind, "step": step, "data": as_json(data)}
        with writing(self.engine) as connection:
            # The lock on the run lasts until the commit: ids appear in order, also on Postgres.
            id = connection.execute(number.returning(runs.c.events)).scalar()
            if id is None:
                _row(connection, run)
                raise TakenOver(_ELSEWHERE.format(run))
            connection.execute(sa.insert(events).values(id=id, **row))
        return Event(id=id, **row)

    def events(
        self, run: str, after: int = 0, limit: int = 1000, kind: str | None = None
    ) -> list[Event]:
        """The events with an id above `after`, oldest first; those of a kind, if there is one."""
        query = sa.select(events).where(events.c.run == run, events.c.id > after)
        query = query.where(events.c.kind == kind) if kind else query
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(events.c.id).limit(limit)).mappings()
            return [Event.model_validate(dict(row)) for row in rows]

    # Leases

    def claim(self, run: str, holder: str, seconds: float) -> None:
        """Take the lease of a run, or renew it. Raises Conflict while another process has it."""
        now = time.time()
        free = (runs.c.holder == holder) | (runs.c.held_until < now)
        query = sa.update(runs).where(runs.c.id == run, free)
        with writing(self.engine) as connection:
            values = {"holder": holder, "held_until": now + seconds}
            if not connection.execute(query.values(values)).rowcount:
                hint = f"If that process has died, try again in {seconds:g} s."
                raise Conflict(_ELSEWHERE.format(run), hint=hint)

    def renew(self, ids: Collection[str], holder: str, seconds: float) -> set[str]:
        if not ids:
            return set()
        query = sa.update(runs).where(runs.c.id.in_(ids), runs.c.holder == holder)
        with writing(self.engine) as connection:
            query = query.values(held_until=time.time() + seconds)
            return set(connection.execute(query.returning(runs.c.id)).scalars())

    def release(self, run: str, holder: str) -> None:
        query = sa.update(runs).where(runs.c.id == run, runs.c.holder == holder)
        with writing(self.engine) as connection:
            connection.execute(query.values(holder="", held_until=0))

    def orphans(self) -> list[str]:
        """The running runs whose process is dead, oldest first."""
        query = sa.select(runs.c.id).where(runs.c.status == "running")
        query = query.where(runs.c.held_until < time.time()).order_by(runs.c.created_at)
        with self.engine.connect() as connection:
            return list(connection.execute(query).scalars())


def _row(
    connection: sa.Connection, id: str, *, owner: str | None = None, lock: bool = False
) -> sa.RowMapping:
    query = sa.select(runs).where(runs.c.id == id)
    query = query if owner is None else query.where(runs.c.owner == owner)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise NotFound(f"Unknown run {id!r}.", hint="List them: multi-agent runs")
    return row
