"""The figures of `GET /admin/status` and of the status page, read from the metrics.

    Status(gateway, keys).read()          as JSON; it may query the database: call it in a thread

Counts run from the start of the process. Percentiles are interpolated within the histogram's
buckets, as Prometheus does; rates and trends are left to the Grafana dashboard.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from cachetools import TTLCache, cached
from prometheus_client import CollectorRegistry

from llm_service import __version__
from llm_service.gateway.gateway import Gateway
from llm_service.observe.recent_errors import is_rejection
from llm_service.store import usage
from llm_service.store.keys import KeyStore
from llm_service.web.live_gauges import BREAKER_STATES
from seedbed.errors import SeedbedError

log = logging.getLogger(__name__)
SPEND_SECONDS = 10.0  # the page asks every few seconds; sums over a month are read less often


class Status:
    """The figures of one gateway."""

    def __init__(self, gateway: Gateway, keys: KeyStore, draining: Callable[[], bool]) -> None:
        self._gateway = gateway
        self._keys = keys
        self._draining = draining
        cache: TTLCache[Any, Any] = TTLCache(1, SPEND_SECONDS)
        self._spend = cached(cache, lock=Lock())(self._read_spend)

    def read(self) -> dict[str, Any]:
        """The figures as JSON; money in USD, times in seconds."""
        samples = Samples(self._gateway.metrics.registry)
        outcomes = samples.by("llm_requests_total", "outcome")
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "version": __version__,
            "started": self._gateway.started,
            "draining": self._draining(),
            "running": sum(samples.by("llm_requests_running", "model").values()),
            "waiting": sum(samples.by("llm_requests_waiting", "model").values()),
            **count_outcomes(outcomes),
            "tokens": samples.by("llm_tokens_total", "direction"),
            "first_token": samples.quantiles("llm_first_token_seconds"),
            "latency": samples.quantiles("llm_request_seconds"),
            "cache": samples.by("llm_cache_results_total", "result"),
            "refused": samples.by("llm_refused_total", "reason"),
            "guardrails": samples.by("llm_guardrail_decisions_total", "check"),
            "models": self._models(samples),
            "spend": self._spend(),
            "errors": [asdict(error) for error in reversed(self._gateway.metrics.errors.list())],
        }

    def _models(self, samples: Samples) -> list[dict[str, Any]]:
        """One row per model: what it is, how busy, and how its attempts ended."""
        running = samples.by("llm_requests_running", "model")
        breakers: dict[str, float] = {}  # of a model's replicas, m#0 and m#1, the one that works
        for upstream, state in samples.by("llm_upstream_state", "upstream").items():
            name = upstream.partition("#")[0]
            breakers[name] = min(state, breakers.get(name, state))
        loaded = samples.by("llm_model_loaded", "model")
        table = {model["name"]: model for model in models_of(self._gateway)}
        # A model that has left the table is shown until its last request has ended.
        names = [*table, *sorted(set(running) - set(table))]
        return [
            {
                "name": name,
                **table.get(name, {"kind": "", "backend": "", "price_in": 0.0, "price_out": 0.0}),
                "running": running.get(name, 0),
                "waiting": samples.by("llm_requests_waiting", "model").get(name, 0),
                "queue_limit": samples.by("llm_queue_limit", "model").get(name),
                "loaded": bool(loaded[name]) if name in loaded else None,
                "memory_bytes": samples.by("llm_model_memory_bytes", "model").get(name),
                "breaker": BREAKER_STATES[int(breakers[name])] if name in breakers else None,
                "attempts": count_outcomes(
                    samples.by("llm_upstream_attempts_total", "outcome", upstream=name)
                ),
            }
            for name in names
        ]

    def _read_spend(self) -> dict[str, Any] | None:
        """Money of today and of this month (UTC), and by key; None if the database fails."""
        now = datetime.now(UTC)
        month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        try:
            budgets = {key.id: key.budget_usd for key in self._keys.list()}
            database = self._gateway.database
            rows = usage.report(database, "key", since=month, latency=False)
            days = usage.report(database, "day", since=month, latency=False)
        except SeedbedError as error:
            log.warning("Cannot read the spending for the status page: %s", error)
            return None
        return {
            "today_usd": sum(row["cost_usd"] for row in days if row["day"] == f"{now:%Y-%m-%d}"),
            "month_usd": sum(row["cost_usd"] for row in rows),
            "keys": [
                {
                    "name": row["key"],
                    "cost_usd": row["cost_usd"],
                    "budget_usd": budgets.get(row["key_id"]),
                    "requests": row["n"],
                    "tokens": row["prompt_tokens"] + row["completion_tokens"],
                }
                for row in rows
            ],
        }


class Samples:
    """The values in a registry at one moment."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for family in registry.collect():
            for sample in family.samples:
                self._samples[sample.name].append((sample.labels, sample.value))

    def by(self, name: str, label: str, **where: str) -> dict[str, float]:
        """The sums of a metric for each value of `label`, of the samples with labels `where`."""
        sums: dict[str, float] = {}
        for labels, value in self._samples[name]:
            if where.items() <= labels.items():
                sums[labels[label]] = sums.get(labels[label], 0) + value
        return sums

    def quantiles(self, name: str) -> dict[str, float] | None:
        """p50, p95 and p99 of a histogram over all its labels; None if it is empty."""
        buckets = {float(le): n for le, n in self.by(f"{name}_bucket", "le").items()}
        return quantiles(buckets) if any(buckets.values()) else None


def quantiles(buckets: dict[float, float]) -> dict[str, float]:
    """p50, p95 and p99 of cumulative counts by upper bound, interpolated within a bucket.

    >>> quantiles({1.0: 50, 2.0: 100, float("inf"): 100})
    {'p50': 1.0, 'p95': 1.9, 'p99': 1.98}
    """
    bounds = sorted(buckets)
    figures = {}
    for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99)):
        rank, low, below = share * buckets[bounds[-1]], 0.0, 0.0
        for bound in bounds:
            if buckets[bound] >= rank:
                high = bound if bound != float("inf") else low  # the last bucket has no end
                part = (rank - below) / ((buckets[bound] - below) or 1)
                figures[name] = round(low + (high - low) * part, 6)
                break
            low, below = bound, buckets[bound]
    return figures


def count_outcomes(outcomes: dict[str, float]) -> dict[str, float]:
    """How many ended well, by a mistake or limit of the client, or by a failure.

    >>> count_outcomes({"ok": 5, "bad_input": 2, "unavailable": 1, "cancelled": 1})
    {'requests': 9, 'rejected': 2, 'failed': 1}
    """
    ended = {name: count for name, count in outcomes.items() if name not in ("ok", "cancelled")}
    rejected = sum(count for name, count in ended.items() if is_rejection(name))
    failed = sum(ended.values()) - rejected
    return {"requests": sum(outcomes.values()), "rejected": rejected, "failed": failed}


def models_of(gateway: Gateway) -> list[dict[str, Any]]:
    """The models of the table; prices in USD per million tokens."""
    return [
        {
            "name": entry.name,
            "kind": entry.kind,
            "backend": entry.backend,
            "price_in": entry.prices[0],
            "price_out": entry.prices[1],
        }
        for entry in gateway.table.models.values()
    ]
