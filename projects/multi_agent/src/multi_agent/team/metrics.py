"""Prometheus metrics of the runs of this process, for GET /metrics.

`agents_run_seconds{outcome}` (answer, no_answer, stopped, failed), `agents_specialist_seconds
{specialist,outcome}` of a step (answer, problem), `agents_tool_seconds{tool,outcome}` (ok, error).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from prometheus_client import Histogram

_histogram = partial(Histogram, buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300))
_RUNS = _histogram("agents_run_seconds", "Seconds of a run.", ["outcome"])
_STEPS = _histogram("agents_specialist_seconds", "Seconds of a step.", ["specialist", "outcome"])
_TOOLS = _histogram("agents_tool_seconds", "Seconds of a tool call.", ["tool", "outcome"])


def observe_event(kind: str, data: dict[str, Any]) -> None:
    """Observe an event of a run: the end of a step, of a tool call or of the run."""
    match kind:
        case "step_ended" if "seconds" in data:  # not of a fork's parent
            outcome = "answer" if data["result"]["answer"] else "problem"
            _STEPS.labels(data["specialist"], outcome).observe(data["seconds"])
        case "tool_ended":
            outcome = "error" if data.get("problem") else "ok"
            _TOOLS.labels(data["tool"], outcome).observe(data["seconds"])
        case "done" | "stopped" | "failed" if "seconds" in data:  # not while it waited
            answered = "answer" if data["confident"] else "no_answer"
            _RUNS.labels(answered if kind == "done" else kind).observe(data["seconds"])
