"""Processes that die at random instants: runs end, and no call is made twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from multi_agent.runs.store import RunStore, ledger

SCRIPT = Path(__file__).with_name("killed_team.py")
LEASE = 0.3
SEED, LANES = 20, 4


class Process(psutil.Process):
    """A forked process that works on a run; its pid may be another process's when it has ended."""

    def __init__(self, pid: int, ready: Path) -> None:
        super().__init__(pid)
        self.ready = ready

    def kill(self) -> None:
        with suppress(psutil.NoSuchProcess):
            super().kill()


class World:
    """A database with runs, and processes that work on them."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder, self.url, self.count = folder, url, 0
        self.store = RunStore(url or folder / "runs.sqlite")
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.nursery = subprocess.Popen(
            [sys.executable, str(SCRIPT)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def close(self) -> None:
        assert self.nursery.stdin and self.nursery.stdout
        self.nursery.stdin.close()
        self.nursery.wait(30)
        self.nursery.stdout.close()
        self.store.close()

    def fork(self, thread: str) -> Process:
        """A process that works on the run of a thread; returns once its team is open."""
        assert self.nursery.stdin and self.nursery.stdout
        self.count += 1
        ready = self.folder / f"{self.count}.ready"
        order = {"folder": str(self.folder), "url": self.url, "thread": thread}
        order |= {"lease": LEASE, "ready": str(ready)}  # type: ignore[dict-item]
        self.nursery.stdin.write(json.dumps(order).encode() + b"\n")
        self.nursery.stdin.flush()
        process = Process(int(self.nursery.stdout.readline()), ready)
        self.until(lambda: ready.exists() or not process.is_running(), process)
        return process

    def until(self, condition: Callable[[], Any], process: Process, seconds: float = 60) -> Any:
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                log = process.ready.with_name(process.ready.name + ".log").read_text()
                pytest.fail(f"not within {seconds} s: {log[-3000:]}")
            time.sleep(0.002)
        return value

    def run(self, thread: str) -> Any:
        runs = self.store.runs(1, thread=thread)
        return runs[0] if runs else None

    def at_rest(self, thread: str) -> bool:
        run = self.run(thread)
        return run is not None and run.status not in ("running", "waiting")

    def calls(self, thread: str) -> Counter[str]:
        """Number of lines by call."""
        path = self.folder / f"{thread}.calls"
        return Counter(path.read_text().splitlines() if path.exists() else ())

    def ended(self, thread: str) -> set[str]:
        """Calls that have finished, as the ledger has them."""
        if (run := self.run(thread)) is None:
            return set()
        query = sa.select(ledger.c.name, ledger.c.arguments).where(
            ledger.c.run == run.id, ledger.c.ended_at.is_not(None)
        )
        with self.store.engine.connect() as connection:
            return {f"{name} {args['what']}" for name, args in connection.execute(query)}

    def questions(self, thread: str) -> Counter[str]:
        events = self.store.events(self.run(thread).id, kind="question")
        return Counter(event.data["key"] for event in events)


@pytest.fixture
def open_world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], World]]:
    worlds: list[World] = []

    def open_one(database: str) -> World:
        postgres = database == "postgres"
        url = request.getfixturevalue("new_postgres_url")() if postgres else None
        folder = tmp_path / str(len(worlds))
        folder.mkdir()
        worlds.append(World(folder, url))
        return worlds[-1]

    yield open_one
    for world in worlds:
        world.close()


def check(world: World, thread: str, reference: str) -> None:
    """The run has the right answer, one effect, and each question once."""
    run = world.run(thread)
    assert run.status == "done" and run.answer, run
    assert run.answer.text == reference
    sent = [count for call, count in world.calls(thread).items() if call.startswith("send")]
    assert sent == [1], world.calls(thread)
    assert set(world.questions(thread).values()) == {1}, world.questions(thread)


def kill_runs(world: World, random: Random, kills: int) -> Counter[str]:
    """Kill the processes of runs, each up to three times, and check that all runs end."""
    # 1. A run without kills, for its answer and duration.
    process, start = world.fork("reference"), time.monotonic()
    world.until(lambda: not process.is_running(), process)
    seconds, reference = time.monotonic() - start, world.run("reference").answer.text
    check(world, "reference", reference)
    counts: Counter[str] = Counter()
    while counts["kills"] < kills:
        counts["runs"] += 1
        thread, ended = f"run-{counts['runs']}", Counter[str]()
        # 2. Kill. What the ledger has as finished then must not be called again.
        for _ in range(random.choice((1, 2, 3))):
            process = world.fork(thread)
            time.sleep(random.uniform(0, seconds))  # the random instant
            process.kill()
            world.until(lambda: not process.is_running(), process)  # noqa: B023
            if world.at_rest(thread):
                break
            counts["kills"] += 1
            lines = world.calls(thread)
            ended |= Counter({call: lines[call] for call in world.ended(thread)})
        # 3. Let another process end the run.
        process = world.fork(thread)
        world.until(lambda: not process.is_running(), process)  # noqa: B023
        check(world, thread, reference)
        lines = world.calls(thread)
        assert {call: lines[call] for call in ended} == dict(ended)
        counts["interrupted calls repeated"] += sum(lines.values()) - len(lines)
        counts["effects in doubt"] += sum("@" in key for key in world.questions(thread))
        counts["finished calls checked"] += len(ended)
    return counts


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("database", "kills"), [("sqlite", 20), ("postgres", 5)])
def test_runs_killed_at_random_end_and_repeat_nothing(
    open_world: Callable[[str], World], database: str, kills: int
) -> None:
    kills = int(os.environ.get("SEEDBED_KILLS", kills))
    start, seeds = time.monotonic(), range(LANES)
    worlds = [open_world(database) for _ in seeds]
    with ThreadPoolExecutor(LANES) as threads:
        share = [kills // LANES] * LANES
        counts = sum(threads.map(kill_runs, worlds, map(Random, seeds), share), Counter[str]())
    assert counts, "no run was killed"
    print(f"{database}, seeds {list(seeds)}: {dict(counts)}, {time.monotonic() - start:.0f} s")
