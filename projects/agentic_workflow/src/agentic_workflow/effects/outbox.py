"""The outbox: one row for each side effect, written before the effect happens.

    outbox = Outbox(store.engine, {"smtp": smtp, "payments": payments}, "worker-1")
    outbox.perform(effect_key(case_id, "reply"), case_id, "smtp", payload)
    # Effect(status="done", receipt="250 OK", …)

A row is "ready" until a worker claims it, which is committed at the last moment before the effect
can happen; then it becomes "done" or "failed", or "ready" again. A worker that finds a claimed row
cannot tell whether the effect happened. A receiver that recognizes repetitions by the key is called
again; otherwise the row is "in_doubt" until a person settles it, or the original worker turns out
to be alive. When to try again is up to the workflow.

Refunds have a second guard, for shops whose database shows a refund late or never: each refund of
an order is numbered, one above the refunds that its decision took into account. If two decisions
took the same refunds into account, the second is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Protocol
from uuid import uuid4

from sqlalchemy import ColumnElement, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from agentic_workflow.case import Effect
from agentic_workflow.store.schema import outbox as rows
from seedbed.database.database import reading, writing
from seedbed.errors import Busy, Conflict, NotFound, Unavailable

Claim = Callable[[], None]


class Rejected(Exception):
    """The receiver refused the effect for good: it did not happen, and never will."""


class NotDelivered(Exception):
    """The effect certainly did not happen; a later attempt may succeed."""


class Unknown(Exception):
    """The effect may or may not have happened."""


class Receiver(Protocol):
    """A mail server or an API. Its methods raise Rejected, NotDelivered or Unknown."""

    repeatable: bool  # whether it recognizes a repetition by its key

    def deliver(self, payload: Mapping[str, Any], key: str, claim: Claim) -> str:
        """Carry out the effect and return a receipt; call `claim` just before it can happen."""


class _Claimed(Exception):
    """Another worker has claimed the row."""


def effect_key(case_id: str, action: str) -> str:
    """The business key: the same for every attempt, whichever workflow makes it.

    >>> effect_key("c0123456789abcde", "reply")
    'c0123456789abcde:reply'
    """
    return f"{case_id}:{action}"


def key_digest(key: str) -> str:
    """The key in 32 characters that headers and URLs can contain."""
    return sha256(key.encode()).hexdigest()[:32]


class Outbox:
    """Effects: exactly once where the receiver is repeatable, at most once elsewhere."""

    def __init__(self, engine: Engine, receivers: Mapping[str, Receiver], executor_id: str) -> None:
        self._engine, self._receivers, self._executor = engine, receivers, executor_id
        self._stopped = threading.Event()

    def perform(self, key: str, case_id: str, receiver: str, payload: Mapping[str, Any]) -> Effect:
        """Carry out the effect, unless the row of `key` shows that it happened or may have.

        Returns the row: with "ready" or "claimed", another attempt may succeed. Raises Unavailable
        or Busy for errors of the database; calling again is safe.
        """
        target = self._receivers[receiver]
        # 1. Record the effect before it is carried out.
        row = self._open(key, case_id, receiver, payload)
        # 2. Go on from the state in which an earlier attempt left the row.
        if row.status in ("done", "failed"):
            return row
        if row.status != "ready" and not target.repeatable:
            return self._doubt(key)
        # 3. Carry it out. The claim is committed at the last moment before it can happen.
        token = f"{self._executor}#{uuid4().hex[:12]}"
        states = ("ready", "claimed", "in_doubt") if target.repeatable else ("ready",)
        claim = lambda: self._claim(key, token, states)  # noqa: E731
        try:
            receipt = target.deliver(payload, key, claim)
        # 4. Settle the row.
        except _Claimed:
            return self._doubt(key)
        except Rejected as error:
            return self._settle(key, token, "failed", error=str(error))
        except NotDelivered as error:
            state = "ready" if row.status == "ready" else "claimed"  # an earlier attempt in doubt
            return self._settle(key, token, state, error=str(error))
        except Unknown as error:
            state = "claimed" if target.repeatable else "in_doubt"
            return self._settle(key, token, state, error=str(error))
        return self._settle(key, token, "done", receipt=receipt)

    def give_up(self, key: str) -> str:
        """Stop trying; returns the row's status: "in_doubt" if an attempt may have worked."""
        row = self._row(key)
        status = "failed" if row.status == "ready" else "in_doubt"
        return self._settle(key, "", status, error=row.error).status

    def refunds(self, order_id: str | None) -> tuple[int, Decimal]:
        """How many refunds of an order there are, and the sum of those that have not failed."""
        query = select(rows.c.status, rows.c.payload).where(
            rows.c.order_id == order_id, rows.c.refund_number.is_not(None)
        )
        with reading(self._engine) as connection:
            refunds = connection.execute(query).all()
        amounts = (Decimal(row.payload["amount"]) for row in refunds if row.status != "failed")
        return len(refunds), sum(amounts, Decimal(0))

    def stop(self) -> None:
        """Refuse further claims: this process no longer owns its cases."""
        self._stopped.set()

    def list(self, status: str | None = None, case_id: str | None = None) -> list[Effect]:
        """The effects with a status, or of a case."""
        conditions = [rows.c.status == status] if status else []
        conditions += [rows.c.case_id == case_id] if case_id else []
        with reading(self._engine) as connection:
            query = select(rows).where(*conditions).limit(1000)
            return [Effect(**row) for row in connection.execute(query).mappings()]

    def resolve(self, key: str, happened: bool, by: str) -> str:
        """Settle a row in doubt: it is done, or ready for another attempt; returns its case.

        Raises NotFound, or Conflict if the row is not in doubt (any more).
        """
        values = {"status": "done" if happened else "ready", "error": ""}
        return self._decide(key, "in_doubt", {**values, "receipt": f"according to {by}"})

    def replay(self, key: str, by: str) -> str:
        """Make a failed effect ready for another attempt; returns its case. Raises as `resolve`.

        Raises Conflict also for a refund if the order got another one since.
        """
        row = self._row(key)
        later = (rows.c.refund_number > (row.refund_number or 0)) & (rows.c.status != "failed")
        with reading(self._engine) as connection:
            query = select(rows.c.case_id).where(rows.c.order_id == row.order_id, later)
            if other := connection.execute(query.limit(1)).scalar():
                raise Conflict(f"Order {row.order_id} has a refund of case {other} already.")
        values = {"status": "ready", "attempts": 0, "error": f"replayed by {by}"}
        return self._decide(key, "failed", values)

    def _decide(self, key: str, status: str, values: dict[str, Any]) -> str:
        changed = self._update(key, rows.c.status == status, **values)
        row = self._row(key)
        if not changed:
            raise Conflict(f"The effect {key!r} is {row.status}, not {status}.")
        return str(row.case_id)

    # ── rows ────────────────────────────────────────────────────────────────────────────────

    def _row(self, key: str) -> Effect:
        with reading(self._engine) as connection:
            row = connection.execute(select(rows).where(rows.c.key == key)).mappings().first()
        if row is None:
            raise NotFound(f"Unknown effect {key!r}.")
        return Effect(**row)

    def _open(self, key: str, case_id: str, receiver: str, payload: Mapping[str, Any]) -> Effect:
        with suppress(NotFound):
            return self._row(key)
        row: dict[str, Any] = {
            "key": key,
            "case_id": case_id,
            "action": key.rpartition(":")[2],
            "status": "ready",
        }
        row |= {"receiver": receiver, "payload": dict(payload), "order_id": payload.get("order_id")}
        problem = f"order {row['order_id']} got another refund after this one was decided"
        for more in (
            {"refund_number": payload.get("refund_number")},
            {"status": "failed", "error": problem},  # the number is taken
        ):
            with suppress(IntegrityError), writing(self._engine) as connection:
                connection.execute(insert(rows).values(row | more))
                break
        return self._row(key)  # inserted by another worker, if that was faster

    def _claim(self, key: str, token: str, states: tuple[str, ...]) -> None:
        if self._stopped.is_set():
            raise NotDelivered("This worker lost its lock.")
        values = {"status": "claimed", "executor": token, "claimed_at": datetime.now(UTC)}
        if not self._update(key, rows.c.status.in_(states), **values):
            raise _Claimed

    def _doubt(self, key: str) -> Effect:
        """The row of a worker that died or stalled after it claimed it."""
        error = "the worker stopped between the claim and the receipt"
        self._update(key, rows.c.status == "claimed", status="in_doubt", error=error)
        return self._row(key)

    def _settle(
        self, key: str, token: str, status: str, *, receipt: str = "", error: str = ""
    ) -> Effect:
        """Write the result of an attempt, as soon as the database can be reached.

        Without a receipt, a row that another worker has claimed since is left alone.
        """
        from tenacity import retry, retry_if_exception_type, wait_fixed

        condition = rows.c.status != "done"
        if token and not receipt:
            condition &= (rows.c.executor == token) | (rows.c.status == "ready")
        values: dict[str, Any] = {"status": status, "receipt": receipt, "error": error[:500]}
        values |= {"attempts": rows.c.attempts + 1, "done_at": datetime.now(UTC)}

        @retry(retry=retry_if_exception_type((Unavailable, Busy)), wait=wait_fixed(0.2))
        def write() -> Effect:
            self._update(key, condition, **values)
            return self._row(key)

        return write()

    def _update(self, key: str, condition: ColumnElement[bool], **values: Any) -> int:
        statement = update(rows).where(rows.c.key == key, condition).values(**values)
        with writing(self._engine) as connection:
            return connection.execute(statement).rowcount
