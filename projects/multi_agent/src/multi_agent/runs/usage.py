"""What a run has spent, computed from its record, so that a killed process loses none of it.

budget.restore(recorded_usage(store, run.id))
"""

from __future__ import annotations

from itertools import pairwise

import sqlalchemy as sa

from multi_agent.runs.store import RunStore, ledger

_CONTINUES = ("answered", "resumed", "stopped")
"""Events before which no process has worked on the run: that time does not count."""


def recorded_usage(store: RunStore, run_id: str) -> dict[str, float]:
    """The amounts of `Budget.usage`, up to the last event and the last reply of a model."""
    usage = {"steps": 0.0, "tool_calls": 0.0, "tokens": 0.0, "usd": 0.0, "seconds": 0.0}
    # 1. Model calls are rows of the ledger without a step.
    calls = sa.select(ledger.c.result).where(ledger.c.run == run_id, ledger.c.step == "")
    with store.engine.connect() as connection:
        for result in connection.execute(calls).scalars():
            for name, amount in result["spent"].items():
                usage[name] += amount
    # 2. Steps and tool calls are events. A fork begins with ends of steps that its parent did.
    events = store.events(run_id, limit=1_000_000)
    started = {event.step for event in events if event.kind == "step_started"}
    ended = [event.step for event in events if event.kind == "step_ended"]
    usage["steps"] = sum(step in started for step in ended)
    usage["tool_calls"] = sum(event.kind == "tool_started" for event in events)
    # 3. Seconds pass between events.
    for before, event in pairwise(events):
        if event.kind not in _CONTINUES:
            usage["seconds"] += (event.at - before.at).total_seconds()
    return usage
