"""Prometheus collectors of llm_service that prometheus_client has no type for.

`TokenGaps` is a histogram cheap enough for every token; `Live` asks, at scrape time, the callables
that the gateway registered. Neither knows a gateway or a model.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logging.getLogger("llm_service.observe.metrics")

GAP_BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05),
    *(0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0),
)


class TokenGaps:
    """Seconds between tokens, per model: a list of counts, written by the event loop alone.

    A library histogram takes a lock and walks its buckets; here an observation is one bisection,
    some 0.4 µs, so every token can be counted and a stall within a good average still shows.
    """

    def __init__(self) -> None:
        self._counts: dict[str, list[float]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, model: str, seconds: float, tokens: int = 1) -> None:
        """`tokens` came together, `seconds` after the ones before: each took its share."""
        try:
            counts = self._counts[model]
        except KeyError:
            counts = self._counts[model] = [0.0] * (len(GAP_BUCKETS) + 1)
            self._sums[model] = 0.0
        counts[bisect_left(GAP_BUCKETS, seconds / tokens)] += tokens
        self._sums[model] += seconds

    def describe(self) -> Iterator[Metric]:
        from prometheus_client.core import HistogramMetricFamily

        yield HistogramMetricFamily(
            "llm_inter_token_seconds",
            "Time between two tokens of a stream, in seconds.",
            labels=("model",),
        )

    def collect(self) -> Iterator[Metric]:
        family: Any = next(self.describe())
        for model, counts in list(self._counts.items()):
            total, buckets = 0.0, []
            for bound, count in zip((*map(str, GAP_BUCKETS), "+Inf"), counts.copy(), strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric([model], buckets, self._sums[model])
        yield family


Source = Callable[[], Any]
# Each watched name: what its callable returns, and the gauges made of it as (metric, labels, help).
_WATCHED: dict[str, list[tuple[str, tuple[str, ...], str]]] = {
    "load": [
        ("llm_requests_running", ("model",), "Requests being answered by a model or upstream."),
        ("llm_requests_waiting", ("model",), "Requests waiting for a model or upstream."),
        ("llm_queue_depth", (), "Requests accepted but not answered yet: running and waiting."),
    ],
    "queue_limit": [
        ("llm_queue_limit", ("model",), "Maximum number of requests waiting for a model.")
    ],
    "cache": [
        ("llm_cache_entries", (), "Number of answers in the cache."),
        ("llm_cache_bytes", (), "Memory used by cached answers, in bytes."),
    ],
    "upstreams": [
        (
            "llm_upstream_state",
            ("upstream",),
            "State of the circuit breaker: 0 closed, 1 half open, 2 open.",
        )
    ],
    "accounting": [
        ("llm_accounting_pending", (), "Usage records waiting to be written to the database."),
        ("llm_accounting_failed_writes", (), "Failed writes of usage records since the start."),
    ],
    "models": [
        ("llm_model_loaded", ("model",), "1 while a local model is loaded, else 0."),
        ("llm_model_memory_bytes", ("model",), "Memory used by a loaded local model, in bytes."),
    ],
    "budgets": [
        (
            "llm_budget_used_ratio",
            ("key",),
            "Share of a key's monthly budget that is spent (0 to 1).",
        )
    ],
}
_MOST_KEYS = 50


class Live:
    """Gauges read at scrape time from callables; one that fails is left out, the rest is served."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def watch(self, name: str, source: Source) -> None:
        if name not in _WATCHED:
            raise ValueError(f"Unknown source {name!r}. Available: {', '.join(_WATCHED)}.")
        self._sources[name] = source

    def read(self, name: str) -> Any:
        """What the callable says now; None if there is none or it failed."""
        source = self._sources.get(name)
        if source is None:
            return None
        try:
            return source()
        except Exception as error:
            log.warning("Cannot read %s for the metrics: %s", name, error)
            return None

    def describe(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        for family in _WATCHED.values():
            for name, labels, text in family:
                yield GaugeMetricFamily(name, text, labels=labels)

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Any] = {family.name: family for family in self.describe()}
        for name in _WATCHED:
            found = self.read(name)
            if found is not None:
                for metric, labels, value in _samples(name, found):
                    families[metric].add_metric(labels, float(value))
        yield from (family for family in families.values() if family.samples)


def _samples(name: str, found: Any) -> Iterator[tuple[str, list[str], float]]:
    """(metric, label values, value) of what the callable `name` returned."""
    if name == "load":
        for model, load in found.items():
            yield "llm_requests_running", [model], load.running
            yield "llm_requests_waiting", [model], load.waiting
        yield "llm_queue_depth", [], sum(load.running + load.waiting for load in found.values())
    elif name == "queue_limit":
        yield from (("llm_queue_limit", [model], most) for model, most in found.items())
    elif name == "upstreams":
        yield from (("llm_upstream_state", [known], state) for known, state in found.items())
    elif name == "budgets":
        first = sorted(found.items(), key=lambda item: -item[1])[:_MOST_KEYS]
        yield from (("llm_budget_used_ratio", [key], ratio) for key, ratio in first)
    elif name == "models":
        for model, memory in found.items():
            yield "llm_model_loaded", [model], memory is not None
            yield "llm_model_memory_bytes", [model], memory or 0
    else:
        yield from _plain(f"llm_{name}_", found)


def _plain(prefix: str, found: Mapping[str, float]) -> Iterator[tuple[str, list[str], float]]:
    yield from ((prefix + key, [], value) for key, value in found.items())
