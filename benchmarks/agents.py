"""What the graph of multi_agent costs: per node, per tool call, and for steps side by side.

    python benchmarks/agents.py

The graph, store, ledger and checkpoints of the project on SQLite, with scripted specialists that
take no time. Overhead per node: in a plan of 20 steps, of which each needs the one before, half of
the time from the start of a step to the start of the next: two nodes, their checkpoints and two
events. Side by side: three specialists, each with a model that takes a second, against a run with
one. A tool call has two entries in the ledger and two events; `bare_event_ms` shows how fast the
machine is just now.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

from seedbed.testing.launch import import_file

TESTS = Path(__file__).parents[1] / "projects/multi_agent/tests/graph"
CHAIN, RUNS, CALLS, MODEL_SECONDS = 20, 20, 500, 1.0

teams = import_file(TESTS / "conftest.py")  # scripted ones


def solve(works: dict[str, Callable[..., Any]], task: str, *, runs: int = 1, **options: Any) -> Any:
    """Work on a task, several times; returns the events of each run."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        members = [teams.Scripted(name, do) for name, do in works.items()]
        team = teams.scripted_team(folder, stack, members, budget="", **options)
        events = []
        for _ in range(runs):
            run = team.wait(team.start(task))
            assert run.status == "done" and run.answer.confident, run
            events.append(team.store.events(run.id))
        return events


def node_ms() -> list[float]:
    """Milliseconds a node of a chain, from the start of each step to the start of the next."""
    chain = " ".join(["What is alpha?", *["What is the alpha of that?"] * (CHAIN - 1)])
    works = {"alpha": lambda step, _: f"alpha {step.id}"}
    values = []
    for events in solve(works, chain, runs=RUNS):
        starts = [event.at.timestamp() for event in events if event.kind == "step_started"]
        assert len(starts) == CHAIN
        values += [500 * (b - a) for a, b in pairwise(starts)]
    return values


def seconds(names: tuple[str, ...]) -> float:
    """Seconds of a run with a specialist for each name, whose model takes MODEL_SECONDS."""
    from seedbed.models.scripted import ScriptedChatModel

    def work(step: Any, context: Any) -> str:
        return str(context.model.invoke(step.task).text)

    def reply(_call: Any) -> str:
        time.sleep(MODEL_SECONDS)
        return "done"

    models = {name: ScriptedChatModel(reply) for name in names}
    task = " ".join(f"What is {name}?" for name in names)
    [events] = solve(dict.fromkeys(names, work), task, models=models, max_parallel=3)
    return float((events[-1].at - events[0].at).total_seconds())


def call_ms() -> tuple[float, float]:
    """Milliseconds of a tool call that does nothing, and of an event alone."""
    from multi_agent.runs.store import RunStore
    from multi_agent.tools.toolbox import tool_of

    def nothing(number: int) -> int:
        """Return a number.

        Args:
            number: The number.
        """
        return number

    durations: list[float] = []

    def work(_step: Any, context: Any) -> str:
        for number in range(CALLS):
            start = time.perf_counter()
            context.call("nothing", number=number)
            durations.append(time.perf_counter() - start)
        return "done"

    solve({"alpha": work}, "What is alpha?", tools=[tool_of(nothing)])
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder) / "runs.sqlite")
        run, start = store.create("task").id, time.perf_counter()
        for _ in range(CALLS):
            store.add_event(run, "token")
        event = (time.perf_counter() - start) / CALLS
        store.close()
    return 1000 * statistics.median(durations), 1000 * event


def main() -> dict[str, Any]:
    """All figures."""
    nodes = node_ms()
    call, event = call_ms()
    alone = statistics.median(seconds(("alpha",)) for _ in range(3))
    together = statistics.median(seconds(("alpha", "beta", "gamma")) for _ in range(3))
    return {
        "node_p50_ms": round(statistics.median(nodes), 2),
        "node_p95_ms": round(statistics.quantiles(nodes, n=20)[-1], 2),
        "nodes": 2 * len(nodes),
        "one_specialist_seconds": round(alone, 3),
        "three_specialists_seconds": round(together, 3),
        "three_against_one": round(together / alone, 3),
        "tool_call_p50_ms": round(call, 2),
        "bare_event_ms": round(event, 2),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
