"""The record of a run's calls of tools and models: one that finished is never made again.

    ledger = Ledger(store, run.id)
    ledger.once("s1", "query_database", {"sql": sql}, lambda: query(sql), repeatable=True)
    ledger.once("s2", "send_mail", {"to": "Ann"}, lambda: send("Ann"), repeatable=False)

Checkpoints do not guarantee this. After SIGKILL, LangGraph repeats the node that was running, and a
`@task` that has just finished too. So each call is recorded before it starts and after it ends.

The key of a call is run, step, name and arguments. A call with effects has no step in its key: when
the run plans again, the same action in a new step is still the same action.

Model calls are made in `record_model.py`; their replies and costs are rows without a step.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import Any
from weakref import WeakValueDictionary

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from multi_agent.runs.store import RunStore, as_json, ledger
from seedbed.database.database import writing
from seedbed.errors import SeedbedError

_IDLE_BEFORE = ("run_started", "continued", "answered", "resumed", "stopped")
"""The run was idle before these events; that time is not charged."""


class InDoubt(SeedbedError):
    """A call was interrupted, and only a person can find out whether it had its effect.

    `Ledger.settle(error.key, result)` then records it as finished, and
    `once(…, retry_of=error.started_at)` repeats it; that attempt can be interrupted again.
    """

    status = 409

    def __init__(
        self, key: str, name: str, arguments: Mapping[str, Any], started_at: float
    ) -> None:
        text = json.dumps(arguments, ensure_ascii=False)[:200]
        super().__init__(f"{name} was interrupted and may have had its effect: {text}.")
        self.key, self.name, self.arguments = key, name, arguments
        self.started_at = started_at


class Ledger:
    """The calls of one run. Threads may share it, and several may be open for the same run.

    >>> store = RunStore("sqlite:///runs.sqlite")
    >>> calls = Ledger(store, store.create("What is 15 % of 240?").id)
    >>> calls.once("s1", "calculate", {"task": "15 % of 240"}, lambda: 36, repeatable=True)
    36
    >>> calls.once("s1", "calculate", {"task": "15 % of 240"}, lambda: 0, repeatable=True)
    36
    """

    def __init__(self, store: RunStore, run_id: str) -> None:
        self._store, self._engine, self.run_id = store, store.engine, run_id
        self._numbers: Counter[str] = Counter()
        self._numbers_lock = threading.Lock()

    def key(self, step_id: str, name: str, arguments: Mapping[str, Any]) -> str:
        """The key of a call, the same after a restart; without a step, one of the whole run."""
        text = json.dumps(as_json(arguments), sort_keys=True)
        return f"{self.run_id}/{step_id}/{name}/{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    def once(
        self,
        step_id: str,
        name: str,
        arguments: Mapping[str, Any],
        function: Callable[[], Any],
        *,
        repeatable: bool,
        retry_of: float | None = None,
    ) -> Any:
        """The result of `function`, as JSON: from the record if the call has finished before.

        A call that has effects is not `repeatable`; it is made once in the whole run, others once
        per step. A call that is in progress in another thread is waited for.

        Raises what `function` raises. The call can then be made again if it is repeatable, or if it
        was refused (a status below 500). Otherwise it may have had its effect: as after a crash,
        the next call raises InDoubt, unless `retry_of` is when the interrupted one started.
        """
        arguments = as_json(arguments)
        key = self.key(step_id if repeatable else "", name, arguments)
        row = {"key": key, "run": self.run_id, "step": step_id, "name": name}
        with _lock(f"{self._engine.url} {key}"):
            # 1. Record the start, or find the earlier call.
            earlier = self._start({**row, "arguments": arguments}, durable=not repeatable)
            if earlier and earlier["ended_at"] is not None:
                return earlier["result"]
            if earlier and not repeatable and not self._restart(key, retry_of):
                raise InDoubt(key, name, arguments, earlier["started_at"])
            # 2. Call.
            try:
                result = as_json(function())
            except Exception as error:
                if repeatable or (isinstance(error, SeedbedError) and error.status < 500):
                    with writing(self._engine) as connection:
                        connection.execute(sa.delete(ledger).where(_unfinished(key)))
                raise
            # 3. Record the result.
            self.settle(key, result)
            return result

    def settle(self, key: str, result: Any) -> None:
        """Record the result of a call that has started; an earlier result is not replaced."""
        row = {"result": as_json(result), "ended_at": time.time()}
        with writing(self._engine) as connection:
            connection.execute(sa.update(ledger).where(_unfinished(key)).values(row))

    # Calls of models

    def number(self, digest: str, change: int = 1) -> int:
        """How often a model call was made, this time included; -1 takes a failed one back."""
        with self._numbers_lock:
            self._numbers[digest] += change
            return self._numbers[digest]

    def reply(self, key: str) -> Any:
        """The reply of a model call; None if it is not in the record."""
        query = sa.select(ledger.c.result).where(ledger.c.key == f"{self.run_id}/{key}")
        with self._engine.connect() as connection:
            result = connection.execute(query).scalar()
        return result and result["reply"]

    def add_reply(
        self, key: str, role: str, prompt: str, spent: dict[str, float], reply: Any
    ) -> None:
        """Store what a model call has spent, and its reply, unless another process has."""
        row = {"run": self.run_id, "step": "", "name": role, "arguments": {"prompt": prompt}}
        row |= {"key": f"{self.run_id}/{key}", "result": {"spent": spent, "reply": reply}}
        times = {"started_at": time.time(), "ended_at": time.time()}
        with suppress(IntegrityError), writing(self._engine) as connection:
            connection.execute(sa.insert(ledger).values(**row, **times))

    def usage(self) -> dict[str, float]:
        """What the run has spent, as `Budget.usage`: a killed process loses none of it.

        Up to the last event and the last reply of a model.
        """
        usage = {"steps": 0.0, "tool_calls": 0.0, "tokens": 0.0, "usd": 0.0, "seconds": 0.0}
        calls = sa.select(ledger.c.result).where(ledger.c.run == self.run_id, ledger.c.step == "")
        with self._engine.connect() as connection:
            for result in connection.execute(calls).scalars():
                for name, amount in result["spent"].items():
                    usage[name] += amount
        events = self._store.events(self.run_id, limit=1_000_000)
        usage["steps"] = sum(event.kind == "step_ended" for event in events)
        usage["tool_calls"] = sum(event.kind == "tool_started" for event in events)
        for before, event in pairwise(events):
            if event.kind not in _IDLE_BEFORE:
                usage["seconds"] += (event.at - before.at).total_seconds()
        return usage

    def _start(self, row: dict[str, Any], *, durable: bool) -> dict[str, Any] | None:
        """Insert the call, or return its earlier row."""
        try:
            with writing(self._engine, durable=durable) as connection:
                connection.execute(sa.insert(ledger).values(**row, started_at=time.time()))
        except IntegrityError:
            query = sa.select(ledger).where(ledger.c.key == row["key"])
            with self._engine.connect() as connection:
                earlier = connection.execute(query).mappings().first()
            # None: the same call of another process has just failed.
            return dict(earlier) if earlier else self._start(row, durable=durable)
        return None

    def _restart(self, key: str, started_at: float | None) -> bool:
        """Start an interrupted call once more; False if it is not the one that started then."""
        doubt = _unfinished(key) & (ledger.c.started_at == started_at)
        with writing(self._engine, durable=True) as connection:
            restart = sa.update(ledger).where(doubt).values(started_at=time.time())
            return started_at is not None and bool(connection.execute(restart).rowcount)


def _unfinished(key: str) -> sa.ColumnElement[bool]:
    return sa.and_(ledger.c.key == key, ledger.c.ended_at.is_(None))


_locks: WeakValueDictionary[str, Any] = WeakValueDictionary()
_locks_change = threading.Lock()


def _lock(key: str) -> Any:
    """The lock of a key in this process; it exists while it is used."""
    with _locks_change:
        return _locks.setdefault(key, threading.RLock())
