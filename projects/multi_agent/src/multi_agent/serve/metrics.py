"""Prometheus metrics of the team (`agents_*`), for GET /metrics.

`agents_runs{status}` is read from the database, which processes share. The histograms observe the
work of this process: `agents_run_seconds{outcome}` (answer, no_answer, stopped, failed),
`agents_specialist_seconds{specialist,outcome}` of a step (answer, problem) and
`agents_tool_seconds{tool,outcome}` of a tool call (ok, error).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from prometheus_client import REGISTRY, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from multi_agent.runs.store import Event
from multi_agent.team.team import Team
from seedbed.errors import SeedbedError

_histogram = partial(Histogram, buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300))
_RUNS = _histogram("agents_run_seconds", "Seconds of a run.", ["outcome"])
_STEPS = _histogram("agents_specialist_seconds", "Seconds of a step.", ["specialist", "outcome"])
_TOOLS = _histogram("agents_tool_seconds", "Seconds of a tool call.", ["tool", "outcome"])


class TeamMetrics:
    """Observes the events of a team, and counts its runs at each scrape."""

    def __init__(self, team: Team) -> None:
        self._store = team.store
        self._started: dict[tuple[str, str], Event] = {}  # by run and step

    def observe(self, event: Event) -> None:
        """Count one event."""
        step, data = (event.run, event.step), event.data
        match event.kind:
            case "step_started":
                self._started[step] = event
            case "step_ended" if start := self._started.pop(step, None):
                outcome = "answer" if data["result"]["answer"] else "problem"
                seconds = (event.at - start.at).total_seconds()
                _STEPS.labels(start.data["specialist"], outcome).observe(seconds)
            case "tool_ended":
                outcome = "error" if data.get("problem") else "ok"
                _TOOLS.labels(data["tool"], outcome).observe(data["seconds"])
            case "done" | "stopped" | "failed":
                answered = "answer" if data["confident"] else "no_answer"
                outcome = answered if event.kind == "done" else event.kind
                seconds = (event.at - self._store.run(event.run).created_at).total_seconds()
                _RUNS.labels(outcome).observe(seconds)

    def describe(self) -> list[Metric]:
        """No names in advance: those would need a query at registration."""
        return []

    def collect(self) -> list[Metric]:
        """The runs by status; nothing while the database is unavailable."""
        gauge = GaugeMetricFamily("agents_runs", "Runs by status.", labels=["status"])
        try:
            for status, count in self._store.counts().items():
                gauge.add_metric([status], count)
        except SeedbedError:
            return []
        return [gauge]


@asynccontextmanager
async def team_metrics(team: Team) -> AsyncIterator[None]:
    """Observe a team and register its metrics; undone at the end."""
    metrics = TeamMetrics(team)
    team.listeners.append(metrics.observe)
    REGISTRY.register(metrics)
    try:
        yield
    finally:
        REGISTRY.unregister(metrics)
        team.listeners.remove(metrics.observe)
