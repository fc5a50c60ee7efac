"""What is counted, and under which labels."""

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from llm_service.observe.metrics import Metrics
from llm_service.request import Facts
from llm_service.store.accounting import Record


def ended(**fields):
    about = {"model": "smollm2", "model_used": "smollm2", "seconds": 0.5, "cost_usd": 0.25}
    about |= {"prompt_tokens": 20, "completion_tokens": 10, **fields}
    return Record("r", "chatcmpl-1", datetime.now(UTC), "k", **about)


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
    metrics.record(ended(cached_tokens=5, cache="miss"), Facts())
    busy = ended(outcome="busy", seconds=0.001, cost_usd=0, completion_tokens=0)
    metrics.record(busy, Facts(), limit="queue")
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
    for n in range(20):
        record = ended(model=f"evil-{n}", model_used="", outcome="not_found")
        metrics.record(record, Facts(failed=[("evil", "unavailable")], attempts=1))
    metrics.record(ended(model_used="evil", stream=True, first_token=0.1), Facts())
    metrics.time_per_token("evil", 0.1)
    found = samples(registry)
    assert not [key for key in found if any("evil" in part for part in key)]
    assert found["llm_requests_total", "chat", "not_found", "other"] == 20


def test_attempts_retries_and_fallbacks_are_counted(metrics, registry):
    failed = [("smollm2", "unavailable"), ("smollm2", "timeout")]
    facts = Facts(failed=failed, attempts=3, model_used="big", decisions=["pii_in:redacted:2"])
    metrics.record(ended(model_used="big"), facts)
    found = samples(registry)
    assert found["llm_upstream_attempts_total", "smollm2", "unavailable"] == 1
    assert found["llm_upstream_attempts_total", "big", "ok"] == 1
    assert found["llm_retries_total", "smollm2"] == 1
    assert found["llm_fallbacks_total", "big", "smollm2"] == 1
    assert found["llm_guardrail_decisions_total", "pii_in", "redacted"] == 1
