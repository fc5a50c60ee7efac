"""Prometheus metrics of the team (`agents_*`).

    with team_metrics(team):
        ...    # GET /metrics has them

`agents_runs{status}` is read from the store, which processes share. The histograms count the work
of this process: `agents_run_seconds{outcome}` (answer, no_answer, stopped, failed),
`agents_specialist_seconds{specialist,outcome}` of a step (answer, problem) and
`agents_tool_seconds{tool,outcome}` of a tool call (ok, error).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import get_args

import sqlalchemy as sa
from prometheus_client import REGISTRY, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from multi_agent.runs.store import Event, runs
from multi_agent.state import Status
from multi_agent.team.team import Team
from seedbed.errors import SeedbedError

_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_histogram = partial(Histogram, buckets=_BUCKETS)
_RUNS = _histogram("agents_run_seconds", "Seconds of a run.", ["outcome"])
_STEPS = _histogram("agents_specialist_seconds", "Seconds of a step.", ["specialist", "outcome"])
_TOOLS = _histogram("agents_tool_seconds", "Seconds of a tool call.", ["tool", "outcome"])


class TeamMetrics:
    """Observes the events of a team, and counts its runs at each scrape."""

    def __init__(self, team: Team) -> None:
        self._store = team.store
        self._steps: dict[tuple[str, str], tuple[str, datetime]] = {}  # at work

    def observe(self, event: Event) -> None:
        """Count one event."""
        key, data = (event.run, event.step), event.data
        match event.kind:
            case "step_started":
                self._steps[key] = data["specialist"], event.at
            case "step_ended" if key in self._steps:
                specialist, start = self._steps.pop(key)
                outcome = "answer" if data["result"]["answer"] else "problem"
                seconds = (event.at - start).total_seconds()
                _STEPS.labels(specialist, outcome).observe(seconds)
            case "tool_ended":
                outcome = "error" if data.get("problem") else "ok"
                _TOOLS.labels(data["tool"], outcome).observe(data["seconds"])
            case "done" | "stopped" | "failed":
                outcome = "answer" if data["confident"] else "no_answer"
                outcome = outcome if event.kind == "done" else event.kind
                seconds = (event.at - self._store.run(event.run).created_at).total_seconds()
                _RUNS.labels(outcome).observe(seconds)

    def describe(self) -> list[Metric]:
        """No names in advance: those would need a query at registration."""
        return []

    def collect(self) -> list[Metric]:
        """The runs by status; nothing while the database is away."""
        counts = dict.fromkeys(get_args(Status), 0)
        try:
            with self._store.engine.connect() as connection:
                query = sa.select(runs.c.status, sa.func.count()).group_by(runs.c.status)
                counts |= dict(connection.execute(query).all())
        except SeedbedError:
            return []
        gauge = GaugeMetricFamily("agents_runs", "Runs by status.", labels=["status"])
        for status, count in counts.items():
            gauge.add_metric([status], count)
        return [gauge]


@contextmanager
def team_metrics(team: Team) -> Iterator[None]:
    """Observe a team and register its metrics; undone at the end."""
    metrics = TeamMetrics(team)
    team.listeners.append(metrics.observe)
    REGISTRY.register(metrics)
    try:
        yield
    finally:
        REGISTRY.unregister(metrics)
        team.listeners.remove(metrics.observe)
