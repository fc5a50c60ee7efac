"""The HTML of the page: the macros of `page.jinja`, which escape everything that they print.

    render("steps", step_views(store.events("r1")))

Tasks, documents and database values are untrusted: they are printed as text, never as HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from multi_agent.runs.store import Event, RunRecord
from seedbed.server import html

Json = dict[str, Any]
MAX_ROWS = 300  # events in the timeline; the latest are kept
NODE, GAP, ARC = (166, 112), (34, 14), 44  # pixels: width and height; room for edges back


def render(macro: str, *values: Any) -> str:
    """The HTML of one macro.

    >>> "&lt;b&gt;" in render("samples", ["<b>"])
    True
    """
    return str(getattr(_templates.get_template("page.jinja").module, macro)(*values))


def step_views(events: Iterable[Event], status: str = "running") -> list[Json]:
    """The steps of the latest plan, each with its `state`, `result` and `problem`.

    A state is waiting, working, done or failed; in a run that ended, skipped or stopped.
    """
    steps: dict[str, Json] = {}
    for event in events:
        data, step = event.data, steps.get(event.step, {})
        match event.kind:
            case "plan" | "replanned":
                steps = {new["id"]: _planned(new, steps.get(new["id"])) for new in data["steps"]}
            case "step_started":
                step |= {"state": "working", "specialist": data["specialist"]}
                step |= {"task": data["task"], "problem": ""}
            case "tool_started":
                step |= {"tool": data["tool"]}
            case "step_ended":
                result = data["result"]
                step |= {"state": "done" if result["answer"] else "failed", "result": result}
                step |= {"problem": result["problem"]}
            case "verified" if data["problem"]:
                step |= {"state": "failed", "problem": f"Not verified: {data['problem']}"}
            case "question" if step:
                step |= {"state": "asking"}
    if status not in ("running", "waiting"):
        ended = {"working": "stopped", "asking": "stopped", "waiting": "skipped"}
        for step in steps.values():
            step["state"] = ended.get(step["state"], step["state"])
    return list(steps.values())


def _planned(new: Json, old: Json | None) -> Json:
    """A step of a plan; one that was planned before for the same specialist goes on."""
    if old and old["specialist"] == new["specialist"]:
        return old
    fresh = {"state": "waiting", "result": None, "problem": "", "tool": ""}
    return {**new, **fresh, "wording": new["task"]}


def layout(nodes: Sequence[tuple[str, Sequence[str]]]) -> Json:
    """Places nodes, each with those before it, in columns from left to right.

    Edges from a later node in the list, or from the same, are drawn back above the others.

    >>> layout([("s1", ()), ("s2", ["s1"])])["places"]
    {'s1': (2, 2), 's2': (202, 2)}
    """
    column: dict[str, int] = {}
    for name, before in nodes:
        column[name] = max((column[one] + 1 for one in before if one in column), default=0)
    pairs = [(one, name) for name, before in nodes for one in before if one in column]
    # 1. Columns, each centered.
    columns = [
        [n for n in column if column[n] == i] for i in range(1 + max(column.values(), default=0))
    ]
    top = 2 + ARC * any(column[start] >= column[end] for start, end in pairs)
    width, height = (size + gap for size, gap in zip(NODE, GAP, strict=True))
    rows = max(map(len, columns))
    places = {
        name: (2 + x * width, top + (rows - len(names)) * height // 2 + y * height)
        for x, names in enumerate(columns)
        for y, name in enumerate(names)
    }
    # 2. Edges as paths of an SVG.
    edges = [_path(places[start], places[end], start == end) for start, end in pairs]
    size = {"width": len(columns) * width - GAP[0] + 4, "height": top + rows * height}
    return {"places": places, "edges": edges, **size}


def _path(start: tuple[int, int], end: tuple[int, int], loop: bool) -> str:
    if end[0] > start[0]:
        x, y = start[0] + NODE[0], start[1] + NODE[1] // 2
        to_x, to_y = end[0] - 6, end[1] + NODE[1] // 2
        middle = (x + to_x) // 2
        return f"M{x} {y} C{middle} {y} {middle} {to_y} {to_x} {to_y}"
    x, y, to_y = start[0] + NODE[0] // 2, start[1], end[1] - 6
    to_x = end[0] + NODE[0] // 2 + (-40 if loop else 30)
    return f"M{x} {y} C{x} {y - ARC} {to_x} {to_y - ARC} {to_x} {to_y}"


def timeline(record: RunRecord, events: Sequence[Event]) -> list[Json]:
    """The events with the seconds since the start; those that end a step have what it took.

    The end of a tool call is in the row of its start.
    """
    rows: list[Json] = []
    open_rows: dict[tuple[str, str], Json] = {}
    for event in events:
        at = (event.at - record.created_at).total_seconds()
        row = {"at": at, "event": event, "took": None, "end": None}
        key = (event.step, event.data.get("tool", ""))
        if event.kind in ("step_started", "tool_started"):
            open_rows[key] = row
        elif event.kind in ("step_ended", "tool_ended") and key in open_rows:
            start = open_rows.pop(key)
            row["took"] = at - start["at"]
            if event.kind == "tool_ended":
                start |= {"took": row["took"], "end": event}
                continue
        rows.append(row)
    return rows[-MAX_ROWS:]


def rows_of(output: str) -> list[list[str]]:
    """The header and the rows in the output of a query; [] if it is not a table.

    >>> rows_of("city | orders" + chr(10) + "Graz | 12")
    [['city', 'orders'], ['Graz', '12']]
    """
    rows = [line.split(" | ") for line in output.split("\n")]
    cut = len(output) >= 2000 and len(rows) > 1  # by the analyst, in its last row
    rows = rows[:-1] if cut else rows
    return rows if len({len(row) for row in rows}) == 1 else []


def _amount(value: float, name: str) -> str:
    if name == "usd":
        return f"${value:.2f}" if value >= 0.1 or not value else f"${value:.4f}"
    return f"{value:,.1f}" if name == "seconds" and value % 1 else f"{value:,.0f}"


def _print(value: Any) -> Markup:
    if isinstance(value, Markup):
        return value
    return Markup("" if value is None else html.escape(value))


_templates = Environment(
    loader=PackageLoader("multi_agent.serve", "."),
    autoescape=True,
    finalize=_print,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {
    "amount": _amount,
    "count": lambda number, noun: f"{number:,} {noun}{'' if number == 1 else 's'}",
    "rows": rows_of,
    "time": lambda at: at.strftime("%d %b %H:%M") if isinstance(at, datetime) else str(at)[:16],
    "words": lambda name: name.replace("_", " "),
}
