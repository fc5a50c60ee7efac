"""Prometheus metrics of the help desk (`workflow_*`), read from the databases at each scrape.

    with store_metrics(store):
        ...    # GET /metrics has them

The workers are other processes, so what they do is counted in the database, not in this process.
Alert rules and a dashboard are in `docker/`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import func, select

from agentic_workflow.case import STATUSES
from agentic_workflow.store.database import reading
from agentic_workflow.store.schema import cases, outbox
from agentic_workflow.store.store import Store
from seedbed.errors import SeedbedError

CASES = dict.fromkeys(((status, "") for status in STATUSES), 0)
EFFECTS = dict.fromkeys((("ready",), ("claimed",), ("done",), ("in_doubt",), ("failed",)), 0)
_log = logging.getLogger(__name__)


class StoreCollector:
    """Gauges for Prometheus; nothing while the database is away."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        return []  # or registering it would query the database

    def collect(self) -> list[Metric]:
        now = datetime.now(UTC)
        effects = select(outbox.c.status, func.count()).group_by(outbox.c.status)
        oldest = select(func.min(cases.c.received_at)).where(cases.c.status == "received")
        try:
            counts, overdue = CASES | self._store.counts(), len(self._store.waiting(now))
            with reading(self._store.engine) as connection:
                by_status = {(status,): count for status, count in connection.execute(effects)}
                first = connection.execute(oldest).scalar() or now
        except SeedbedError as error:
            _log.warning("metrics without the database: %s", error)
            return []
        return [
            _gauge("cases", "Cases.", counts, "status", "category"),
            _gauge("effects", "Refunds and replies.", EFFECTS | by_status, "status"),
            _gauge("overdue", "Approvals after their deadline.", {(): overdue}),
            _gauge("queue_seconds", "Age of the oldest case.", {(): (now - first).total_seconds()}),
        ]


def _gauge(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Metric:
    gauge = GaugeMetricFamily(f"workflow_{name}", text, labels=labels)
    for key, value in values.items():
        gauge.add_metric(key, value)
    return gauge


@contextmanager
def store_metrics(store: Store) -> Iterator[None]:
    """Register the metrics with Prometheus' default registry, and remove them at the end."""
    collector = StoreCollector(store)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
