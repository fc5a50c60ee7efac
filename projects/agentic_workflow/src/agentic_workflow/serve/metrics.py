"""Prometheus metrics of the help desk (`workflow_*`), read from the store at each scrape.

    with store_metrics(store):
        ...    # GET /metrics has them

The workers are other processes, so what they do is counted in the database, not in this process.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import quantiles
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import func, select

from agentic_workflow.store.database import reading
from agentic_workflow.store.schema import cases, events, outbox
from agentic_workflow.store.store import Store
from seedbed.errors import SeedbedError

EFFECTS = dict.fromkeys((("ready",), ("claimed",), ("done",), ("in_doubt",), ("failed",)), 0)
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
        try:
            gauges = self._gauges()
        except SeedbedError as error:
            _log.warning("metrics without the store: %s", error)
            return
        for name, (text, labels, values) in gauges.items():
            gauge = GaugeMetricFamily(f"workflow_{name}", text, labels=labels)
            for key, value in values.items():
                gauge.add_metric(key, value)
            yield gauge

    def _gauges(self) -> dict[str, tuple[str, list[str], Mapping[Any, float]]]:
        counts, status = self._store.counts(), Counter[str]()
        for (name, _), count in counts.items():
            status[name] += count
        effects = select(outbox.c.status, func.count()).group_by(outbox.c.status)
        drafts = select(cases.c.received_at, events.c.at).where(events.c.kind == "draft")
        drafts = drafts.join(cases, cases.c.id == events.c.case_id)
        drafts = drafts.order_by(events.c.number.desc()).limit(100)
        with reading(self._store.engine) as connection:
            by_status = {(status,): count for status, count in connection.execute(effects)}
            times = connection.execute(drafts).all()
        seconds = [max(0.0, (draft - arrival).total_seconds()) for arrival, draft in times]
        cuts = quantiles(seconds, n=20, method="inclusive") if len(seconds) > 1 else []
        percentiles = {("0.5",): cuts[9], ("0.95",): cuts[18]} if cuts else {}
        text = "Seconds from arrival to the draft, of the latest hundred drafts."
        return {
            "cases": ("Cases.", ["status", "category"], counts),
            "effects": ("Refunds and replies.", ["status"], EFFECTS | by_status),
            "in_doubt": ("Cases with the status in_doubt.", [], {(): status["in_doubt"]}),
            "dead_letters": ("Cases with the status failed.", [], {(): status["failed"]}),
            "draft_seconds": (text, ["quantile"], percentiles),
        }


@contextmanager
def store_metrics(store: Store) -> Iterator[None]:
    """Register the metrics with Prometheus' default registry, and remove them at the end."""
    collector = StoreCollector(store)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
