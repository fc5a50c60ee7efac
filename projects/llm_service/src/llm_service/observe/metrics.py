"""The Prometheus metrics of llm_service (`llm_*`), and the last errors for the status page.

    metrics = Metrics(CollectorRegistry())
    metrics.request(record)

The gateway calls a method where something happens; gauges that are read at scrape time are in
`web.live_gauges`. All labels come from bounded sets: a model name that is not in the table counts
as "other", so no client can create time series.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from llm_service.observe.recent_errors import RecentErrors

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from llm_service.store.accounting import Record

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 5, 10, 20, 30, 60, 120, 300)
_OVERHEAD = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.5)
_TOKEN_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05),
    *(0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0),
)
_MAX_SERIES = 500
_OTHER = "other"


class _Children:
    """A labelled metric whose children are looked up once: `children(model, kind).inc()`."""

    def __init__(self, metric: Any, max_series: int = _MAX_SERIES) -> None:
        self._metric = metric
        self._max_series = max_series
        self._children: dict[tuple[str, ...], Any] = {}

    def __call__(self, *labels: str) -> Any:
        child = self._children.get(labels)
        if child is None:
            if len(self._children) >= self._max_series:
                labels = (_OTHER,) * len(labels)
            child = self._children[labels] = self._metric.labels(*labels)
        return child


class Metrics:
    """What the service counts. Call it from the event loop; `default` is the process's own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        from prometheus_client import REGISTRY

        self.registry = registry or REGISTRY
        self.errors = RecentErrors()
        self._models: frozenset[str] = frozenset()
        self._add_histograms()
        self._add_counters()

    def _add_histograms(self) -> None:
        from prometheus_client import Histogram

        def histogram(name: str, text: str, buckets: Any, *labels: str) -> Any:
            metric = Histogram(name, text, labels, buckets=buckets, registry=self.registry)
            return _Children(metric) if labels else metric

        self._seconds = histogram(
            "llm_request_seconds",
            "Duration of successful requests, in seconds.",
            _SECONDS,
            *("model", "kind"),
        )
        self._first_token = histogram(
            "llm_first_token_seconds",
            "Time to the first token of a stream, in seconds.",
            _SECONDS,
            "model",
        )
        self._token_seconds = histogram(
            "llm_inter_token_seconds",
            "Mean time per token of a stream after its first chunk, in seconds.",
            _TOKEN_SECONDS,
            "model",
        )
        self._overhead = histogram(
            "llm_overhead_seconds",
            "Time a request spent in the service itself, in seconds.",
            _OVERHEAD,
        )

    def _add_counters(self) -> None:
        from prometheus_client import Counter

        def counter(name: str, text: str, *labels: str) -> _Children:
            return _Children(Counter(name, text, labels, registry=self.registry))

        self._requests = counter(
            "llm_requests_total", "Finished requests by outcome.", "model", "kind", "outcome"
        )
        # Cached tokens are a part of the input's.
        self._tokens = counter(
            "llm_tokens_total",
            "Tokens by direction (input, output or cached).",
            *("model", "direction"),
        )
        self._cost = counter("llm_cost_usd_total", "Cost of answers in USD.", "model")
        self._cache = counter("llm_cache_results_total", "Cache lookups by result.", "result")
        self._decisions = counter(
            "llm_guardrail_decisions_total",
            "Guardrail decisions by check and action.",
            *("check", "action"),
        )
        self._refused = counter(
            "llm_refused_total", "Rejected requests by the limit that was reached.", "reason"
        )
        self._attempts = counter(
            "llm_upstream_attempts_total",
            "Attempts by upstream and outcome.",
            *("upstream", "outcome"),
        )
        self._retries = counter("llm_retries_total", "Retried attempts by upstream.", "upstream")
        self._fallbacks = counter(
            "llm_fallbacks_total", "Requests passed on to a fallback.", "model", "to"
        )
        self._feedback = counter(
            "llm_feedback_total", "Ratings of answers: up, down or score.", "rating"
        )

    def set_models(self, names: Iterable[str]) -> None:
        """Only these become labels: every name in the table, including routes and aliases."""
        self._models = frozenset(names)
        # Start at 0: Prometheus cannot see the increase to the first value of a series.
        for name in self._models:
            self._cost(name)
            for direction in ("input", "output", "cached"):
                self._tokens(name, direction)

    def request(self, record: Record, message: str = "") -> None:
        """Count a request that has ended; `message` is the text of an error."""
        model, ok = self._label(record.model_used or record.model), record.outcome == "ok"
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
        if not ok and record.outcome != "cancelled":
            self.errors.add(record.request_id, record.model[:100], record.outcome, message)

    def first_token(self, model: str, seconds: float) -> None:
        """The first token of a stream came `seconds` after the request."""
        self._first_token(self._label(model)).observe(seconds)

    def time_per_token(self, model: str, seconds: float) -> None:
        """The mean time per token of a stream that has ended, after its first chunk."""
        self._token_seconds(self._label(model)).observe(seconds)

    def overhead(self, seconds: float) -> None:
        self._overhead.observe(seconds)

    def decision(self, name: str) -> None:
        """A guardrail's decision, `CHECK:ACTION`, as in `Facts.decisions`."""
        check, _, action = name.partition(":")
        self._decisions(check, action or "flagged").inc()

    def refused(self, reason: str) -> None:
        """A limit refused a request: requests, tokens, concurrency, budget, queue, accounting."""
        self._refused(reason).inc()

    def attempt(self, upstream: str, outcome: str = "ok") -> None:
        """An attempt has ended; `outcome` is "ok", "cancelled" or the type of the error."""
        self._attempts(self._label(upstream), outcome).inc()

    def retry(self, upstream: str) -> None:
        self._retries(self._label(upstream)).inc()

    def fallback(self, model: str, to: str) -> None:
        """A request for `model` was passed on to `to` after an error."""
        self._fallbacks(self._label(model), self._label(to)).inc()

    def feedback(self, rating: str) -> None:
        """An answer was rated: "up", "down", or "score"."""
        self._feedback(rating).inc()

    def _label(self, name: str) -> str:
        return name if name in self._models else _OTHER


@cache
def default() -> Metrics:
    """The process's metrics, in the registry that /metrics serves; created at the first call."""
    return Metrics()
