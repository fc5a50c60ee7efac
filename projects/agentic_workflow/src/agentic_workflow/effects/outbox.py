"""The outbox: one row for each side effect, written before the effect happens.

    outbox = Outbox(store.engine, {"smtp": smtp, "payments": payments}, "worker-1")
    outbox.perform(effect_key(mail.message_id, "reply", 1), case_id, "smtp", payload)
    # Outcome(status="done", receipt="250 OK")

A row is `ready` until its sender claims it, which is committed at the last moment before the effect
can happen; then it becomes `done`, `failed`, or `ready` again. Who meets a claimed row does not know
whether the effect happened: a receiver that recognizes repetitions by the key is called again, any
other row becomes `in_doubt` until a person, or the sender if it is still alive, settles it. When to
try again is up to the workflow.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import uuid4

from sqlalchemy import Engine, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from agentic_workflow.store.database import reading, writing
from agentic_workflow.store.schema import outbox as rows
from seedbed.errors import Busy, Conflict, NotFound, Unavailable

Claim = Callable[[], None]
FAILURES_TO_OPEN, OPEN_SECONDS = 5, 20.0
"""A receiver that failed so often in a row is not called for so long."""


class Rejected(Exception):
    """The receiver refused it for good: it did not happen, and a repetition would not help."""


class NotDelivered(Exception):
    """It certainly did not happen; a later attempt may succeed."""


class Unknown(Exception):
    """It may or may not have happened."""


class Receiver(Protocol):
    """A mail server or an API that carries out effects."""

    repeatable: bool  # whether it recognizes a repetition by its key

    def deliver(self, payload: Mapping[str, Any], key: str, claim: Claim) -> str:
        """Carry out the effect and return a receipt; call `claim` just before it can happen.

        Raises Rejected, NotDelivered or Unknown.
        """

    def release(self, key: str) -> bool:
        """Undo what an attempt that is given up has reserved; True if the effect did happen.

        Raises NotDelivered or Unknown.
        """


@dataclass(frozen=True)
class Outcome:
    """What became of an effect. `retry`: another attempt may succeed; `stopped`: no attempt."""

    status: Literal["done", "retry", "in_doubt", "failed", "stopped"]
    receipt: str = ""
    error: str = ""
    attempts: int = 0


class _Claimed(Exception):
    """Another sender has claimed the row."""


def effect_key(message_id: str, action: str, revision: int) -> str:
    """The business key: the same for every attempt, also from a new workflow.

    >>> effect_key("m1@example", "reply", 1)
    'm1@example:reply:1'
    """
    return f"{message_id}:{action}:{revision}"


_CRASH_POINT, _, _CRASH_FILE = os.environ.get("WORKFLOW_TEST_CRASH", "").partition(":")


def crash_point(name: str) -> None:
    """Kill this process, once, if a test asked for it: WORKFLOW_TEST_CRASH="after claim:FILE".

    The file is created before, so that the next process passes.
    """
    if name == _CRASH_POINT:
        with suppress(FileExistsError):
            Path(_CRASH_FILE).touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)


class Outbox:
    """Carries out effects at most once, or exactly once where the receiver is repeatable."""

    def __init__(
        self,
        engine: Engine,
        receivers: Mapping[str, Receiver],
        executor_id: str,
        *,
        open_seconds: float = OPEN_SECONDS,
    ) -> None:
        from pybreaker import CircuitBreaker

        self._engine, self._receivers, self._executor = engine, receivers, executor_id
        self._breakers = {
            name: CircuitBreaker(
                fail_max=FAILURES_TO_OPEN,
                reset_timeout=open_seconds,
                exclude=[Rejected, _Claimed, Unavailable, Busy],
                name=name,
            )
            for name in receivers
        }
        self._stopped = threading.Event()
        self._unsettled = 0
        self._lock = threading.Condition()

    # ── carrying out ────────────────────────────────────────────────────────────────────────

    def perform(self, key: str, case_id: str, receiver: str, payload: Mapping[str, Any]) -> Outcome:
        """Carry out the effect unless a row under `key` says that it happened or may have.

        Raises Unavailable or Busy for errors of the database; calling again is safe.
        """
        from pybreaker import CircuitBreakerError

        target = self._receivers[receiver]
        # 1. Write down what is to be done, before it is done.
        row = self._open(key, case_id, receiver, payload)
        # 2. Go on from the state in which an earlier attempt left the row.
        if row.status in ("done", "failed"):
            return Outcome(row.status, row.receipt, row.error, row.attempts)
        if row.status != "ready" and not target.repeatable:
            return self._doubt(key)
        # 3. Carry it out. The claim is committed at the last moment before it can happen.
        token = f"{self._executor}#{uuid4().hex[:12]}"
        from_status = ("ready", "claimed", "in_doubt") if target.repeatable else ("ready",)
        try:
            with self._settling():
                try:
                    receipt = self._breakers[receiver].call(
                        target.deliver, payload, key, lambda: self._claim(key, token, from_status)
                    )
                # 4. Settle the row.
                except Rejected as error:
                    return self._settle(key, "failed", "failed", error=str(error))
                except (NotDelivered, CircuitBreakerError) as error:
                    return self._settle(key, "ready", "retry", token=token, error=str(error))
                except Unknown as error:
                    if target.repeatable:
                        return self._settle(key, "claimed", "retry", token=token, error=str(error))
                    return self._settle(key, "in_doubt", "in_doubt", token=token, error=str(error))
                crash_point("after send")
                return self._settle(key, "done", "done", receipt=receipt)
        except _Claimed:
            row = self._row(key)
            return Outcome("done", row.receipt) if row.status == "done" else self._doubt(key)

    def give_up(self, key: str) -> Outcome:
        """Stop trying: release what is reserved, and mark the row as failed.

        If the receiver answers that the effect did happen, the row is done instead.
        """
        row = self._row(key)
        error = row.error
        try:
            if self._receivers[row.receiver].release(key):
                return self._settle(key, "done", "done", receipt="it had happened")
        except (NotDelivered, Unknown) as problem:
            error = f"{error}; a reservation may remain: {problem}"
        return self._settle(key, "failed", "failed", error=error)

    def stop(self) -> None:
        """Refuse further claims: this process no longer owns its work."""
        self._stopped.set()

    def wait_until_settled(self, seconds: float) -> bool:
        """Wait until no effect of this process is between its claim and its settlement."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._unsettled, seconds)

    # ── for persons ─────────────────────────────────────────────────────────────────────────

    def list(self, status: str, limit: int = 200) -> list[Row[Any]]:
        """Rows in a status, the oldest first."""
        query = select(rows).where(rows.c.status == status)
        with reading(self._engine) as connection:
            return list(connection.execute(query.order_by(rows.c.claimed_at).limit(limit)))

    def of_case(self, case_id: str) -> list[Row[Any]]:
        """The effects of a case."""
        with reading(self._engine) as connection:
            return list(connection.execute(select(rows).where(rows.c.case_id == case_id)))

    def resolve(self, key: str, happened: bool, by: str) -> str:
        """Settle a row in doubt: it is done, or ready to be tried; returns its case.

        Raises NotFound, or Conflict if the row is not in doubt (any more).
        """
        values = {"status": "ready", "error": ""}
        if happened:
            values = {"status": "done", "receipt": f"confirmed by {by}", "error": ""}
        return self._decide(key, "in_doubt", values)

    def replay(self, key: str, by: str) -> str:  # noqa: ARG002  the store records who
        """Make a failed effect ready for another try; returns its case."""
        return self._decide(key, "failed", {"status": "ready", "attempts": 0})

    def _decide(self, key: str, status: str, values: dict[str, Any]) -> str:
        statement = update(rows).where(rows.c.key == key, rows.c.status == status)
        with writing(self._engine) as connection:
            changed = connection.execute(statement.values(**values)).rowcount
        row = self._row(key)
        if not changed:
            raise Conflict(f"The effect {key!r} is {row.status}, not {status}.")
        return str(row.case_id)

    # ── rows ────────────────────────────────────────────────────────────────────────────────

    def _row(self, key: str) -> Row[Any]:
        with reading(self._engine) as connection:
            row = connection.execute(select(rows).where(rows.c.key == key)).one_or_none()
        if row is None:
            raise NotFound(f"Unknown effect {key!r}.")
        return row

    def _open(self, key: str, case_id: str, receiver: str, payload: Mapping[str, Any]) -> Row[Any]:
        try:
            return self._row(key)
        except NotFound:
            pass
        action = key.rsplit(":", 2)[1]
        row = {"key": key, "case_id": case_id, "action": action, "receiver": receiver}
        values = {**row, "payload": dict(payload), "status": "ready"}
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(rows).values(**values))
        except IntegrityError:  # another worker was faster
            pass
        return self._row(key)

    def _claim(self, key: str, token: str, from_status: tuple[str, ...]) -> None:
        crash_point("before claim")
        if self._stopped.is_set():
            raise NotDelivered("This worker lost its lock.")
        statement = update(rows).where(rows.c.key == key, rows.c.status.in_(from_status))
        values = {"status": "claimed", "executor": token, "claimed_at": datetime.now(UTC)}
        with writing(self._engine) as connection:
            if not connection.execute(statement.values(**values)).rowcount:
                raise _Claimed
        crash_point("after claim")

    def _doubt(self, key: str) -> Outcome:
        """Mark a claimed row whose sender is gone, or frozen."""
        statement = update(rows).where(rows.c.key == key, rows.c.status == "claimed")
        error = "the sender stopped between claim and receipt"
        with writing(self._engine) as connection:
            connection.execute(statement.values(status="in_doubt", error=error))
        row = self._row(key)
        if row.status == "done":  # the sender was alive after all
            return Outcome("done", row.receipt)
        return Outcome("in_doubt", error=row.error, attempts=row.attempts)

    def _settle(
        self,
        key: str,
        status: str,
        outcome: Literal["done", "retry", "in_doubt", "failed"],
        *,
        token: str = "",
        receipt: str = "",
        error: str = "",
    ) -> Outcome:
        """Write the result of an attempt, when the database is back if it is away.

        With `token`, a row that another sender has claimed meanwhile is left alone.
        """
        from tenacity import retry, retry_if_exception_type, wait_fixed

        at = {"done_at": datetime.now(UTC)} if status == "done" else {}
        statement = update(rows).where(rows.c.key == key, rows.c.status != "done")
        if token:
            statement = statement.where((rows.c.executor == token) | (rows.c.status == "ready"))

        @retry(retry=retry_if_exception_type((Unavailable, Busy)), wait=wait_fixed(0.2))
        def write() -> Row[Any]:
            values = {"status": status, "receipt": receipt, "error": error[:500], **at}
            with writing(self._engine) as connection:
                connection.execute(statement.values(attempts=rows.c.attempts + 1, **values))
            return self._row(key)

        row = write()
        return Outcome(outcome, receipt or row.receipt, error, row.attempts)

    @contextmanager
    def _settling(self) -> Iterator[None]:
        with self._lock:
            self._unsettled += 1
        try:
            yield
        finally:
            with self._lock:
                self._unsettled -= 1
                self._lock.notify_all()
