"""The case database: cases, their audit trail, approvals, corrections and switches.

    store = Store(Path("var/cases.sqlite"))        # or "postgresql://USER@HOST/NAME"
    record, new = store.receive(parse_mail(data))
    store.update(record.id, status="working", triage=triage)
    store.request_approval(record.id, ["refund above 100 EUR"], due_at)
    store.decide_approval(record.id, "approve", "anna")

Several processes may use one database at once; each method is one transaction. Every method raises
Unavailable if the database is away or the disk is full, and Busy if it is locked: nothing was
written then, and the caller may retry. The outbox is in `effects/outbox.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from agentic_workflow.store import search, statistics
from agentic_workflow.store.case import Decision, Draft, Facts, Mail, Status, Triage, Value
from agentic_workflow.store.database import open_database, reading, writing
from agentic_workflow.store.records import (
    Approval,
    CaseRecord,
    CaseSummary,
    Correction,
    Event,
    Statistics,
    Usage,
    Verdict,
)
from agentic_workflow.store.schema import (
    UNDECIDED,
    WITH_TOKENS,
    approvals,
    cases,
    corrections,
    events,
    switches,
)
from seedbed.errors import Conflict, NotFound

__all__ = ["CaseRecord", "CaseSummary", "Store", "case_id"]

DUPLICATE_DAYS = 30  # the same text from the same sender after that is a new request
LIST_LIMIT = 1000
_FINAL = ("closed", "duplicate")
_SUMMARY = [cases.c[name] for name in CaseSummary.model_fields if name != "due_at"]
_CURRENT = and_(approvals.c.case_id == cases.c.id, approvals.c.revision == cases.c.revision)


def case_id(message_id: str) -> str:
    """The id of the case of a mail: the same for every copy of it.

    >>> case_id("1@shop.example")
    'c2ea3f3a8ab5cb05'
    """
    return "c" + hashlib.sha256(message_id.encode(errors="replace")).hexdigest()[:15]


class Store:
    """Cases and everything recorded about them; `now` is for tests.

    >>> store = Store(Path("cases.sqlite"))
    >>> mail = Mail(message_id="1@shop.example", content_hash="a", sender="bob@example.com")
    >>> record, new = store.receive(mail)
    >>> record.status, new, store.receive(mail)[1]
    ('received', True, False)
    """

    def __init__(
        self, url: str | Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.engine = open_database(url)
        self._now = now

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    # ── cases ───────────────────────────────────────────────────────────────────────────────

    def receive(self, mail: Mail) -> tuple[CaseRecord, bool]:
        """Store a mail as a case; False with the earlier case if its Message-ID came before."""
        identifier, now = case_id(mail.message_id), self._now()
        row = {
            "id": identifier,
            "content_hash": _clean(mail.content_hash),
            "sender": _clean(mail.sender),
            "subject": _clean(mail.subject),
            "status": "received",
            "mail": mail.model_dump(mode="json"),
            "received_at": now,
            "changed_at": now,
        }
        with writing(self.engine) as connection:
            dialect = sqlite if self.engine.dialect.name == "sqlite" else postgresql
            statement = dialect.insert(cases).values(row).on_conflict_do_nothing()
            number = connection.execute(statement.returning(cases.c.number)).scalar()
            if number is not None:
                words = f"{identifier} {mail.sender} {mail.sender_name} {mail.subject} {mail.text}"
                search.index(connection, number, words)
                self._add_event(connection, identifier, "received", evidence=mail.warnings)
            return _case(connection, identifier), number is not None

    def case(self, id: str) -> CaseRecord:
        """A case. Raises NotFound."""
        with reading(self.engine) as connection:
            return _case(connection, id)

    def duplicate_of(self, id: str) -> str | None:
        """The first case with the same sender, subject and text in the 30 days before."""
        this, first = cases.alias("this"), cases.alias("first")
        since = self._now() - timedelta(days=DUPLICATE_DAYS)
        query = (
            select(first.c.id)
            .join(this, first.c.content_hash == this.c.content_hash)
            .where(this.c.id == id, first.c.number < this.c.number, first.c.received_at > since)
            .order_by(first.c.number)
        )
        with reading(self.engine) as connection:
            found: str | None = connection.execute(query.limit(1)).scalar()
            return found

    def cases(
        self,
        *,
        status: Status | None = None,
        category: str | None = None,
        text: str = "",
        before: int | None = None,
        limit: int = 50,
    ) -> list[CaseSummary]:
        """Cases, the newest first. `before` is the `number` of the last one of the page before.

        `text` selects cases whose mail contains words that begin like each of its words.
        """
        query = select(*_SUMMARY).order_by(cases.c.number.desc()).limit(limit)
        if status:
            query = query.where(cases.c.status == status)
        if category:
            query = query.where(cases.c.category == category)
        if before is not None:
            query = query.where(cases.c.number < before)
        with reading(self.engine) as connection:
            if text.strip():
                query = query.where(search.matches(connection, text))
            return [CaseSummary(**row) for row in connection.execute(query).mappings()]

    def update(
        self,
        id: str,
        *,
        status: Status | None = None,
        triage: Triage | None = None,
        facts: Facts | None = None,
        decision: Decision | None = None,
        draft: Draft | None = None,
        outcome: str | None = None,
        revision: int | None = None,
        attempt: int | None = None,
        policy_version: str | None = None,
        closed_by: str = "desk",
    ) -> None:
        """Change what is passed. Raises NotFound, or Conflict if the case is closed already.

        Repeating an update is harmless, and so is a late one of a worker that was taken for dead:
        it can neither reopen a closed case nor make one wait again that a person has decided.
        """
        values = _columns(
            status=status,
            triage=triage,
            facts=facts,
            decision=decision,
            draft=draft,
            outcome=outcome,
            revision=revision,
            attempt=attempt,
            policy_version=policy_version,
        )
        with writing(self.engine) as connection:
            if status in _FINAL:
                values |= self._closing(connection, id, closed_by, counted=status == "closed")
            self._change(connection, id, values)

    def _closing(
        self, connection: Connection, id: str, by: str, *, counted: bool
    ) -> dict[str, Any]:
        before = _case(connection, id)
        if before.closed_at is not None:
            return {}
        now = self._now()
        values: dict[str, Any] = {"closed_at": now, "closed_by": by}
        if counted:
            seconds = (now - before.received_at).total_seconds()
            values["open_seconds"] = max(seconds, 0.0)  # the clock may have been set back
            values["closed_day"] = now.astimezone(UTC).date().isoformat()
        return values

    def _change(self, connection: Connection, id: str, values: dict[str, Any]) -> None:
        status = values.get("status")
        condition: ColumnElement[bool] = cases.c.id == id
        if status == "waiting":
            condition &= cases.c.status.in_(("received", "working", "waiting"))
        elif status is not None:
            condition &= cases.c.status.not_in(_FINAL) | (cases.c.status == status)
        statement = update(cases).where(condition).values(changed_at=self._now(), **values)
        if connection.execute(statement).rowcount == 0:
            raise Conflict(
                f"Case {id} is {_case(connection, id).status}, so it cannot be {status}."
            )

    def unqueued(self, older_than: datetime) -> list[CaseSummary]:
        """Cases that no worker took since `older_than`, to be queued again."""
        query = select(*_SUMMARY).where(
            cases.c.status.in_(("received", "approved")), cases.c.changed_at < older_than
        )
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(cases.c.number).limit(LIST_LIMIT)).mappings()
            return [CaseSummary(**row) for row in rows]

    # ── audit trail ─────────────────────────────────────────────────────────────────────────

    def record(
        self,
        id: str,
        kind: str,
        *,
        actor: str = "desk",
        reason: str = "",
        evidence: Sequence[str] = (),
        model: str = "",
        prompt_version: str = "",
        tokens: int = 0,
        cost_usd: float = 0.0,
        seconds: float = 0.0,
    ) -> None:
        """Add an event to the audit trail of a case."""
        fields = {
            "actor": actor,
            "reason": reason,
            "evidence": evidence,
            "model": model,
            "prompt_version": prompt_version,
            "tokens": tokens,
            "cost_usd": cost_usd,
            "seconds": seconds,
        }
        with writing(self.engine) as connection:
            self._add_event(connection, id, kind, **fields)

    def _add_event(self, connection: Connection, id: str, kind: str, **fields: Any) -> None:
        row = {"actor": "desk", "reason": "", "model": "", "prompt_version": ""}
        row |= {"tokens": 0, "cost_usd": 0.0, "seconds": 0.0, **fields}
        row["reason"] = _clean(row["reason"])
        row["evidence"] = list(fields.get("evidence", ()))
        connection.execute(insert(events).values(case_id=id, kind=kind, at=self._now(), **row))

    def events(self, id: str) -> list[Event]:
        """The audit trail of a case, the oldest first."""
        query = select(events).where(events.c.case_id == id).order_by(events.c.number)
        with reading(self.engine) as connection:
            return [Event(**row) for row in connection.execute(query).mappings()]

    def spent(self, day: date) -> Usage:
        """Cases received, and tokens and money spent, on a day in UTC."""
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = start + timedelta(days=1)
        received = select(func.count()).where(
            cases.c.received_at >= start, cases.c.received_at < end
        )
        with reading(self.engine) as connection:
            count = connection.execute(received).scalar_one()
            return _usage(connection, count, events.c.at >= start, events.c.at < end)

    def spent_on(self, id: str) -> Usage:
        """Tokens and money spent on a case."""
        with reading(self.engine) as connection:
            return _usage(connection, 1, events.c.case_id == id)

    # ── approvals ───────────────────────────────────────────────────────────────────────────

    def request_approval(
        self,
        id: str,
        reasons: Sequence[str],
        due_at: datetime,
        remind_at: datetime | None = None,
    ) -> None:
        """Let the case wait for a person; a repeated request changes nothing.

        `remind_at` is by default half way to `due_at`.
        """
        now = self._now()
        with writing(self.engine) as connection:
            row = {
                "case_id": id,
                "revision": _case(connection, id).revision,
                "reasons": list(reasons),
                "requested_at": now,
                "remind_at": remind_at or now + (due_at - now) / 2,
                "due_at": due_at,
            }
            dialect = sqlite if self.engine.dialect.name == "sqlite" else postgresql
            statement = dialect.insert(approvals).values(row).on_conflict_do_nothing()
            if connection.execute(statement).rowcount:
                self._change(connection, id, {"status": "waiting"})
                self._add_event(connection, id, "approval requested", reason="; ".join(reasons))

    def decide_approval(
        self,
        id: str,
        decision: Verdict,
        by: str,
        draft: Draft | None = None,
        comment: str = "",
    ) -> CaseRecord:
        """Record what a person, or the deadline, decided; the case is "approved" then.

        A `draft` that differs from the case's replaces it, and the difference is kept as a
        correction. Raises Conflict, which names the first person, for a second decision.
        """
        now = self._now()
        with writing(self.engine) as connection:
            # 1. One conditional UPDATE: of two people, one changes a row.
            statement = (
                update(approvals)
                .where(approvals.c.case_id == id, UNDECIDED)
                .values(decision=decision, decided_by=by, decided_at=now, comment=_clean(comment))
            )
            if connection.execute(statement).rowcount == 0:
                raise _no_approval(connection, id)
            # 2. Keep what the person changed.
            record = _case(connection, id)
            changes: dict[str, Any] = {"status": "approved"}
            if draft and record.draft and _text(draft) != _text(record.draft):
                changes |= _columns(draft=draft)
                correction = {"before": record.draft, "after": draft}
                connection.execute(
                    insert(corrections).values(
                        case_id=id,
                        corrected_by=by,
                        at=now,
                        comment=_clean(comment),
                        **_columns(**correction),
                    )
                )
            # 3. Let the case go on.
            self._change(connection, id, changes)
            self._add_event(connection, id, decision, actor=by, reason=comment)
            return _case(connection, id)

    def approval(self, id: str) -> Approval | None:
        """The last request for approval of a case, decided or not."""
        with reading(self.engine) as connection:
            return _approval(connection, id)

    def waiting(self, now: datetime | None = None) -> list[CaseSummary]:
        """Cases that wait for a person, the first deadline first; with `now`, those in time."""
        return self._undecided(*([approvals.c.due_at > now] if now else []))

    def expired(self, now: datetime) -> list[CaseSummary]:
        """Cases that wait for a person and whose deadline has passed."""
        return self._undecided(approvals.c.due_at <= now)

    def to_remind(self, now: datetime) -> list[CaseSummary]:
        """Cases that wait for a person, have not expired, and of which nobody was reminded yet."""
        return self._undecided(
            approvals.c.remind_at <= now, approvals.c.due_at > now, ~approvals.c.reminded
        )

    def remind(self, id: str) -> bool:
        """Record a reminder; False if another process was faster, or the case is decided."""
        condition = and_(approvals.c.case_id == id, UNDECIDED, ~approvals.c.reminded)
        with writing(self.engine) as connection:
            statement = update(approvals).where(condition).values(reminded=True)
            if connection.execute(statement).rowcount == 0:
                return False
            self._add_event(connection, id, "reminder")
            return True

    def _undecided(self, *conditions: ColumnElement[bool]) -> list[CaseSummary]:
        query = select(*_SUMMARY, approvals.c.due_at).join(approvals, _CURRENT)
        query = query.where(UNDECIDED, *conditions).order_by(approvals.c.due_at)
        with reading(self.engine) as connection:
            rows = connection.execute(query.limit(LIST_LIMIT)).mappings()
            return [CaseSummary(**row) for row in rows]

    def corrections(self, limit: int = 100) -> list[Correction]:
        """Drafts that people changed, the latest first."""
        query = select(corrections, cases.c.mail, cases.c.triage)
        query = query.join(cases, cases.c.id == corrections.c.case_id)
        query = query.order_by(corrections.c.number.desc()).limit(limit)
        with reading(self.engine) as connection:
            return [Correction(**row) for row in connection.execute(query).mappings()]

    # ── switches and figures ────────────────────────────────────────────────────────────────

    def switch(self, name: str) -> bool:
        """Whether a switch is on: "stopped" (the kill switch) or "dry_run"."""
        with reading(self.engine) as connection:
            query = select(switches.c.is_on).where(switches.c.name == name)
            return bool(connection.execute(query).scalar())

    def set_switch(self, name: str, on: bool, by: str) -> None:
        """Turn a switch on or off for all processes, from their next step on."""
        with writing(self.engine) as connection:
            connection.execute(switches.delete().where(switches.c.name == name))
            row = {"name": name, "is_on": on, "changed_by": by, "changed_at": self._now()}
            connection.execute(insert(switches).values(row))
            self._add_event(connection, "", f"{name} {'on' if on else 'off'}", actor=by)

    def statistics(self, days: int = 30) -> Statistics:
        """Figures of the cases closed in the last `days`, today included."""
        with reading(self.engine) as connection:
            return statistics.compute(connection, self._now(), days)

    def counts(self) -> dict[tuple[str, str], int]:
        """Number of cases by status and category (empty before triage)."""
        with reading(self.engine) as connection:
            return statistics.counts(connection)


def _columns(**fields: Any) -> dict[str, Any]:
    """The fields that are not None, values as JSON."""
    values = {
        name: field.model_dump(mode="json") if isinstance(field, Value) else field
        for name, field in fields.items()
        if field is not None
    }
    if triage := fields.get("triage"):
        values |= {"category": triage.category, "priority": triage.priority}
    return values


def _case(connection: Connection, id: str) -> CaseRecord:
    columns = [cases.c[name] for name in CaseRecord.model_fields]
    row = connection.execute(select(*columns).where(cases.c.id == id)).mappings().first()
    if row is None:
        raise NotFound(f"Unknown case {id!r}.", hint="List the cases: agentic-workflow inbox")
    return CaseRecord(**row)


def _approval(connection: Connection, id: str) -> Approval | None:
    query = select(approvals).where(approvals.c.case_id == id)
    query = query.order_by(approvals.c.revision.desc()).limit(1)
    row: RowMapping | None = connection.execute(query).mappings().first()
    return Approval(**row) if row else None


def _no_approval(connection: Connection, id: str) -> Conflict:
    """The reason why a decision came too late, or too early."""
    record, approval = _case(connection, id), _approval(connection, id)
    if approval is None or approval.decided_at is None:
        return Conflict(f"Case {id} does not wait for approval; it is {record.status}.")
    when = approval.decided_at.isoformat(sep=" ", timespec="minutes")
    return Conflict(
        f"Case {id} was decided by {approval.decided_by} ({approval.decision}) at {when}."
    )


def _usage(connection: Connection, count: int, *conditions: ColumnElement[bool]) -> Usage:
    columns = (func.sum(events.c.tokens), func.sum(events.c.cost_usd))
    tokens, cost = connection.execute(select(*columns).where(WITH_TOKENS, *conditions)).one()
    return Usage(cases=count, tokens=tokens or 0, cost_usd=cost or 0.0)


def _text(draft: Draft) -> tuple[str, str]:
    return draft.subject.strip(), draft.body.strip()


def _clean(text: str) -> str:
    """Without what Postgres cannot store as text: NUL characters and lone surrogates."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")
