"""What the command line prints: an answer, a run with its events, a list of runs.

print(answer_text(run))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from seedbed.cli import table

if TYPE_CHECKING:
    from multi_agent.runs.store import Event, RunRecord


def answer_text(run: RunRecord) -> str:
    """The answer, how each step was understood, and the evidence; or why there is none."""
    lines = [run.answer.text, "", run.answer.explanation] if run.answer else []
    for evidence in run.answer.evidence if run.answer else ():
        lines += ["", f"[{evidence.kind}] {evidence.source}", evidence.text]
        lines += [f"→ {evidence.output}"] if evidence.output else []
    lines += [""] if lines else []
    if run.status != "done":
        lines.append(f"{run.status}: {run.reason}")
    if run.status in ("failed", "waiting"):
        lines.append(f"Continue it: multi-agent resume {run.id}")
    return "\n".join([*lines, usage_text(run)])


def run_text(run: RunRecord, events: Sequence[Event]) -> str:
    """The course of a run: seconds since its start, the event, the step and the details."""
    lines = [f"{run.id}  {run.status}  {run.task}", ""]
    for event in events:
        details = ", ".join(f"{name}={value}" for name, value in event.data.items() if value)
        seconds = (event.at - run.created_at).total_seconds()
        lines.append(f"{seconds:8.3f} s  {event.kind:<13} {event.step} {details}")
    return "\n".join([*lines, "", usage_text(run)])


def runs_text(runs: Sequence[RunRecord]) -> str:
    def row(run: RunRecord) -> tuple[str, ...]:
        at = f"{run.created_at.astimezone():%Y-%m-%d %H:%M}"
        return run.id, at, run.status, run.task[:60], run.answer.text[:60] if run.answer else ""

    return table(("run", "at", "status", "task", "answer"), map(row, runs))


def usage_text(run: RunRecord) -> str:
    """What a run has used of its budget, in a line."""
    usage, limits = run.usage, run.limits.model_dump()
    parts = []
    for name, used in usage.items():
        limit = f"/{limits[name]:,.12g}" if limits.get(name) is not None else ""
        used = round(used, 4 if name == "usd" else 1)
        parts.append(f"{name.replace('_', ' ')} {used:,.12g}{limit}")
    return f"run {run.id} · " + " · ".join(parts)


def ask(question: dict[str, Any]) -> str:
    """The user's answer to a question: the words, or the option of that number."""
    options = question["options"]
    lines = [question["question"], *(f"  {n}. {option}" for n, option in enumerate(options, 1))]
    typer.echo("\n".join(lines), err=True)
    reply = str(typer.prompt("Your answer", err=True)).strip()
    number = int(reply) if reply.isdecimal() else 0
    return str(options[number - 1]) if 0 < number <= len(options) else reply
