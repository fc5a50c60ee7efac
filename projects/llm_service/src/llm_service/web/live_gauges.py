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

_BREAKER_STATES = ("closed", "half_open", "open")
_MAX_BUDGETS = 50
_HELP = {
    "llm_requests_running": "Requests being answered by a model or upstream.",
    "llm_requests_waiting": "Requests waiting for a model or upstream.",
    "llm_queue_depth": "Requests accepted but not answered yet: running and waiting.",
    "llm_queue_limit": "Maximum number of requests waiting for a model.",
    "llm_model_loaded": "1 while a local model is loaded, else 0.",
    "llm_model_memory_bytes": "Memory used by a loaded local model, in bytes.",
    "llm_upstream_state": "State of the circuit breaker: 0 closed, 1 half open, 2 open.",
    "llm_cache_entries": "Number of answers in the cache.",
    "llm_cache_bytes": "Memory used by cached answers, in bytes.",
    "llm_accounting_pending": "Usage records waiting to be written to the database.",
    "llm_accounting_failed_writes": "Failed writes of usage records since the start.",
    "llm_budget_used_ratio": "Share of a key's monthly budget that is spent (0 to 1).",
}


class LiveGauges(Collector):
    """The gauges of one gateway. Prometheus scrapes in a thread, so lists are copied first."""

    def __init__(self, gateway: Gateway, keys: KeyStore) -> None:
        self._gateway = gateway
        self._keys = keys

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gateway, replicas = self._gateway, self._gateway.router.replicas()
        running = {replica.model: replica.backend.load.running for replica in replicas}
        waiting = {replica.model: replica.backend.load.waiting for replica in replicas}
        memory = gateway.pool.memory()
        limits = {backend.name: gateway.config.max_queue for backend in list(gateway.pool.local())}
        states = {r.model: _BREAKER_STATES.index(r.breaker.state) for r in replicas}
        yield _gauge("llm_requests_running", running, "model")
        yield _gauge("llm_requests_waiting", waiting, "model")
        yield _gauge("llm_queue_depth", sum(running.values()) + sum(waiting.values()))
        yield _gauge("llm_queue_limit", limits, "model")
        yield _gauge(
            "llm_model_loaded", {m: size is not None for m, size in memory.items()}, "model"
        )
        yield _gauge("llm_model_memory_bytes", {m: b or 0 for m, b in memory.items()}, "model")
        yield _gauge("llm_upstream_state", states, "upstream")
        yield _gauge("llm_cache_entries", len(gateway.cache))
        yield _gauge("llm_cache_bytes", gateway.cache.bytes)
        yield _gauge("llm_accounting_pending", gateway.accounting.pending)
        yield _gauge("llm_accounting_failed_writes", gateway.accounting.failed_writes)
        budgets = dict(Counter(self._budgets()).most_common(_MAX_BUDGETS))
        yield _gauge("llm_budget_used_ratio", budgets, "key")

    def _budgets(self) -> dict[str, float]:
        """The spent share of each budget, of active keys and their teams."""
        shares: dict[str, float] = {}
        for key in self._keys.list():
            if key.revoked is None:
                shares |= self._gateway.admission.budgets.shares(key)
        return shares


def _gauge(name: str, values: float | Mapping[str, float], label: str = "") -> GaugeMetricFamily:
    """A gauge with one value, or with one for each value of `label`."""
    if not isinstance(values, Mapping):
        return GaugeMetricFamily(name, _HELP[name], value=values)
    family = GaugeMetricFamily(name, _HELP[name], labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
