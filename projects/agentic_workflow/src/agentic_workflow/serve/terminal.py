"""Output of the command line: the inbox and a case as text.

    typer.echo(terminal.case(actions.details(case_id)))

Every function formats JSON of `actions.py` or of the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import indent, shorten
from typing import Any

from seedbed.cli import command_line, table

Json = Mapping[str, Any]


def inbox(cases: Sequence[Json]) -> str:
    """Cases that wait for a person, and the command that shows the first."""
    if not cases:
        return "No case waits for a person."
    hint = command_line("agentic-workflow", "case", cases[0]["id"])
    text = _table(cases, "id", "priority", "category", "due_at", "sender", "subject")
    return f"{text}\n\nRead one: {hint}"


def case(details: Json) -> str:
    """A case: the mail, the decision with its reasons, the draft, the effects, the timeline."""
    record = details["case"]
    mail, decision, draft = record["mail"], record["decision"], record["draft"]
    lines = [f"{record['id']}  {record['status']}  {record['category'] or ''}".rstrip()]
    lines += [f"From:    {mail['sender']}", f"Subject: {mail['subject']}", _block(mail["text"])]
    if decision:
        amount = f" {decision['amount']} {decision['currency']}" if decision["amount"] else ""
        lines += [f"Decision: {decision['action']}{amount} (rule {decision['rule']!r})"]
        lines += [f"  - {reason}" for reason in decision["reasons"]]
    if draft:
        lines += ["", f"Draft: {draft['subject']}", _block(draft["body"])]
    if effects := details["effects"]:
        lines += [_table(effects, "status", "action", "key", "attempts", "error", "receipt"), ""]
    events = [{**e, "reason": e["reason"] or "; ".join(e["evidence"])} for e in details["timeline"]]
    return "\n".join([*lines, _table(events, "at", "kind", "actor", "reason")])


def _table(items: Sequence[Json], *fields: str) -> str:
    return table(fields, [[_cell(field, item[field]) for field in fields] for item in items])


def _cell(field: str, value: Any) -> Any:
    if field.endswith("at"):
        return value and value[:16]  # UTC
    # Ids and keys stay whole, to be copied.
    return shorten(value, 60) if field in ("subject", "reason", "error") else value


def _block(text: str) -> str:
    return f"\n{indent(text, '  ')}\n"
