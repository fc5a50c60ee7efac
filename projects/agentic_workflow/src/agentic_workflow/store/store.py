"""The case database: cases, their audit trail, approvals and switches.

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
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, func, insert, or_, select, update
from sqlalchemy import case as sql_case
from sqlalchemy.exc import IntegrityError

from agentic_workflow.case import Decision, Draft, Mail, Standing, Status, Triage, Value
from agentic_workflow.store.database import open_database, reading, writing
from agentic_workflow.store.records import (
    Approval,
    CaseRecord,
    CaseSummary,
    Correction,
    Event,
    Verdict,
)
from agentic_workflow.store.schema import (
    UNDECIDED,
    WITH_TOKENS,
    approvals,
    cases,
    events,
    switches,
)
from seedbed.errors import BadInput, Conflict, NotFound

__all__ = ["CaseRecord", "CaseSummary", "Store", "case_id"]

DUPLICATE_HOURS = 1  # an answered text from the same sender after that is a new request
LIST_LIMIT = 1000
MAX_WORDS = 10  # of a search
_SEARCHED = (cases.c.id, cases.c.sender, cases.c.subject, cases.c.mail["text"].as_string())
_REPLY_ID = re.compile(r"(c[0-9a-f]{15})\.[0-9a-f]+@")  # the Message-ID of a reply
_FINAL = ("closed", "duplicate")
_SUMMARY = select(*(cases.c[name] for name in CaseSummary.model_fields if name in cases.c))
_RECORD = select(*(cases.c[name] for name in CaseRecord.model_fields if name in cases.c))
T = TypeVar("T", bound=Value)


def case_id(mail: Mail) -> str:
    """The id of the case of a mail: the same for every copy of it.

    Made from the content too, since contact forms and scanners repeat Message-IDs.

    >>> case_id(Mail(message_id="1@shop.example", content_hash="a", sender="bob@example.com"))
    'c8a18fcdad293816'
    """
    parts = f"{mail.message_id}\0{mail.content_hash}"
    return "c" + hashlib.sha256(parts.encode(errors="replace")).hexdigest()[:15]


def answered_cases(mail: Mail) -> list[str]:
    """The cases whose replies are named in the headers of a mail, the latest first."""
    return [match[1] for id in mail.in_reply_to if (match := _REPLY_ID.match(id))]


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
        self.engine = open_database(url)
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
        """The first case with the same content and sender that is open, or an hour old.

        A repeated mail after an answer is a new request.
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
        today = self._now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        replies = select(func.count()).where(
            cases.c.sender == case.sender,
            cases.c.status == "closed",
            cases.c.closed_at >= today,
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

        A mail belongs to that of which it names the Message-ID, or the reply.
        """
        sender = self.case(id).sender
        query = _RECORD.where(cases.c.sender == sender).order_by(cases.c.number.desc())
        linked, others = {id}, self._all(CaseRecord, query, 50)
        ids = {c.mail.message_id: c.id for c in others}
        links = {c.id: {*answered_cases(c.mail), *map(ids.get, c.mail.in_reply_to)} for c in others}
        grown = True
        while grown:
            more = {n for n, parents in links.items() if n in linked or parents & linked}
            more |= {c.id for c in others if any(c.id in links.get(n, ()) for n in linked)}
            grown, linked = not more <= linked, linked | more
        return [case for case in reversed(others) if case.id in linked and sender]

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
        Raises NotFound, or Conflict if the case is closed. Repeating an update is harmless, and so
        is a late one of a worker that was taken for dead: it can neither reopen a closed case nor
        make one wait that a person has decided.
        """
        if isinstance(triage := values.get("triage"), Triage):
            values |= {"category": triage.category, "priority": triage.priority}
        with writing(self.engine) as connection:
            if status in _FINAL:  # the first time counts
                is_open = cases.c.closed_at.is_(None)
                values |= {
                    "closed_at": func.coalesce(cases.c.closed_at, self._now()),
                    "closed_by": sql_case((is_open, closed_by), else_=cases.c.closed_by),
                }
            self._change(connection, id, status, **values)
            if event:
                self._add_event(connection, id, **{"actor": "desk", **event})

    def _change(
        self, connection: Connection, id: str, status: Status | None, **values: object
    ) -> None:
        condition = cases.c.id == id
        if status == "waiting":
            condition &= cases.c.status.in_(("received", "working", "waiting"))
        elif status:
            condition &= cases.c.status.not_in(_FINAL) | (cases.c.status == status)
        values |= {"changed_at": self._now()} | ({"status": status} if status else {})
        if not connection.execute(update(cases).where(condition).values(values)).rowcount:
            raise Conflict(f"Case {id} is {_case(connection, id).status} already.")

    def unqueued(self, older_than: datetime) -> list[CaseSummary]:
        """Cases that no worker has taken since `older_than`, to be queued again."""
        ready = cases.c.status.in_(("received", "approved")) & (cases.c.changed_at < older_than)
        return self._all(CaseSummary, _SUMMARY.where(ready).order_by(cases.c.number))

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

    def spent(self, day: date) -> float:
        """What models cost on a day in UTC, in USD."""
        start = datetime.combine(day, time(), UTC)
        end = start + timedelta(days=1, microseconds=-1)
        total = select(func.coalesce(func.sum(events.c.cost_usd), 0.0))
        with reading(self.engine) as connection:
            query = total.where(WITH_TOKENS, events.c.at.between(start, end))
            return float(connection.execute(query).scalar_one())

    # ── approvals ───────────────────────────────────────────────────────────────────────────

    def request_approval(self, id: str, reasons: Sequence[str], due_at: datetime) -> None:
        """Let the case wait for a person; a repeated request changes nothing."""
        values = {"requested_at": self._now(), "due_at": due_at, "reasons": reasons}
        again = update(approvals).where(approvals.c.case_id == id, UNDECIDED)
        try:
            with writing(self.engine) as connection:
                if _approval(connection, id) is None:
                    connection.execute(insert(approvals).values(case_id=id, **values))
                elif _case(connection, id).status == "waiting":
                    return
                elif not connection.execute(again.values(values)).rowcount:
                    return  # decided in the meantime
                self._change(connection, id, "waiting")
                self._add_event(connection, id, "ask a person", evidence=reasons)
        except IntegrityError:
            pass

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
        decided: dict[str, Any] = {"decided_by": by, "decided_at": self._now()}
        statement = update(approvals).where(approvals.c.case_id == id, UNDECIDED)
        with writing(self.engine) as connection:
            # 1. One conditional UPDATE: of two people, one changes a row.
            case = self._take_waiting(connection, id, "approved")
            before, body = case.draft, draft.body if draft else ""
            # 2. A letter that promises another one must not close the case.
            handed_over = case.decision is not None and case.decision.action == "hand_over"
            if decision == "approve" and handed_over and body in ("", before and before.body):
                hint = "Write the reply, ask the sender, or reject the case."
                raise BadInput("The draft only promises that a person will reply.", hint=hint)
            # 3. Keep what the person changed.
            if draft and before and (draft.subject, draft.body) != (before.subject, before.body):
                decided["proposal"] = before
            connection.execute(statement.values(decision=decision, comment=comment, **decided))
            # 4. Let the case go on.
            self._change(connection, id, "approved", draft=draft or before)
            self._add_event(connection, id, decision, actor=by, reason=comment)
            return _case(connection, id)

    def change_triage(self, id: str, triage: Triage, reason: str) -> CaseRecord:
        """Let a case that waits be decided again, by the triage of a person.

        Raises Conflict, as `decide_approval` does.
        """
        values = {"category": triage.category, "priority": triage.priority, "triage": triage}
        with writing(self.engine) as connection:
            self._take_waiting(connection, id, "received", **values)
            self._add_event(connection, id, "change", actor=triage.changed_by, reason=reason)
            return _case(connection, id)

    def reopen(self, id: str, by: str, due_at: datetime) -> CaseRecord:
        """Let a closed case, or a duplicate, wait for a person, who writes the reply.

        A refund that was booked stays booked and is never booked again. Raises Conflict if the case
        is not closed, and NotFound.
        """
        reason = f"{by} reopened the case."
        with writing(self.engine) as connection:
            case = _case(connection, id)
            decision = Decision(action="reply", approval=True, rule="reopened", reasons=(reason,))
            draft = Draft(subject=f"Re: {case.mail.subject}", body="")
            change: dict[str, Any] = {"decision": decision, "draft": draft, "outcome": ""}
            change |= {"closed_at": None, "closed_by": "", "changed_at": self._now()}
            change |= {"attempt": case.attempt + 1, "reopened": case.reopened + 1}
            closed = update(cases).where(cases.c.id == id, cases.c.status.in_(_FINAL))
            if not connection.execute(closed.values(status="waiting", **change)).rowcount:
                raise Conflict(f"Case {id} is {case.status}; only closed cases can be reopened.")
            connection.execute(approvals.delete().where(approvals.c.case_id == id))
            request = {"requested_at": self._now(), "due_at": due_at, "reasons": (reason,)}
            connection.execute(insert(approvals).values(case_id=id, **request))
            self._add_event(connection, id, "reopen", actor=by)
            return _case(connection, id)

    def unanswered(self, limit: int = 100) -> list[CaseSummary]:
        """Cases that the desk closed without a reply, the latest first."""
        alone = cases.c.status.in_(_FINAL) & (cases.c.closed_by == "desk")
        query = _SUMMARY.where(alone, ~cases.c.outcome.contains("reply"))
        return self._all(CaseSummary, query.order_by(cases.c.number.desc()), limit)

    def corrections(self) -> list[Correction]:
        """The cases whose category a person changed, in the order of their last change."""
        last = select(func.max(events.c.number)).where(
            events.c.kind == "change", events.c.reason.startswith("category ")
        )
        columns = (cases.c.id, cases.c.mail, cases.c.category, events.c.actor, events.c.at)
        query = select(*columns, events.c.reason).join(events, events.c.case_id == cases.c.id)
        query = query.where(events.c.number.in_(last.group_by(events.c.case_id)))
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(events.c.number)).all()
        corrections = []
        for id, data, category, by, at, change in rows:
            mail = Mail.model_validate(data)
            example = {"subject": mail.subject, "text": mail.text, "category": category}
            example["language"] = mail.spoken or mail.language
            corrections.append(Correction(**example, case=id, by=by, at=at, change=change))
        return corrections

    def _take_waiting(
        self, connection: Connection, id: str, status: Status, **values: object
    ) -> CaseRecord:
        """Change a case that waits for a person; its next workflow is another attempt."""
        change = {**values, "status": status, "attempt": cases.c.attempt + 1}
        waiting = update(cases).where(cases.c.id == id, cases.c.status == "waiting")
        statement = waiting.values(**change, changed_at=self._now())
        if not connection.execute(statement).rowcount:
            raise _no_approval(_case(connection, id), _approval(connection, id))
        return _case(connection, id)

    def approval(self, id: str) -> Approval | None:
        """The request for approval of a case, decided or not."""
        with reading(self.engine) as connection:
            return _approval(connection, id)

    def waiting(self, due_by: datetime | None = None) -> list[CaseSummary]:
        """Cases that wait for a person, due by a time: urgent ones first, then by deadline."""
        waits = cases.c.status == "waiting"  # not one that is being decided again
        query = _SUMMARY.add_columns(approvals.c.due_at).where(UNDECIDED, waits)
        query = query.join(approvals, approvals.c.case_id == cases.c.id)
        if due_by:
            query = query.where(approvals.c.due_at <= due_by)
        urgent = sql_case((cases.c.priority == "high", 0), else_=1)
        return self._all(CaseSummary, query.order_by(urgent, approvals.c.due_at))

    # ── switches and figures ────────────────────────────────────────────────────────────────

    def switch(self, name: str) -> bool:
        """Whether a switch is on: "stopped" is the kill switch."""
        with reading(self.engine) as connection:
            query = select(switches.c.is_on).where(switches.c.name == name)
            return bool(connection.execute(query).scalar())

    def set_switch(self, name: str, on: bool, by: str) -> None:
        """Turn a switch on or off for all processes, from their next step on."""
        with writing(self.engine) as connection:
            connection.execute(switches.delete().where(switches.c.name == name))
            connection.execute(insert(switches).values(name=name, is_on=on))
            self._add_event(connection, "", f"{name} {'on' if on else 'off'}", actor=by)

    def counts(self) -> dict[tuple[str, str], int]:
        """Number of cases by status and category, which is empty before triage."""
        with reading(self.engine) as connection:
            keys = (cases.c.status, cases.c.category)
            rows = connection.execute(select(*keys, func.count()).group_by(*keys)).all()
        return {(status, category or ""): count for status, category, count in rows}

    def _all(self, kind: type[T], query: Select[Any], limit: int = LIST_LIMIT) -> list[T]:
        with reading(self.engine) as connection:
            return [kind(**row) for row in connection.execute(query.limit(limit)).mappings()]


def _case(connection: Connection, id: str) -> CaseRecord:
    row = connection.execute(_RECORD.where(cases.c.id == id)).mappings().first()
    if row is None:
        raise NotFound(f"Unknown case {id!r}.", hint="List the cases: agentic-workflow inbox")
    return CaseRecord(**row)


def _approval(connection: Connection, id: str) -> Approval | None:
    query = select(approvals).where(approvals.c.case_id == id)
    row = connection.execute(query).mappings().first()
    return Approval(**row) if row else None


def _no_approval(case: CaseRecord, approval: Approval | None) -> Conflict:
    if approval is None or approval.decided_at is None:
        return Conflict(f"Case {case.id} does not wait for approval; it is {case.status}.")
    when = approval.decided_at.isoformat(sep=" ", timespec="minutes")
    decided = f"{approval.decided_by} ({approval.decision}) at {when}"
    return Conflict(f"Case {case.id} was decided by {decided}.")
