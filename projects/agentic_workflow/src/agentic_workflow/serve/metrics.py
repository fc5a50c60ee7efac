"""Prometheus metrics of the help desk (`workflow_*`), read from the databases at each scrape.

    with store_metrics(store, queue):
        ...    # GET /metrics has them

The workers are other processes, so what they do is counted in the database, not in this process.
Alert rules and a dashboard are in `docker/`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from math import inf
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import func, select

from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.store.case import STATUSES
from agentic_workflow.store.database import reading
from agentic_workflow.store.schema import cases, outbox
from agentic_workflow.store.store import Store
from seedbed.errors import SeedbedError

EFFECTS = dict.fromkeys((("ready",), ("claimed",), ("done",), ("in_doubt",), ("failed",)), 0)
_log = logging.getLogger(__name__)


class StoreCollector:
    """Gauges for Prometheus; nothing while a database is away."""

    def __init__(self, store: Store, queue: CaseQueue) -> None:
        self._store, self._queue = store, queue

    def describe(self) -> list[Metric]:
        """Empty: describing the metrics would query the databases at registration."""
        return []

    def collect(self) -> list[Metric]:
        """The metrics as they are now."""
        try:
            return self._gauges()
        except SeedbedError as error:
            _log.warning("metrics without the databases: %s", error)
            return []

    def _gauges(self) -> list[Metric]:
        now, counts = datetime.now(UTC), self._store.counts()
        status = {s: sum(n for (t, _), n in counts.items() if t == s) for s in STATUSES}
        effects = select(outbox.c.status, func.count()).group_by(outbox.c.status)
        oldest = select(func.min(cases.c.received_at)).where(cases.c.status == "received")
        postponed = (cases.c.status == "approved") & cases.c.outcome.contains("circuit breaker")
        with reading(self._store.engine) as connection:
            by_status = {(status,): count for status, count in connection.execute(effects)}
            first = connection.execute(oldest).scalar() or now
            refused = connection.execute(select(func.count()).where(postponed)).scalar_one()
        upkeep = self._queue.last_upkeep()
        age = (now - upkeep).total_seconds() if upkeep else inf
        plain = {
            "in_doubt": ("Cases with the status in_doubt.", status["in_doubt"]),
            "dead_letters": ("Cases with the status failed.", status["failed"]),
            "overdue": ("Approvals after their deadline.", len(self._store.expired(now))),
            "circuit_open": ("Cases postponed because a circuit breaker is open.", refused),
            "queue_seconds": ("Age of the oldest case queued.", (now - first).total_seconds()),
            "upkeep_seconds": ("Seconds since a worker last did the upkeep.", age),
        }
        return [
            _gauge("cases", "Cases.", counts, "status", "category"),
            _gauge("effects", "Refunds and replies.", EFFECTS | by_status, "status"),
            *(_gauge(name, about, {(): value}) for name, (about, value) in plain.items()),
        ]


def _gauge(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Metric:
    gauge = GaugeMetricFamily(f"workflow_{name}", text, labels=labels)
    for key, value in values.items():
        gauge.add_metric(key, value)
    return gauge


@contextmanager
def store_metrics(store: Store, queue: CaseQueue) -> Iterator[None]:
    """Register the metrics with Prometheus' default registry, and remove them at the end."""
    collector = StoreCollector(store, queue)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
