"""The HTML of the page: the macros of `page.jinja`, which escape everything that they print.

    render("hits", store.cases(text="parcel"))

Mails are untrusted: they are printed as text, never as HTML or Markdown.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from agentic_workflow.serve.terminal import duration
from seedbed.server import html

Json = Mapping[str, Any]
# The steps of a case, each with the events of the audit trail that end it.
STEPS = {
    **{name: {name} for name in ("receive", "deduplicate", "screen", "classify", "look up")},
    **{name: {name} for name in ("decide", "draft", "approve", "act", "close")},
    "deduplicate": {"screen", "duplicate"},
    "approve": {"approve", "reject", "ask"},
    "close": {"close", "duplicate"},
}


def render(macro: str, *values: Any) -> str:
    """The HTML of one macro.

    >>> "&lt;b&gt;" in render("banner", {}, "<b>", "anna", True)
    True
    """
    return str(getattr(_templates.get_template("page.jinja").module, macro)(*values))


def steps(case: Json, approval: Json | None, events: Sequence[Json]) -> list[tuple[str, str]]:
    """The steps of a case with their states: done, skipped, current, problem or to do."""
    kinds, status = {event["kind"] for event in events}, case["status"]
    kinds |= {"act"} if status == "closed" and kinds & {"reply", "refund"} else set()
    done = [bool(kinds & ends) for ends in STEPS.values()]
    current = max((n for n, is_done in enumerate(done) if is_done), default=-1) + 1
    needs_person = approval or (case["decision"] or {}).get("approval")
    if current == list(STEPS).index("approve") and not needs_person:
        current += 1
    here = "problem" if status in ("failed", "in_doubt") else "current"
    states = ["skipped" if n < current else "to do" for n in range(len(STEPS))]
    states[current : current + 1] = [here] if current < len(STEPS) else []
    states = ["done" if is_done else state for is_done, state in zip(done, states, strict=True)]
    return list(zip(STEPS, states, strict=True))


def diff(before: str, after: str) -> Markup:
    """What was deleted and added, word by word; empty without a difference.

    >>> diff("Dear Bob", "Dear Ann")
    Markup('Dear <del>Bob</del><ins>Ann</ins>')
    """
    old, new = (re.findall(r"\s+|\w+|.", text) for text in (before, after))
    pieces = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        deleted, added = (html.escape("".join(part)) for part in (old[i:j], new[k:m]))
        if kind != "equal":
            deleted, added = f"<del>{deleted}</del>", f"<ins>{added}</ins>"
            pieces.append(deleted.replace("<del></del>", ""))
        pieces.append(added.replace("<ins></ins>", ""))
    return Markup("".join(pieces) if before != after else "")


def _print(value: Any) -> Markup:
    if isinstance(value, Markup):
        return value
    return Markup("" if value is None else html.escape(value))


def _due(at: datetime) -> str:
    seconds = (at - datetime.now(UTC)).total_seconds()
    return f"in {duration(seconds)}" if seconds >= 0 else f"late by {duration(-seconds)}"


def _marked(text: str, reasons: Sequence[str]) -> Markup:
    """The text, with the words marked that the reasons quote."""
    words = re.findall(r'"([^"]{2,})"', "\n".join(reasons))
    patterns = [r"\s+".join(map(re.escape, _fold(word).split())) for word in words]
    pattern = "|".join(sorted(patterns, key=len, reverse=True)) or "$^"
    pieces, end = [], 0
    for match in re.finditer(pattern, _fold(text)):
        mark = f"<mark>{html.escape(text[match.start() : match.end()])}</mark>"
        pieces += [text[end : match.start()], Markup(mark)]
        end = match.end()
    pieces.append(text[end:])
    return Markup("").join(_print(piece) for piece in pieces)


def _fold(text: str) -> str:
    """The text in lower case and without accents, of the same length, as triage quotes it."""
    return "".join(unicodedata.normalize("NFD", char)[0].lower()[:1] for char in text)


_templates = Environment(
    loader=PackageLoader("agentic_workflow.serve", "."),
    autoescape=True,
    finalize=_print,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {
    "due": _due,
    "duration": duration,
    "marked": _marked,
    "time": lambda value, length=16: str(value)[:length].replace("T", " "),
    "words": lambda name: name.replace("_", " "),
}
