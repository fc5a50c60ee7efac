"""What is counted, under which labels; the last errors; percentiles of the status."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from llm_service.observe.metrics import Metrics
from llm_service.observe.recent_errors import RecentErrors
from llm_service.web.status import Samples


@dataclass
class Ended:
    """The fields of an accounting record that the metrics read."""

    request_id: str = "r1"
    model: str = "smollm2"
    model_used: str = "smollm2"
    kind: str = "chat"
    outcome: str = "ok"
    seconds: float = 0.5
    prompt_tokens: int = 20
    completion_tokens: int = 10
    cached_tokens: int = 0
    cost_usd: float = 0.25
    cache: str = ""


@pytest.fixture
def registry():
    return CollectorRegistry(auto_describe=True)


@pytest.fixture
def metrics(registry):
    metrics = Metrics(registry)
    metrics.set_models(["smollm2", "big"])
    return metrics


def samples(registry):
    """{(name, labels): value} of everything that /metrics would show."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_request_counts_outcome_tokens_cost_and_duration(metrics, registry):
    metrics.request(Ended(cached_tokens=5, cache="miss"))
    metrics.request(Ended(outcome="busy", seconds=0.001, cost_usd=0, completion_tokens=0), "Full.")
    found = samples(registry)
    assert found["llm_requests_total", "chat", "ok", "smollm2"] == 1
    assert found["llm_requests_total", "busy", "chat", "smollm2"] == 1
    assert found["llm_tokens_total", "input", "smollm2"] == 40
    assert found["llm_tokens_total", "output", "smollm2"] == 10
    assert found["llm_tokens_total", "cached", "smollm2"] == 5
    assert found["llm_cost_usd_total", "smollm2"] == 0.25
    assert found["llm_cache_results_total", "miss"] == 1
    # A refusal in a millisecond must not make the answers look fast.
    assert found["llm_request_seconds_count", "chat", "smollm2"] == 1


def test_cost_and_tokens_of_each_model_start_at_zero(metrics, registry):
    """Prometheus can't see the increase to a series' first value: a spend alert would miss it."""
    metrics.set_models(["big"])
    found = samples(registry)
    assert found["llm_cost_usd_total", "big"] == 0
    assert found["llm_tokens_total", "big", "input"] == 0


def test_text_of_a_client_never_becomes_a_label(metrics, registry):
    for n in range(2000):
        metrics.request(
            Ended(model=f"evil-{n}", model_used="", outcome="not_found"), "Unknown model."
        )
        metrics.decision(f"check{n}:blocked")
    metrics.first_token("evil", 0.1)
    metrics.time_per_token("evil", 0.1)
    metrics.attempt("evil")
    found = samples(registry)
    assert not [key for key in found if any("evil" in part for part in key)]
    assert found["llm_requests_total", "chat", "not_found", "other"] == 2000
    decided = [key for key in found if key[0] == "llm_guardrail_decisions_total"]
    assert len(decided) == 501
    assert found["llm_guardrail_decisions_total", "other", "other"] == 1500


def test_quantiles_are_within_their_bucket_over_all_models(metrics, registry):
    assert Samples(registry).quantiles("llm_request_seconds") is None
    for seconds in [0.15] * 90 + [1.0] * 10:
        metrics.request(Ended(seconds=seconds))
    metrics.request(Ended(model_used="big", seconds=0.15))
    quantiles = Samples(registry).quantiles("llm_request_seconds")
    assert 0.1 < quantiles["p50"] <= 0.2 and 0.8 < quantiles["p95"] <= quantiles["p99"] <= 1.5


def test_recent_errors_are_redacted_cut_and_counted(metrics):
    errors = metrics.errors = RecentErrors(lambda: datetime(2026, 11, 24, 12, 3, 10, tzinfo=UTC))
    for n in range(30):
        metrics.request(Ended(request_id=f"a{n}", outcome="busy"), "The queue is full.")
    metrics.request(
        Ended(request_id="b", outcome="unavailable"),
        "Key sk-proj-abcdefghijklmnopqrstuvwx0123456789 of jane@example.org: " + "x" * 900,
    )
    metrics.request(Ended(request_id="c", outcome="cancelled"))
    busy, other = errors.list()
    assert (busy.count, busy.request_id, busy.at) == (30, "a29", "2026-11-24T12:03:10Z")
    assert "abcdefghijkl" not in other.message and "jane@" not in other.message
    assert len(other.message) == 300
    for n in range(200):
        errors.add("r", "m", "busy", f"error {n}")
    assert len(errors.list()) == 50


@pytest.mark.usefixtures("metrics")
def test_second_metrics_in_one_registry_are_rejected(registry):
    with pytest.raises(ValueError, match="llm_request_seconds"):
        Metrics(registry)
