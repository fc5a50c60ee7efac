"""Gauges that are read when Prometheus scrapes: load, memory, circuit breakers, cache, budgets.

registry.register(LiveGauges(gateway, keys))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from llm_service.gateway.gateway import Gateway
from llm_service.store.keys import KeyStore

BREAKER_STATES = ("closed", "half_open", "open")
_MAX_BUDGETS = 50


class LiveGauges(Collector):
    """The gauges of one gateway. Prometheus scrapes in a thread, so lists are copied first."""

    def __init__(self, gateway: Gateway, keys: KeyStore) -> None:
        self._gateway = gateway
        self._keys = keys

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gateway = self._gateway
        yield from self._load()
        yield from self._memory()
        yield _gauge(
            "llm_upstream_state",
            "State of the circuit breaker: 0 closed, 1 half open, 2 open.",
            {s.name: BREAKER_STATES.index(s.breaker.state) for s in gateway.router.replicas()},
            "upstream",
        )
        yield _gauge("llm_cache_entries", "Number of answers in the cache.", len(gateway.cache))
        yield _gauge(
            "llm_cache_bytes", "Memory used by cached answers, in bytes.", gateway.cache.bytes
        )
        yield _gauge(
            "llm_accounting_pending",
            "Usage records waiting to be written to the database.",
            gateway.accounting.pending,
        )
        yield _gauge(
            "llm_accounting_failed_writes",
            "Failed writes of usage records since the start.",
            gateway.accounting.failed_writes,
        )
        yield _gauge(
            "llm_budget_used_ratio",
            "Share of a key's monthly budget that is spent (0 to 1).",
            dict(Counter(self.budgets()).most_common(_MAX_BUDGETS)),
            "key",
        )

    def budgets(self) -> dict[str, float]:
        """The spent share of each budget, of active keys and their teams."""
        shares: dict[str, float] = {}
        for key in self._keys.list():
            if key.revoked is None:
                shares |= self._gateway.admission.budgets.shares(key)
        return shares

    def _load(self) -> Iterator[GaugeMetricFamily]:
        running, waiting = Counter[str](), Counter[str]()  # of all replicas of a model
        for replica in self._gateway.router.replicas():
            running[replica.model] += replica.backend.load.running
            waiting[replica.model] += replica.backend.load.waiting
        yield _gauge(
            "llm_requests_running",
            "Requests being answered by a model or upstream.",
            running,
            "model",
        )
        yield _gauge(
            "llm_requests_waiting",
            "Requests waiting for a model or upstream.",
            waiting,
            "model",
        )
        yield _gauge(
            "llm_queue_depth",
            "Requests accepted but not answered yet: running and waiting.",
            running.total() + waiting.total(),
        )
        replicas = Counter(backend.name for backend in list(self._gateway.pool.local()))
        yield _gauge(
            "llm_queue_limit",
            "Maximum number of requests waiting for a model.",
            {name: n * self._gateway.config.max_queue for name, n in replicas.items()},
            "model",
        )

    def _memory(self) -> Iterator[GaugeMetricFamily]:
        memory = self._gateway.pool.memory()
        yield _gauge(
            "llm_model_loaded",
            "1 while a local model is loaded, else 0.",
            {model: float(size is not None) for model, size in memory.items()},
            "model",
        )
        yield _gauge(
            "llm_model_memory_bytes",
            "Memory used by a loaded local model, in bytes.",
            {model: size or 0 for model, size in memory.items()},
            "model",
        )


def _gauge(
    name: str, text: str, values: float | Mapping[str, float], label: str = ""
) -> GaugeMetricFamily:
    """A gauge with one value, or with one for each value of `label`."""
    if not isinstance(values, Mapping):
        return GaugeMetricFamily(name, text, value=values)
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
