"""Output of the command line: the inbox, a case, effects and statistics as text.

    typer.echo(terminal.case(actions.details(case_id)))

Every function formats JSON of `actions.py`, of the store, or of `evaluate/simulate.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seedbed.cli import command_line, table

Json = Mapping[str, Any]
_WIDTH = 60


def inbox(cases: Sequence[Json]) -> str:
    """Cases that wait for a person, and the command that lets the first go on."""
    if not cases:
        return "No case waits for a person."
    rows = [
        (c["id"], c["priority"], c["category"], _time(c["due_at"]), c["sender"], _cut(c["subject"]))
        for c in cases
    ]
    heads = ("case", "priority", "category", "due (UTC)", "sender", "subject")
    hint = command_line("agentic-workflow", "case", cases[0]["id"])
    return f"{table(heads, rows)}\n\nRead one: {hint}"


def case(details: Json) -> str:
    """A case: the mail, the decision with its reasons, the draft, the effects, the timeline."""
    record, approval = details["case"], details["approval"]
    mail, decision, draft = record["mail"], record["decision"], record["draft"]
    lines = [
        f"{record['id']}  {record['status']}  {record['category'] or ''}".rstrip(),
        f"From:    {mail['sender']}",
        f"Subject: {mail['subject']}",
        *_block(mail["text"]),
    ]
    if decision:
        person = ", needs approval" if decision["approval"] else ""
        amount = f" {decision['amount']} {decision['currency']}" if decision["amount"] else ""
        lines += [f"Decision: {decision['action']}{amount}{person} (rule {decision['rule']!r})"]
        lines += [f"  - {reason}" for reason in decision["reasons"]]
    if draft:
        lines += ["", f"Draft: {draft['subject']}", *_block(draft["body"])]
    if approval and approval["decision"]:
        when = _time(approval["decided_at"])
        comment = f": {approval['comment']}" if approval["comment"] else ""
        lines += [f"{approval['decision']} by {approval['decided_by']}, {when}{comment}"]
    elif approval:
        lines += [f"Waits for approval until {_time(approval['due_at'])}."]
    if details["effects"]:
        lines += ["", effects(details["effects"])]
    return "\n".join([*lines, "", timeline(details["timeline"])])


def timeline(events: Sequence[Json]) -> str:
    """The audit trail of a case as a table, the oldest first."""
    rows = [
        (_time(e["at"]), e["kind"], e["actor"], _cut(e["reason"] or "; ".join(e["evidence"])))
        for e in events
    ]
    return table(("time (UTC)", "step", "by", "reason"), rows)


def effects(items: Sequence[Json]) -> str:
    """Refunds and replies as a table."""
    if not items:
        return "None."
    rows = [
        (e["status"], e["case_id"], e["key"], e["attempts"], _cut(e["error"] or e["receipt"]))
        for e in items
    ]
    return table(("status", "case", "key", "attempts", "result"), rows)


def statistics(figures: Json) -> str:
    """Figures of the closed cases, and their number by category."""
    rate, seconds = figures["automation_rate"], figures["median_seconds"]
    rows = [
        (f"closed in {figures['days']} days", figures["closed"]),
        ("automation rate", None if rate is None else f"{rate:.0%}"),
        ("corrections", figures["corrections"]),
        ("median time to close", None if seconds is None else duration(seconds)),
        *figures["by_category"].items(),
    ]
    return table(("", ""), rows)


def differences(items: Sequence[Json]) -> str:
    """What a changed policy would decide differently."""
    if not items:
        return "No case would be decided differently."
    rows = [
        (d["case_id"], _cut(d["subject"]), name, str(d["before"][name]), str(d["after"][name]))
        for d in items
        for name in d["fields"]
    ]
    return table(("case", "subject", "field", "now", "changed"), rows)


def duration(seconds: float) -> str:
    """A time span in its largest unit.

    >>> duration(42), duration(5400), duration(200_000)
    ('42 s', '1.5 h', '2.3 d')
    """
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _time(iso: str | None) -> str:
    return "–" if iso is None else iso[:16].replace("T", " ")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _block(text: str) -> list[str]:
    return ["", *(f"  {line}".rstrip() for line in text.splitlines()), ""]
