"""The Prometheus metrics of llm_service (`llm_*`).

    metrics = Metrics(CollectorRegistry())
    metrics.record(record, facts)

Gauges that are read at scrape time are in `web.live_gauges`. All labels come from bounded sets: a
model name that is not in the table counts as "other", so no client can create time series.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

if TYPE_CHECKING:
    from llm_service.request import Facts
    from llm_service.store.accounting import Record

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 5, 10, 20, 30, 60, 120, 300)
_OVERHEAD = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.5)
_TOKEN_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05),
    *(0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0),
)


class Metrics:
    """What the service counts; `default` is the process's own."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self._models: frozenset[str] = frozenset()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=tuple(buckets), registry=registry)

        self._requests = counter(
            "llm_requests_total", "Finished requests by outcome.", "model", "kind", "outcome"
        )
        self._seconds = histogram(
            "llm_request_seconds", "Duration of successful requests.", _SECONDS, "model", "kind"
        )
        self._first_token = histogram(
            "llm_first_token_seconds", "Time to the first token of a stream.", _SECONDS, "model"
        )
        self._token_seconds = histogram(
            "llm_inter_token_seconds",
            "Mean time per token of a stream after its first chunk.",
            *(_TOKEN_SECONDS, "model"),
        )
        self._overhead = histogram(
            "llm_overhead_seconds", "Time a request spent in the service itself.", _OVERHEAD
        )
        # Cached tokens are a part of the input's.
        self._tokens = counter(
            "llm_tokens_total", "Tokens: input, output or cached.", "model", "direction"
        )
        self._cost = counter("llm_cost_usd_total", "Cost of answers in USD.", "model")
        self._cache = counter("llm_cache_results_total", "Cache lookups by result.", "result")
        self._decisions = counter(
            "llm_guardrail_decisions_total", "Decisions of guardrails.", "check", "action"
        )
        self._refused = counter("llm_refused_total", "Requests above a limit.", "reason")
        self._attempts = counter(
            "llm_upstream_attempts_total", "Attempts by outcome.", "upstream", "outcome"
        )
        self._retries = counter("llm_retries_total", "Retried attempts.", "upstream")
        self._fallbacks = counter(
            "llm_fallbacks_total", "Requests passed on to a fallback.", "model", "to"
        )
        self._feedback = counter("llm_feedback_total", "Ratings: up, down or score.", "rating")

    def set_models(self, names: Iterable[str]) -> None:
        """Only these become labels: every name in the table, including routes."""
        self._models = frozenset(names)
        # Start at 0: Prometheus cannot see the increase to the first value of a series.
        for name in self._models:
            self._cost.labels(name)
            for direction in ("input", "output", "cached"):
                self._tokens.labels(name, direction)

    def record(
        self, record: Record, facts: Facts, overhead: float = 0.0, limit: str | None = None
    ) -> None:
        """Count a request that has ended, with its attempts and the decisions of guardrails.

        `overhead` is the time in seconds that an answer spent in the service itself; `limit` is the
        one that refused the request: requests, tokens, concurrency, budget or queue.
        """
        model = self._label(record.model_used or record.model)
        self._requests.labels(model, record.kind, record.outcome).inc()
        if record.outcome == "ok":
            self._seconds.labels(model, record.kind).observe(record.seconds)
        if record.first_token is not None:
            self._overhead.observe(overhead)
            if record.stream:
                self._first_token.labels(model).observe(record.first_token)
        self._tokens.labels(model, "input").inc(record.prompt_tokens)
        self._tokens.labels(model, "output").inc(record.completion_tokens)
        self._tokens.labels(model, "cached").inc(record.cached_tokens)
        self._cost.labels(model).inc(record.cost_usd)
        if record.cache:
            self._cache.labels(record.cache).inc()
        if limit is not None:
            self._refused.labels(limit).inc()
        for decision in facts.decisions:
            check, action = decision.split(":")[:2]
            self._decisions.labels(check, action).inc()
        self._record_attempts(record, facts)

    def time_per_token(self, model: str, seconds: float) -> None:
        """The mean time per token of a stream that has ended, after its first chunk."""
        self._token_seconds.labels(self._label(model)).observe(seconds)

    def feedback(self, rating: str) -> None:
        """An answer was rated: "up", "down", or "score"."""
        self._feedback.labels(rating).inc()

    def _record_attempts(self, record: Record, facts: Facts) -> None:
        for model, outcome in facts.failed:
            self._attempts.labels(self._label(model), outcome).inc()
        if facts.attempts > len(facts.failed):
            model = facts.model_used or record.model
            self._attempts.labels(self._label(model), record.outcome).inc()
        for (before, _), (model, _) in pairwise([*facts.failed, (facts.model_used, "")]):
            if before == model:
                self._retries.labels(self._label(model)).inc()
            elif model:
                self._fallbacks.labels(self._label(before), self._label(model)).inc()

    def _label(self, name: str) -> str:
        return name if name in self._models else "other"


@cache
def default() -> Metrics:
    """The process's metrics, in the registry that /metrics serves; created at the first call."""
    return Metrics()
