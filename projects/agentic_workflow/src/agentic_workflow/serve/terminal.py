"""Output of the command line: the inbox and a case as text.

    typer.echo(terminal.case(actions.details(case_id)))

Every function formats JSON of `actions.py` or of the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Any

from seedbed.cli import command_line, table

Json = Mapping[str, Any]
_WIDTH = 60


def inbox(cases: Sequence[Json]) -> str:
    """Cases that wait for a person, and the command that lets the first go on."""
    if not cases:
        return "No case waits for a person."
    columns = ("case=id", "priority", "category", "due (UTC)=due_at", "sender", "subject")
    hint = command_line("agentic-workflow", "case", cases[0]["id"])
    return f"{_table(columns, cases)}\n\nRead one: {hint}"


def case(details: Json) -> str:
    """A case: the mail, the decision with its reasons, the draft, the effects, the timeline."""
    record = details["case"]
    mail, decision, draft = record["mail"], record["decision"], record["draft"]
    lines = [
        f"{record['id']}  {record['status']}  {record['category'] or ''}".rstrip(),
        f"From:    {mail['sender']}",
        f"Subject: {mail['subject']}",
        *_block(mail["text"]),
    ]
    if decision:
        amount = f" {decision['amount']} {decision['currency']}" if decision["amount"] else ""
        lines += [f"Decision: {decision['action']}{amount} (rule {decision['rule']!r})"]
        lines += [f"  - {reason}" for reason in decision["reasons"]]
    if draft:
        lines += ["", f"Draft: {draft['subject']}", *_block(draft["body"])]
    effects = [{**e, "result": e["error"] or e["receipt"]} for e in details["effects"]]
    events = [{**e, "reason": e["reason"] or "; ".join(e["evidence"])} for e in details["timeline"]]
    if effects:
        lines += [_table(("status", "action", "key", "attempts", "result"), effects), ""]
    return "\n".join([*lines, _table(("time (UTC)=at", "step=kind", "by=actor", "reason"), events)])


def _table(columns: Sequence[str], items: Sequence[Json]) -> str:
    """A table with the columns "head=field", or "field" where both are the same."""
    fields = [column.rpartition("=")[2] for column in columns]
    rows = [[_cell(field, item[field]) for field in fields] for item in items]
    return table([column.partition("=")[0] for column in columns], rows)


def _cell(field: str, value: Any) -> Any:
    if field.endswith("at"):
        return _time(value)
    if field not in ("subject", "reason", "result"):  # ids and keys stay whole, to be copied
        return value
    line = " ".join(value.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _time(iso: str | None) -> str:
    return "–" if iso is None else iso[:16].replace("T", " ")


def _block(text: str) -> list[str]:
    return ["", indent(text, "  "), ""]
