"""The Prometheus metrics of llm_service (`llm_*`), and the rolling window of the status page.

It knows no gateway: that calls a method where something happens, and registers callables for what
is read at scrape time. Every label comes from a bounded set; a model name that is not of the table
counts as "other", so no client can make time series. Call it from the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from llm_service.observe.collectors import Live, TokenGaps
from llm_service.observe.last_minutes import Recent

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from llm_service.store.accounting import Record

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 5, 10, 20, 30, 60, 120, 300)
_OVERHEAD = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.5)
_MOST_SERIES = 500
_OTHER = "other"


class _Children:
    """A labelled metric whose children are looked up once: `children(model, kind).inc()`."""

    def __init__(self, metric: Any, most: int = _MOST_SERIES) -> None:
        self._metric = metric
        self._most = most
        self._made: dict[tuple[str, ...], Any] = {}

    def __call__(self, *labels: str) -> Any:
        child = self._made.get(labels)
        if child is None:
            if len(self._made) >= self._most:
                labels = (_OTHER,) * len(labels)
            child = self._made[labels] = self._metric.labels(*labels)
        return child


class Metrics:
    """What the service counts. Two of them need registries of their own; see `default`."""

    def __init__(
        self, registry: CollectorRegistry | None = None, recent: Recent | None = None
    ) -> None:
        from prometheus_client import REGISTRY

        registry = registry or REGISTRY
        self.recent = recent or Recent()
        self._models: frozenset[str] = frozenset()
        self._gaps, self._live = TokenGaps(), Live()
        registry.register(self._gaps)
        registry.register(self._live)
        self._add_histograms(registry)
        self._add_counters(registry)

    def _add_histograms(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Histogram

        def histogram(name: str, text: str, buckets: Any, *labels: str) -> Any:
            made = Histogram(name, text, labels, buckets=buckets, registry=registry)
            return _Children(made) if labels else made

        self._seconds = histogram(
            "llm_request_seconds",
            "Duration of successful requests, in seconds.",
            _SECONDS,
            "model",
            "kind",
        )
        self._first = histogram(
            "llm_first_token_seconds",
            "Time to the first token of a stream, in seconds.",
            _SECONDS,
            "model",
        )
        self._overhead = histogram(
            "llm_overhead_seconds",
            "Time a request spent in the service itself, in seconds.",
            _OVERHEAD,
        )

    def _add_counters(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter

        def counter(name: str, text: str, *labels: str) -> _Children:
            return _Children(Counter(name, text, labels, registry=registry))

        self._requests = counter(
            "llm_requests_total", "Finished requests by outcome.", "model", "kind", "outcome"
        )
        # Cached tokens are a part of the input's.
        self._tokens = counter(
            "llm_tokens_total",
            "Tokens by direction (input, output or cached).",
            "model",
            "direction",
        )
        self._cost = counter("llm_cost_usd_total", "Cost of answers in USD.", "model")
        self._cache = counter("llm_cache_results_total", "Cache lookups by result.", "result")
        self._decisions = counter(
            "llm_guardrail_decisions_total",
            "Guardrail decisions by check and action.",
            "check",
            "action",
        )
        self._refused = counter(
            "llm_refused_total", "Rejected requests by the limit that was reached.", "reason"
        )
        self._attempts = counter(
            "llm_upstream_attempts_total",
            "Attempts by upstream and outcome.",
            "upstream",
            "outcome",
        )
        self._retries = counter("llm_retries_total", "Retried attempts by upstream.", "upstream")
        self._fallbacks = counter(
            "llm_fallbacks_total", "Requests passed on to a fallback.", "model", "to"
        )
        self._feedback = counter(
            "llm_feedback_total", "Ratings of answers: up, down or score.", "rating"
        )

    def known_models(self, names: Iterable[str]) -> None:
        """Only these become labels: every name of the table, routes and aliases included."""
        self._models = frozenset(names)
        # From 0 on: Prometheus can't see the increase to a series' first value.
        for name in self._models:
            self._cost(name)
            for direction in ("input", "output", "cached"):
                self._tokens(name, direction)

    def watch(self, name: str, source: Callable[[], Any]) -> None:
        """Read `source()` at each scrape, and for the page. The last one given a name counts.

        "load": {model: Load} · "queue_limit": {model: int} · "cache": {"entries", "bytes"} ·
        "upstreams": {name: 0 closed, 1 half open, 2 open} · "accounting": {"pending",
        "failed_writes"} · "models": {local model: bytes, or None while not loaded} ·
        "budgets": {key name: spent share of its budget}. It must be quick, and safe in a thread.
        """
        self._live.watch(name, source)

    def read(self, name: str) -> Any:
        """What a watched callable says now; None if there is none or it failed."""
        return self._live.read(name)

    def request(self, record: Record, message: str = "", *, rejected: bool = False) -> None:
        """A request ended, well or not; `message` is an error's text, shown on the page.
        `rejected`: the error is due to the request or a limit.

        Its time to the first token is told by `first_token`, its decisions by `decision`.
        """
        model, ok = self._known(record.model_used or record.model), record.outcome == "ok"
        self._requests(model, record.kind, record.outcome).inc()
        if ok:
            self._seconds(model, record.kind).observe(record.seconds)
        self._tokens(model, "input").inc(record.prompt_tokens)
        self._tokens(model, "output").inc(record.completion_tokens)
        if record.cached_tokens:
            self._tokens(model, "cached").inc(record.cached_tokens)
        if record.cost_usd:
            self._cost(model).inc(record.cost_usd)
        if record.cache:
            self._cache(record.cache).inc()
        self.recent.request(
            record.seconds if ok else None,
            record.prompt_tokens,
            record.completion_tokens,
            record.cost_usd,
            record.cache,
        )
        if not ok and record.outcome != "cancelled":
            asked = record.model if record.model in self._models else record.model[:100]
            self.recent.error(record.request_id, asked, record.outcome, message, rejected=rejected)

    def first_token(self, model: str, seconds: float) -> None:
        """The first token came `seconds` after the request did."""
        self._first(self._known(model)).observe(seconds)
        self.recent.first_token(seconds)

    def chunk_gap(self, model: str, seconds: float, tokens: int = 1) -> None:
        """`tokens` (at least 1) came together, `seconds` after the ones before them."""
        self._gaps.observe(model if model in self._models else _OTHER, seconds, tokens)

    def overhead(self, seconds: float) -> None:
        self._overhead.observe(seconds)

    def decision(self, name: str) -> None:
        """A guardrail decided `CHECK:ACTION`, as in `Facts.decisions`."""
        check, _, action = name.partition(":")
        self._decisions(check, action or "flagged").inc()
        self.recent.decision(name)

    def refused(self, reason: str) -> None:
        """A limit refused a request: requests, tokens, concurrency, budget, queue, accounting."""
        self._refused(reason).inc()
        self.recent.refused(reason)

    def attempt(self, upstream: str, outcome: str = "ok", *, rejected: bool = False) -> None:
        """A target was tried; `outcome` is "ok", "cancelled" or an error's type.

        A request that was rejected as wrong, or because the queue was full, is not a failure.
        """
        known = self._known(upstream)
        self._attempts(known, outcome).inc()
        self.recent.attempt(known, not rejected and outcome not in ("ok", "cancelled", "busy"))

    def retry(self, upstream: str) -> None:
        self._retries(self._known(upstream)).inc()

    def fallback(self, model: str, to: str) -> None:
        """A request for `model` goes on to `to`, because what it was sent to failed."""
        self._fallbacks(self._known(model), self._known(to)).inc()

    def feedback(self, rating: str) -> None:
        """An answer was rated: "up", "down", or "score"."""
        self._feedback(rating).inc()

    def _known(self, name: str) -> str:
        return name if name in self._models else _OTHER


@cache
def default() -> Metrics:
    """The process's metrics, in the registry that /metrics serves; made at the first call."""
    return Metrics()
