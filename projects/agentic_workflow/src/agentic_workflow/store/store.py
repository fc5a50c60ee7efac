"""The case database: cases, their audit trail and approvals.

    store = Store(Path("var/cases.sqlite"))        # or "postgresql://USER@HOST/NAME"
    record, new = store.receive(parse_mail(data))
    store.request_approval(record.id, ["refund above 100 EUR"], due_at)
    store.decide_approval(record.id, "approve", "anna")

Several processes may use one database at once; each method is one transaction. Every method raises
Unavailable if the database is away or the disk is full, and Busy if it is locked: nothing was
written then, and the caller may retry. The outbox is in `effects/outbox.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, insert, or_, select, update
from sqlalchemy import case as sql_case
from sqlalchemy.exc import IntegrityError

from agentic_workflow.case import (
    Approval,
    CaseRecord,
    CaseSummary,
    Decision,
    Draft,
    Event,
    Mail,
    Standing,
    Status,
    Triage,
    Value,
    Verdict,
)
from agentic_workflow.store.schema import WITH_TOKENS, cases, events, metadata
from seedbed.database.database import open_database, reading, writing
from seedbed.errors import BadInput, Conflict, NotFound

DUPLICATE_HOURS = 1  # after that, the same text of an answered case is a new request
LIST_LIMIT = 1000
STOPPED = "stopped"  # the event that turns the kill switch on
MAX_WORDS = 10  # of a search
_SEARCHED = (cases.c.id, cases.c.sender, cases.c.subject, cases.c.mail["text"].as_string())
_REPLY_ID = re.compile(r"(c[0-9a-f]{15})\.[0-9a-f]+@")  # the Message-ID of a reply
_STARTED = ("received", "working")
_FINAL = ("closed", "duplicate")
_SUMMARY = select(*(cases.c[name] for name in CaseSummary.model_fields))
_RECORD = select(*(cases.c[name] for name in CaseRecord.model_fields))
T = TypeVar("T", bound=Value)


def case_id(mail: Mail) -> str:
    """The id of the case of a mail: the same for every copy of it.

    Made from the content too, since contact forms and scanners repeat Message-IDs.

    >>> case_id(Mail(message_id="1@shop.example", content_hash="a", sender="bob@example.com"))
    'c8a18fcdad293816'
    """
    parts = f"{mail.message_id}\0{mail.content_hash}"
    return "c" + hashlib.sha256(parts.encode(errors="replace")).hexdigest()[:15]


def open_cases(url: str | Path) -> Engine:
    """The case database: the URL of a Postgres database, or a SQLite file. Raises Unavailable."""
    # Durable, as a power cut could undo a claim of the outbox, and the mail would be sent again.
    return open_database(
        url,
        Path("cases.sqlite"),
        "agentic_workflow",
        metadata,
        durable=True,
        folder_setting="WORKFLOW_DATA_DIR",
    )


class Store:
    """Cases and everything recorded about them.

    >>> store = Store(Path("cases.sqlite"))
    >>> mail = Mail(message_id="1@shop.example", content_hash="a", sender="bob@example.com")
    >>> record, new = store.receive(mail)
    >>> record.status, new, store.receive(mail)[1]
    ('received', True, False)
    """

    def __init__(
        self, url: str | Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.engine = open_cases(url)
        self._now = now

    def close(self) -> None:
        self.engine.dispose()

    # ── cases ───────────────────────────────────────────────────────────────────────────────

    def receive(self, mail: Mail) -> tuple[CaseRecord, bool]:
        """Store a mail as a case; False with the earlier case if the same mail came before."""
        id, now = case_id(mail), self._now()
        row = {name: getattr(mail, name) for name in ("content_hash", "sender", "subject")}
        row |= {"id": id, "status": "received", "received_at": now, "changed_at": now}
        statement = insert(cases).values(**row, mail=mail).returning(*_RECORD.selected_columns)
        try:
            with writing(self.engine) as connection:
                return CaseRecord(**connection.execute(statement).mappings().one()), True
        except IntegrityError:
            return self.case(id), False

    def case(self, id: str) -> CaseRecord:
        """A case. Raises NotFound."""
        with reading(self.engine) as connection:
            return _case(connection, id)

    def duplicate_of(self, case: CaseRecord) -> str | None:
        """The first case with the same content and sender that is open, or came within an hour.

        A mail that is repeated later, after an answer, is a new request.
        """
        same = select(cases.c.id).where(cases.c.content_hash == case.mail.content_hash)
        recent = cases.c.received_at > self._now() - timedelta(hours=DUPLICATE_HOURS)
        earlier = same.where(cases.c.number < case.number, recent | cases.c.status.not_in(_FINAL))
        with reading(self.engine) as connection:
            return connection.execute(earlier.order_by(cases.c.number).limit(1)).scalar()

    def standing(self, case: CaseRecord) -> Standing:
        """Other cases of the sender of a case, and the automatic replies of today (UTC)."""
        others = select(cases.c.id).where(cases.c.sender == case.sender, cases.c.id != case.id)
        same = cases.c.content_hash == case.mail.content_hash
        unfinished, earlier = cases.c.status.not_in(_FINAL), cases.c.number < case.number
        replies = select(func.count()).where(
            cases.c.sender == case.sender,
            cases.c.status == "closed",
            cases.c.closed_at >= self._today(),
            cases.c.closed_by == "desk",
            cases.c.outcome.contains("reply"),
        )
        with reading(self.engine) as connection:
            return Standing(
                open_case=connection.execute(others.where(unfinished, ~same).limit(1)).scalar(),
                same_case=connection.execute(others.where(same, earlier).limit(1)).scalar(),
                replies_to_address=connection.execute(replies).scalar_one(),
            )

    def thread(self, id: str) -> list[CaseRecord]:
        """The cases of a sender that belong to one thread, the oldest first; the latest 50 count.

        A mail belongs to another if its headers name the other's Message-ID or reply.
        """
        case = self.case(id)
        query = _RECORD.where(cases.c.sender == case.sender).order_by(cases.c.number.desc())
        return [
            other
            for other in reversed(self._all(CaseRecord, query, 50))
            if other.id == id or (case.sender and (_answers(other, case) or _answers(case, other)))
        ]

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

        `text` selects cases whose id, sender, subject or text contains each of its words.
        """
        query = _SUMMARY.order_by(cases.c.number.desc())
        if status:
            query = query.where(cases.c.status == status)
        if category:
            query = query.where(cases.c.category == category)
        if before is not None:
            query = query.where(cases.c.number < before)
        for word in text.split()[:MAX_WORDS]:
            query = query.where(or_(*(c.icontains(word, autoescape=True) for c in _SEARCHED)))
        return self._all(CaseSummary, query, limit)

    def update(
        self,
        id: str,
        *,
        status: Status | None = None,
        closed_by: str = "desk",
        event: Mapping[str, Any] | None = None,
        **values: object,
    ) -> None:
        """Change columns of a case: `triage=`, `facts=`, `draft=`, `outcome=`, `attempt=` …

        `event` has the arguments of `record`, for an entry of the audit trail in one transaction.
        Raises NotFound, or Conflict if the case is closed; closing it again changes nothing.
        """
        conditions = [cases.c.status.not_in(_FINAL)] if status else []
        values |= {"status": status} if status else {}
        if status in _FINAL:
            values |= {"closed_at": self._now(), "closed_by": closed_by}
        with writing(self.engine) as connection:
            if not self._change(connection, id, *conditions, **values):
                if (actual := _case(connection, id).status) != status:
                    raise Conflict(f"Case {id} is {actual} already.")
            elif event:
                self._add_event(connection, id, **{"actor": "desk", **event})

    def _change(
        self, connection: Connection, id: str, *conditions: ColumnElement[bool], **values: object
    ) -> bool:
        """Change columns of a case; False if it does not meet the conditions, or is unknown."""
        if isinstance(triage := values.get("triage"), Triage):
            values |= {"category": triage.category, "priority": triage.priority}
        statement = update(cases).where(cases.c.id == id, *conditions)
        return bool(connection.execute(statement.values(**values, changed_at=self._now())).rowcount)

    # ── audit trail ─────────────────────────────────────────────────────────────────────────

    def record(self, id: str, kind: str, *, actor: str = "desk", **fields: Any) -> None:
        """Add to the audit trail: `reason=`, `evidence=`, `model=`, `tokens=`, `seconds=` …"""
        with writing(self.engine) as connection:
            self._add_event(connection, id, kind, actor=actor, **fields)

    def _add_event(self, connection: Connection, id: str, kind: str, **fields: Any) -> None:
        connection.execute(insert(events).values(case_id=id, kind=kind, at=self._now(), **fields))

    def events(self, id: str) -> list[Event]:
        """The audit trail of a case, the oldest first."""
        query = select(events).where(events.c.case_id == id).order_by(events.c.number)
        return self._all(Event, query)

    def spent_today(self) -> float:
        """What models have cost today (UTC), in USD."""
        total = select(func.coalesce(func.sum(events.c.cost_usd), 0.0))
        with reading(self.engine) as connection:
            query = total.where(WITH_TOKENS, events.c.at >= self._today())
            return float(connection.execute(query).scalar_one())

    def _today(self) -> datetime:
        return self._now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    # ── approvals ───────────────────────────────────────────────────────────────────────────

    def request_approval(self, id: str, reasons: Sequence[str], due_at: datetime) -> None:
        """Let the case wait for a person; a repeated or a late request changes nothing."""
        request = Approval(reasons=tuple(reasons), requested_at=self._now(), due_at=due_at)
        undecided = cases.c.approval["decision"].as_string().is_(None)
        started = cases.c.status.in_(_STARTED)
        change: dict[str, Any] = {"status": "waiting", "approval": request, "due_at": due_at}
        with writing(self.engine) as connection:
            if self._change(connection, id, undecided, started, **change):
                self._add_event(connection, id, "ask a person", evidence=reasons)

    def decide_approval(
        self,
        id: str,
        decision: Verdict,
        by: str,
        draft: Draft | None = None,
        comment: str = "",
    ) -> CaseRecord:
        """Record what a person, or the deadline, decided; the case is "approved" then.

        A `draft` that differs from the case's replaces it, which is kept as the proposal. Raises
        Conflict, which names the first person, for a second decision, and BadInput if the reply of
        a case that was handed over is still the desk's draft.
        """
        with writing(self.engine) as connection:
            # 1. One conditional UPDATE: of two people, one changes a row.
            case = self._take_waiting(connection, id, status="approved")
            before, body = case.draft, draft.body if draft else ""
            # 2. A letter that promises another one must not close the case.
            handed_over = case.decision is not None and case.decision.action == "hand_over"
            if decision == "approve" and handed_over and body in ("", before and before.body):
                hint = "Write the reply, ask the sender, or reject the case."
                raise BadInput("The draft only promises that a person will reply.", hint=hint)
            # 3. Keep what the person decided, and what they changed.
            decided = {"decision": decision, "decided_by": by, "decided_at": self._now()}
            if draft and before and (draft.subject, draft.body) != (before.subject, before.body):
                decided["proposal"] = before
            approval = case.approval and case.approval.model_copy(
                update={**decided, "comment": comment}
            )
            self._change(connection, id, draft=draft or before, approval=approval)
            self._add_event(connection, id, decision, actor=by, reason=comment)
            return _case(connection, id)

    def change_triage(self, id: str, triage: Triage, reason: str) -> CaseRecord:
        """Let a case that waits be decided again, with a triage that a person changed.

        Raises Conflict, as `decide_approval` does.
        """
        with writing(self.engine) as connection:
            case = self._take_waiting(connection, id, status="received", triage=triage)
            self._add_event(connection, id, "change", actor=triage.changed_by, reason=reason)
            return case

    def _take_waiting(self, connection: Connection, id: str, **values: object) -> CaseRecord:
        """Change a case that waits for a person; its next workflow is another attempt."""
        waits, attempt = cases.c.status == "waiting", cases.c.attempt + 1
        if not self._change(connection, id, waits, attempt=attempt, **values):
            raise _no_approval(_case(connection, id))
        return _case(connection, id)

    def reopen(self, id: str, by: str, due_at: datetime) -> CaseRecord:
        """Let a closed case, or a duplicate, wait for a person, who writes the reply.

        A refund that was booked stays booked and is never booked again. Raises Conflict if the case
        is not closed, and NotFound.
        """
        reason = f"{by} reopened the case."
        with writing(self.engine) as connection:
            case = _case(connection, id)
            request = Approval(reasons=(reason,), requested_at=self._now(), due_at=due_at)
            decision = Decision(action="reply", approval=True, rule="reopened", reasons=(reason,))
            draft = Draft(subject=f"Re: {case.mail.subject}", body="")
            change: dict[str, Any] = {"decision": decision, "draft": draft, "outcome": ""}
            change |= {"status": "waiting", "approval": request, "due_at": due_at}
            change |= {"closed_at": None, "closed_by": ""}
            change |= {"attempt": case.attempt + 1, "reopened": case.reopened + 1}
            if not self._change(connection, id, cases.c.status.in_(_FINAL), **change):
                raise Conflict(f"Case {id} is {case.status}; only closed cases can be reopened.")
            self._add_event(connection, id, "reopen", actor=by)
            return _case(connection, id)

    def unanswered(self, limit: int = 100) -> list[CaseSummary]:
        """Cases that the desk closed without a reply, the latest first."""
        alone = cases.c.status.in_(_FINAL) & (cases.c.closed_by == "desk")
        query = _SUMMARY.where(alone, ~cases.c.outcome.contains("reply"))
        return self._all(CaseSummary, query.order_by(cases.c.number.desc()), limit)

    def corrections(self) -> list[dict[str, Any]]:
        """The mails whose category a person changed, by the time of their last change.

        Each is a labelled example (`subject`, `text`, `category`, `language`) and where it is from
        (`case`, `by`, `at`, `change`, such as "category other → refund").
        """
        last = select(func.max(events.c.number)).where(
            events.c.kind == "change", events.c.reason.startswith("category ")
        )
        query = select(cases.c.id, events).join(events, events.c.case_id == cases.c.id)
        query = query.where(events.c.number.in_(last.group_by(events.c.case_id)))
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(events.c.number)).all()
            changed = [(_case(connection, row.id), row) for row in rows]
        return [
            case.mail.model_dump(include={"subject", "text"})
            | {"category": case.category, "language": case.mail.spoken or case.mail.language}
            | {"case": case.id, "by": event.actor, "at": event.at.isoformat()}
            | {"change": event.reason}
            for case, event in changed
        ]

    def waiting(self, due_by: datetime | None = None) -> list[CaseSummary]:
        """Cases that wait for a person, due by a time: urgent ones first, then by deadline."""
        query = _SUMMARY.where(cases.c.status == "waiting")
        if due_by:
            query = query.where(cases.c.due_at <= due_by)
        urgent = sql_case((cases.c.priority == "high", 0), else_=1)
        return self._all(CaseSummary, query.order_by(urgent, cases.c.due_at))

    # ── the desk as a whole ─────────────────────────────────────────────────────────────────

    def stopped(self) -> bool:
        """Whether the kill switch is on: no reply is sent and no refund booked."""
        last = select(events.c.kind).where(events.c.case_id == "").order_by(events.c.number.desc())
        with reading(self.engine) as connection:
            return connection.execute(last.limit(1)).scalar() == STOPPED

    def stop(self, on: bool, by: str) -> None:
        """Turn the kill switch on or off for all processes, from their next step on."""
        self.record("", STOPPED if on else "released", actor=by)

    def counts(self) -> dict[str, int]:
        """Number of cases by status."""
        query = select(cases.c.status, func.count()).group_by(cases.c.status)
        with reading(self.engine) as connection:
            return dict(connection.execute(query).all())

    def _all(self, kind: type[T], query: Select[Any], limit: int = LIST_LIMIT) -> list[T]:
        with reading(self.engine) as connection:
            return [kind(**row) for row in connection.execute(query.limit(limit)).mappings()]


def _case(connection: Connection, id: str) -> CaseRecord:
    row = connection.execute(_RECORD.where(cases.c.id == id)).mappings().first()
    if row is None:
        raise NotFound(f"Unknown case {id!r}.", hint="List the cases: agentic-workflow inbox")
    return CaseRecord(**row)


def _answers(mail: CaseRecord, earlier: CaseRecord) -> bool:
    """Whether the headers of a mail name another one, or its reply."""
    names = mail.mail.in_reply_to
    replies = [match[1] for name in names if (match := _REPLY_ID.match(name))]
    return earlier.mail.message_id in names or earlier.id in replies


def _no_approval(case: CaseRecord) -> Conflict:
    approval = case.approval
    if approval is None or approval.decided_at is None:
        return Conflict(f"Case {case.id} does not wait for approval; it is {case.status}.")
    when = approval.decided_at.isoformat(sep=" ", timespec="minutes")
    decided = f"{approval.decided_by} ({approval.decision}) at {when}"
    return Conflict(f"Case {case.id} was decided by {decided}.")
