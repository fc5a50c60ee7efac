"""The HTML of the page: the macros of `page.jinja`, with everything escaped that they print.

    render("hits", store.cases(text="parcel"))

Mails are untrusted: they are printed as text, never as HTML or Markdown. What a case is and what
may be done with it are left to the store and to `actions.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from agentic_workflow.serve.terminal import duration
from agentic_workflow.store.statistics import Statistics
from seedbed.server import html

Json = Mapping[str, Any]
# The steps of a case, each with the events of the audit trail that end it.
STEPS = {
    "receive": ("receive",),
    "deduplicate": ("screen", "duplicate"),
    "screen": ("screen",),
    "classify": ("classify",),
    "look up": ("look up",),
    "decide": ("decide",),
    "draft": ("draft",),
    "approve": ("approve", "reject", "ask"),
    "act": ("close",),
    "close": ("close", "duplicate"),
}
_MARKS = {"done": "✓", "current": "●", "problem": "!", "skipped": "–", "to do": "○"}
_ACTIONS = {
    "reply": "Reply",
    "refund": "Refund",
    "ask": "Ask the sender",
    "ignore": "Do not answer",
    "hand_over": "Leave it to a person",
}
_SYMBOLS = {"above": ">", "at_most": "≤", "below": "<"}


def render(macro: str, *values: Any, **named: Any) -> str:
    """The HTML of one macro.

    >>> "&lt;b&gt;" in render("banner", {}, "<b>", "anna", True)
    True
    """
    return str(getattr(_templates.get_template("page.jinja").module, macro)(*values, **named))


def steps(case: Json, approval: Json | None, events: Sequence[Json]) -> list[dict[str, str]]:
    """The steps of a case with their states: done, skipped, current, problem or to do."""
    kinds, names = {event["kind"] for event in events}, list(STEPS)
    done = [bool(kinds & set(STEPS[name])) for name in names]
    act = names.index("act")
    done[act] = case["status"] == "closed" and bool(kinds & {"reply", "refund"})
    current = max((n for n, is_done in enumerate(done) if is_done), default=-1) + 1
    decision = case["decision"] or {}
    if names[current : current + 1] == ["approve"] and not (approval or decision.get("approval")):
        current = act
    problem = case["status"] in ("failed", "in_doubt")
    state = "problem" if problem else "current"
    states = [
        "done" if is_done else "skipped" if n < current else state if n == current else "to do"
        for n, is_done in enumerate(done)
    ]
    return [
        {"name": name, "state": state, "mark": _MARKS[state]}
        for name, state in zip(names, states, strict=True)
    ]


def diff(before: str, after: str) -> Markup:
    """What was deleted and added, word by word; empty without a difference.

    >>> diff("Dear Bob", "Dear Ann")
    Markup('Dear <del>Bob</del><ins>Ann</ins>')
    """
    old, new = (re.findall(r"\s+|\w+|.", text) for text in (before, after))
    pieces = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        deleted, added = (html.escape("".join(part)) for part in (old[i:j], new[k:m]))
        if kind == "equal":
            pieces.append(added)
            continue
        pieces += [f"<del>{deleted}</del>"] if deleted else []
        pieces += [f"<ins>{added}</ins>"] if added else []
    return Markup("".join(pieces) if before != after else "")


def due(at: datetime) -> str:
    """The time until a deadline.

    >>> due(datetime(2020, 1, 1, tzinfo=UTC)).startswith("late by ")
    True
    """
    seconds = (at - datetime.now(UTC)).total_seconds()
    return f"in {duration(seconds)}" if seconds >= 0 else f"late by {duration(-seconds)}"


def tiles(figures: Statistics, waiting: int) -> list[tuple[str, str]]:
    """Names and values of the most important figures."""
    rate, seconds = figures.automation_rate, figures.median_seconds
    return [
        ("cases closed", f"{figures.closed:,}"),
        ("closed without a person", "–" if rate is None else f"{rate:.0%}"),
        ("drafts corrected", f"{figures.corrections:,}"),
        ("median time to close", "–" if seconds is None else duration(seconds)),
        ("waiting now", f"{waiting:,}"),
    ]


# ── filters of the templates ────────────────────────────────────────────────────────────────


def _print(value: Any) -> Markup:
    if isinstance(value, Markup):
        return value
    return Markup("" if value is None else html.escape(value))


def _time(value: datetime | str, length: int = 16) -> str:
    return str(value)[:length].replace("T", " ")


def _marked(case: Json) -> Markup:
    """The text of the mail, with the words marked that decided its triage."""
    text, triage = case["mail"]["text"] or "(no text)", case["triage"] or {"reasons": ()}
    words = re.findall(r'"([^"]{2,})"', "\n".join(triage["reasons"]))
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    pieces = re.split(f"({pattern})", text, flags=re.IGNORECASE) if words else [text]
    return Markup("").join(
        Markup("<mark>{}</mark>").format(_print(piece)) if n % 2 else _print(piece)
        for n, piece in enumerate(pieces)
    )


def _facts(facts: Json) -> Iterator[tuple[str, str]]:
    """Names and values of what is known."""
    money = {name: f"{facts[name]} {facts['currency']}" for name in ("total", "refundable")}
    goods = [f"{line['quantity']} × {line['name']}" for line in facts["lines"]]
    parcel = " ".join(filter(None, (facts["carrier"], facts["tracking"])))
    yield "Customer", " ".join(filter(None, (facts["customer_name"], facts["customer_id"])))
    yield "Order", facts["order_id"] or "not known, or not the sender's"
    rows = [
        ("Status", facts["order_status"]),
        ("Ordered", facts["ordered_on"]),
        ("Expected", facts["expected_on"]),
        ("Delivered", facts["delivered_on"]),
        ("Parcel", parcel),
        ("Goods", ", ".join(goods)),
        ("Total", facts["total"] and money["total"]),
        ("Refundable", facts["refundable"] and money["refundable"]),
        ("Payments", facts["charges"] if facts["charges"] > 1 else ""),
        ("Recent orders", ", ".join(facts["recent_orders"])),
    ]
    yield from ((name, value) for name, value in rows if value)


def _effect(effect: Json) -> str:
    """An effect in words."""
    payload = effect["payload"]
    if effect["action"] == "refund":
        return f"Refund of {payload.get('amount')} {payload.get('currency')}"
    return f"Reply to {payload.get('to')}"


def _conditions(conditions: Json) -> str:
    """The conditions of a rule, in one line."""
    lines = []
    for name, value in conditions.items():
        suffix = next((s for s in _SYMBOLS if name.endswith(f"_{s}")), "")
        words = name.removesuffix(f"_{suffix}").replace("_", " ")
        if suffix:
            lines.append(f"{words} {_SYMBOLS[suffix]} {value}")
        elif isinstance(value, bool):
            lines.append(words if value else f"not {words}")
        else:
            lines.append(f"{words}: {' or '.join(value)}")
    return "; ".join(lines) or "always"


_templates = Environment(
    loader=PackageLoader("agentic_workflow.serve", "."),
    autoescape=True,
    finalize=_print,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {
    "action": lambda name: _ACTIONS[name],
    "words": lambda name: name.replace("_", " "),
    "time": _time,
    "marked": _marked,
    "facts": _facts,
    "effect": _effect,
    "conditions": _conditions,
}
