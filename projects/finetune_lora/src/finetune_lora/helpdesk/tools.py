"""The help desk's tools: the one table from which schema and prompt are derived.

An answer is one line, written by `call`. The rules for the right call, for requests of the
generator and for those labelled by hand:

Which tool
- reset_password: forgotten, expired, unknown or leaked password, or a wish for a new one.
  unlock_account: locked, blocked or frozen, too many attempts; also when it was wrong passwords
  that led to the lock, as long as no new password is asked for.
- request_access: a person is to get rights they do not have yet, or more rights than they have.
  create_ticket with `access`: rights that used to work or should work do not (badge, shared
  folder, permission denied, single sign-on, a lost second factor).
- create_ticket needs something broken or wrong. Wrong invoices, double charges and unknown fees are
  `billing`, unless money back for an order is asked for: that is refund_order. A connection (Wi-Fi,
  cable, VPN that drops) is `network`, a thing one can touch `hardware`, a program `software`.
- ticket_status asks; update_ticket changes a ticket's priority or state ("solved", "reopen",
  "on hold"); order_status asks where an order is, even if it is late; refund_order wants money
  back; order_equipment wants something that was not ordered yet.
- none: thanks, small talk, opinions, how-to and policy questions ("how long does a refund take?"),
  problems that solved themselves, withdrawn requests, matters that no tool covers.
- Of two requests the first one counts. A correction ("no wait, the vpn") replaces what it corrects.

Which arguments
- What the request does not state is left out: nothing is guessed from a tone or a symptom.
- user: the user name or e-mail address the request is about, in lower case. A person's plain name
  (a signature, "my colleague Sarah") is not one. Of two users the one that needs it counts.
- ticket, order: `T-` or `A-` and the digits, however the request spells the number.
- priority: low (no hurry, whenever) · normal · high (important, high priority) · urgent (urgent, at
  once, as soon as possible, emergency, time-sensitive). A deadline alone is not a priority.
- reason: damaged (broken, faulty, defective) · wrong_item (not what was ordered) · late (came late
  or not at all) · unwanted (changed one's mind, no longer needed, ordered by mistake).
- level: read (view, look) · write (edit, change, push) · admin (owner, full control).
- quantity, amount: numbers, also from words; "a", "an", "another" and "new" state no quantity;
  the amount has no currency. hour: 0 to 23, minutes dropped; without am or pm it stays as written.
- phone: digits, with the leading + if there is one. day: lower case; "next Monday" is monday.
"""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from seedbed.errors import BadInput
from seedbed.models.prompts import load_prompt

NONE = "none"
_SYSTEMS = "email|vpn|erp|wiki|laptop"
_USER = "user name or e-mail address"
_PRIORITY = "low|normal|high|urgent"
_TICKET = {"pattern": "^T-[0-9]+$"}
_ORDER = {"pattern": "^A-[0-9]+$"}

# tool -> {argument -> its allowed values, or its type and what it means}
_TABLE: dict[str, dict[str, str | dict[str, Any]]] = {
    "reset_password": {"user": _USER, "system": _SYSTEMS},
    "unlock_account": {"user": _USER, "system": _SYSTEMS},
    "create_ticket": {
        "category": "hardware|software|network|access|billing",
        "priority": _PRIORITY,
    },
    "ticket_status": {"ticket": _TICKET},
    "update_ticket": {
        "ticket": _TICKET,
        "priority": _PRIORITY,
        "status": "open|waiting|closed",
    },
    "order_status": {"order": _ORDER},
    "refund_order": {
        "order": _ORDER,
        "reason": "damaged|wrong_item|late|unwanted",
        "amount": {"type": "number", "minimum": 0},
    },
    "request_access": {
        "user": _USER,
        "system": _SYSTEMS + "|repo|payroll|crm",
        "level": "read|write|admin",
    },
    "order_equipment": {
        "item": "laptop|monitor|keyboard|mouse|headset|phone|dock",
        "quantity": {"type": "integer", "minimum": 1},
    },
    "book_callback": {
        "phone": {"pattern": r"^\+?[0-9]+$"},
        "day": "monday|tuesday|wednesday|thursday|friday|saturday|sunday|today|tomorrow",
        "hour": {"type": "integer", "minimum": 0, "maximum": 23},
    },
}


def _argument(spec: str | dict[str, Any]) -> dict[str, Any]:
    """A JSON schema from the table's shorthand."""
    if isinstance(spec, dict):
        return {"type": "string", **spec}
    if "|" in spec:
        return {"type": "string", "enum": spec.split("|")}
    return {"type": "string", "minLength": 1, "description": spec}


def _branch(tool: str) -> dict[str, Any]:
    """The JSON schema of a call of one tool."""
    arguments = {name: _argument(spec) for name, spec in _TABLE.get(tool, {}).items()}
    properties = {"name": {"const": tool}, "arguments": _object(arguments, required=[])}
    return _object(properties, required=list(properties))


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    fields = {"properties": properties, "required": required, "additionalProperties": False}
    return {"type": "object", **fields}


CALL_SCHEMA: dict[str, Any] = {"anyOf": [_branch(tool) for tool in (*_TABLE, NONE)]}
"""JSON schema of one answer: a call of one of the tools, or of `none`."""

ARGUMENTS: dict[str, tuple[str, ...]] = {
    **{tool: tuple(arguments) for tool, arguments in _TABLE.items()},
    NONE: (),
}
"""Each tool's arguments in the order in which an answer writes them."""


def system_prompt() -> str:
    """The message before every request: the tools with the names of their arguments.

    Training teaches the values of an argument. With them, the prompt would be twice as long.
    """
    calls = (f"{tool}({', '.join(args)})" for tool, args in ARGUMENTS.items() if tool != NONE)
    return load_prompt("finetune_lora", "helpdesk").render(tools="\n".join(calls))


def call(tool: str, /, **arguments: Any) -> str:
    """An answer: one line of JSON, arguments in order. Raises BadInput if it breaks the schema."""
    order = ARGUMENTS.get(tool, ())
    ordered = {key: arguments[key] for key in order if key in arguments}
    answer = {"name": tool, "arguments": ordered | arguments}
    # An error of anyOf has no details; one of the tool's own branch does.
    schema = _branch(tool) if tool in ARGUMENTS else CALL_SCHEMA
    if wrong := best_match(Draft202012Validator(schema).iter_errors(answer)):
        raise BadInput(
            f"{json.dumps(answer)} is not a valid help desk call: {wrong.message}.",
            hint=f"Available tools: {', '.join(ARGUMENTS)}; helpdesk/tools.py has their arguments.",
        )
    return json.dumps(answer, ensure_ascii=False)
