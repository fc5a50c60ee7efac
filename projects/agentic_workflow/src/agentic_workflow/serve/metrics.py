"""Prometheus metrics of the help desk (`workflow_*`), read from the store at each scrape.

    with store_metrics(store):
        ...    # GET /metrics has them

The workers are other processes, so what they do is counted in the database, not in this process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles
from typing import TYPE_CHECKING

from agentic_workflow.store.database import reading
from agentic_workflow.store.schema import outbox
from agentic_workflow.store.statistics import counts, draft_seconds
from agentic_workflow.store.store import Store
from seedbed.errors import SeedbedError

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_log = logging.getLogger(__name__)


class StoreCollector:
    """Gauges for Prometheus; nothing while the database is away."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        """No names in advance: those would need a query at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        from prometheus_client.core import GaugeMetricFamily

        try:
            cases = self._store.counts()
            with reading(self._store.engine) as connection:
                effects = counts(connection, outbox.c.status)
                seconds = draft_seconds(connection)
        except SeedbedError as error:
            _log.warning("metrics without the store: %s", error)
            return
        gauge = GaugeMetricFamily("workflow_cases", "Cases.", labels=["status", "category"])
        for labels, count in cases.items():
            gauge.add_metric(labels, count)
        yield gauge
        gauge = GaugeMetricFamily("workflow_effects", "Refunds and replies.", labels=["status"])
        for status in ("ready", "claimed", "done", "in_doubt", "failed"):
            gauge.add_metric([status], effects.get((status,), 0))
        yield gauge
        for name, status in (
            ("workflow_in_doubt", "in_doubt"),
            ("workflow_dead_letters", "failed"),
        ):
            count = sum(count for labels, count in cases.items() if labels[0] == status)
            yield GaugeMetricFamily(name, f"Cases with the status {status}.", value=count)
        text = "Seconds from arrival to the draft, of the latest hundred drafts."
        gauge = GaugeMetricFamily("workflow_draft_seconds", text, labels=["quantile"])
        if len(seconds) > 1:
            cuts = quantiles(seconds, n=20, method="inclusive")
            gauge.add_metric(["0.5"], cuts[9])
            gauge.add_metric(["0.95"], cuts[18])
        yield gauge


@contextmanager
def store_metrics(store: Store) -> Iterator[None]:
    """Register the metrics with Prometheus' default registry, and remove them at the end."""
    from prometheus_client import REGISTRY

    collector = StoreCollector(store)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
