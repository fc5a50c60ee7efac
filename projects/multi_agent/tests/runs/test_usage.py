"""What a run has spent, as its record has it."""

import time

from multi_agent.runs.ledger import Ledger


def test_usage_is_the_sum_of_model_calls_and_events(store):
    run, other = store.create("task").id, store.create("task").id
    ledger = Ledger(store, run)
    for _ in range(2):  # two processes make the same call
        ledger.add_reply("a-1", "planner", "Plan.", {"tokens": 10, "usd": 0.1}, {"content": "…"})
    ledger.add_reply("b-1-failed-0", "analyst", "SQL?", {"tokens": 5, "usd": 0.02}, None)
    Ledger(store, other).add_reply("a-1", "planner", "Plan.", {"tokens": 99, "usd": 9.0}, {})
    for kind in ("step_started", "tool_started", "step_ended", "step_started", "step_ended"):
        store.add_event(run, kind, "s2")  # planned again after the first end
    store.add_event(run, "step_started", "s3")
    usage = ledger.usage()
    assert (usage["tokens"], round(usage["usd"], 9)) == (15, 0.12)
    assert (usage["steps"], usage["tool_calls"]) == (2, 1)


def test_seconds_without_a_process_do_not_count(store):
    run = store.create("task").id
    for kind, pause in (
        ("run_started", 0.05),
        ("question", 0.3),
        ("answered", 0.3),  # in the queue
        ("continued", 0),
        ("plan", 0),
    ):
        store.add_event(run, kind)
        time.sleep(pause)
    assert 0.05 <= Ledger(store, run).usage()["seconds"] < 0.5
