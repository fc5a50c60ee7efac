"""What is counted, under which labels, and the rolling window that the status page shows."""

import itertools
import time
import timeit
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from llm_service.observe.last_minutes import Recent
from llm_service.observe.metrics import Metrics
from llm_service.request import Load


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


class Clock:
    def __init__(self):
        self.now = 10_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def registry():
    return CollectorRegistry(auto_describe=True)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def metrics(registry, clock):
    recent = Recent(clock=clock, now=lambda: datetime(2026, 11, 24, 12, 3, 10, tzinfo=UTC))
    made = Metrics(registry, recent)
    made.known_models(["smollm2", "big"])
    return made


def samples(registry):
    """{(name, labels): value} of everything that /metrics would show."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_request_counts_its_outcome_tokens_money_and_time(metrics, registry):
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


def test_money_and_tokens_of_each_model_start_at_nothing(metrics, registry):
    """Prometheus can't see the increase to a series' first value: a spend alert would miss it."""
    metrics.known_models(["big"])
    found = samples(registry)
    assert found["llm_cost_usd_total", "big"] == 0
    assert found["llm_tokens_total", "big", "input"] == 0


def test_what_a_client_typed_never_becomes_a_label(metrics, registry):
    for n in range(2000):
        metrics.request(
            Ended(model=f"evil-{n}", model_used="", outcome="not_found"), "Unknown model."
        )
        metrics.decision(f"check{n}:blocked")
    metrics.first_token("evil", 0.1)
    metrics.chunk_gap("evil", 0.1)
    metrics.attempt("evil")
    found = samples(registry)
    assert not [key for key in found if any("evil" in part for part in key)]
    assert found["llm_requests_total", "chat", "not_found", "other"] == 2000
    decided = [key for key in found if key[0] == "llm_guardrail_decisions_total"]
    assert len(decided) == 501
    assert found["llm_guardrail_decisions_total", "other", "other"] == 1500


def test_token_gaps_keep_their_number_and_their_sum(metrics, registry):
    for _ in range(98):
        metrics.chunk_gap("smollm2", 0.008)
    metrics.chunk_gap("smollm2", 0.4)
    metrics.chunk_gap("smollm2", 0.2, tokens=10)  # ten tokens at once: 0.02 s each
    found = samples(registry)
    assert found["llm_inter_token_seconds_count", "smollm2"] == 109
    assert found["llm_inter_token_seconds_sum", "smollm2"] == pytest.approx(98 * 0.008 + 0.6)
    assert found["llm_inter_token_seconds_bucket", "0.0075", "smollm2"] == 0
    assert found["llm_inter_token_seconds_bucket", "0.01", "smollm2"] == 98
    assert found["llm_inter_token_seconds_bucket", "0.02", "smollm2"] == 108
    assert found["llm_inter_token_seconds_bucket", "0.3", "smollm2"] == 108  # the stall is seen
    assert found["llm_inter_token_seconds_bucket", "+Inf", "smollm2"] == 109


def test_a_token_costs_next_to_nothing(metrics):
    """Bar: 2 µs a token. Held to 20 µs of processor time here, as other work shares the cores."""
    metrics.chunk_gap("smollm2", 0.01)
    costs = timeit.repeat(
        lambda: metrics.chunk_gap("smollm2", 0.01), timer=time.thread_time, number=2000, repeat=5
    )
    assert min(costs) / 2000 < 20e-6


def test_live_values_are_read_at_scrape_time(metrics, registry):
    load = {"smollm2": Load(running=3, waiting=2), "big": Load(running=1)}
    metrics.watch("load", lambda: load)
    metrics.watch("queue_limit", lambda: {"smollm2": 64})
    metrics.watch("cache", lambda: {"entries": 4, "bytes": 4096})
    metrics.watch("upstreams", lambda: {"big": 2})
    metrics.watch("accounting", lambda: {"pending": 7, "failed_writes": 1})
    metrics.watch("models", lambda: {"smollm2": 600_000_000, "tuned": None})
    metrics.watch("budgets", lambda: {f"key{n}": n / 100 for n in range(80)})
    load["smollm2"].waiting = 5
    found = samples(registry)
    assert found["llm_requests_running", "smollm2"] == 3
    assert found["llm_requests_waiting", "smollm2"] == 5
    assert found["llm_queue_depth",] == 9
    assert found["llm_queue_limit", "smollm2"] == 64
    assert found["llm_cache_entries",] == 4 and found["llm_cache_bytes",] == 4096
    assert found["llm_upstream_state", "big"] == 2
    assert found["llm_accounting_pending",] == 7
    assert found["llm_accounting_failed_writes",] == 1
    assert found["llm_model_loaded", "smollm2"] == 1 and found["llm_model_loaded", "tuned"] == 0
    assert found["llm_model_memory_bytes", "smollm2"] == 600_000_000
    budgets = {key[1]: value for key, value in found.items() if key[0] == "llm_budget_used_ratio"}
    assert len(budgets) == 50 and budgets["key79"] == 0.79 and "key29" not in budgets


def test_a_source_that_fails_does_not_take_the_scrape_with_it(metrics, registry):
    metrics.watch("load", lambda: 1 / 0)
    metrics.watch("cache", lambda: {"entries": 1, "bytes": 2})
    found = samples(registry)
    assert found["llm_cache_entries",] == 1
    assert ("llm_queue_depth",) not in found
    assert metrics.read("load") is None and metrics.read("upstreams") is None
    with pytest.raises(ValueError, match=r"'laod'.*load, queue_limit"):
        metrics.watch("laod", dict)


def test_the_window_forgets_and_the_wall_clock_does_not_matter(metrics, clock):
    metrics.request(Ended(seconds=4.0))
    clock.now += 600
    for seconds in [0.1] * 90 + [1.0] * 10:
        metrics.request(Ended(seconds=seconds, cost_usd=0.01))
    metrics.first_token("smollm2", 0.05)
    found = metrics.recent.summary()
    assert found["requests"] == 101 and found["tokens_out"] == 1010
    assert found["latency"]["p50"] == pytest.approx(0.1, rel=0.026)
    assert found["latency"]["p95"] == pytest.approx(1.0, rel=0.026)
    assert found["first_token"]["p99"] == pytest.approx(0.05, rel=0.026)
    clock.now += 301
    found = metrics.recent.summary()
    assert found["requests"] == 100
    assert found["latency"]["p99"] == pytest.approx(1.0, rel=0.026)
    clock.now += 900
    found = metrics.recent.summary()
    assert (found["requests"], found["latency"], found["first_token"]) == (0, None, None)


def test_series_have_one_value_for_each_whole_slot(metrics, clock):
    metrics.request(Ended(completion_tokens=50))
    metrics.request(Ended(completion_tokens=50))
    clock.now += 5
    metrics.request(Ended())
    series = metrics.recent.summary()["series"]
    assert len(series["requests_per_second"]) == 180
    assert series["requests_per_second"][-2:] == [0.0, 0.4]
    assert series["tokens_per_second"][-1] == 20.0


def test_the_pace_of_a_server_just_started_is_not_diluted(metrics, clock):
    clock.now += 2
    for _ in range(10):
        metrics.request(Ended())
    assert metrics.recent.summary()["now"]["requests_per_second"] == 5.0


def test_errors_are_kept_redacted_cut_and_together(metrics):
    for n in range(30):
        metrics.request(Ended(request_id=f"a{n}", outcome="busy"), "64 requests wait.")
    metrics.request(
        Ended(request_id="b", outcome="unavailable"),
        "Key sk-proj-abcdefghijklmnopqrstuvwx0123456789 of jane@example.org: " + "x" * 900,
    )
    metrics.request(Ended(request_id="c", outcome="cancelled"))
    busy, other = metrics.recent.errors
    assert (busy.count, busy.request_id, busy.at) == (30, "a29", "2026-11-24T12:03:10Z")
    assert "abcdefghijkl" not in other.message and "jane@" not in other.message
    assert len(other.message) == 300
    assert metrics.recent.summary()["errors"] == 31


def test_memory_stays_bounded_under_endless_traffic(metrics, clock):
    durations = itertools.cycle(1.07**n / 1000 for n in range(300))
    for n in range(5000):
        clock.now += 1
        metrics.request(Ended(outcome="ok" if n % 2 else f"kind{n}", seconds=next(durations)), "?")
    assert len(metrics.recent._slots) <= 180
    assert len(metrics.recent.errors) == 50


def test_two_services_in_one_registry_are_refused(metrics, registry):
    assert metrics.recent.summary()["requests"] == 0
    with pytest.raises(ValueError, match="llm_inter_token_seconds"):
        Metrics(registry)
