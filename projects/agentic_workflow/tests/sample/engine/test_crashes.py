"""Workers that die at each step boundary: every case completes, no effect happens twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from seedbed.server.callers import Caller

POINTS = ("before claim", "after claim", "after send", "after checkpoint")
TEXTS = ("where is my parcel", "refund 30.00", "where is it", "refund 20.00", "refund 300.00")


def check(world: Any, cases: list[str], refunds: int) -> int:
    """Assert that nothing was lost or done twice; returns the number of effects in doubt."""
    # 1. Whatever is in doubt is reported, and completes when a person looks into the sent mails.
    doubts = world.actions.outbox.list("in_doubt")
    for row in doubts:
        case = world.store.case(row.case_id)
        assert case.status == "in_doubt"
        happened = row.case_id in world.sent()
        world.actions.resolve(row.key, happened, Caller("anna"))
    world.wait(cases, ("closed", "waiting"))
    # 2. Each effect happened once.
    closed = [case for case in cases if world.store.case(case).status == "closed"]
    assert world.sent() == dict.fromkeys(closed, 1)
    assert len(world.refunds()) == refunds
    # 3. Nothing is left in the queue, from which a case goes soon after its last step.
    world.until(world.idle)
    return len(doubts)


@pytest.mark.slow
@pytest.mark.parametrize(("database", "workers"), [("sqlite", 1), ("postgres", 4)])
def test_cases_complete_once_when_workers_die_at_each_boundary(
    open_world: Callable[..., Any], database: str, workers: int
) -> None:
    world, cases = open_world(database), []
    for round, point in enumerate(POINTS, start=1):
        cases += [world.take(text) for text in TEXTS]
        for number in range(workers):
            world.worker(f"worker-{number}", crash=point)
        world.until(partial(world.crashed, point))
        if workers == 1:
            world.until(lambda: not world.workers[-1].is_running())
            world.worker("worker-0", crash=point)  # as `serve` does
        world.wait(cases)
        doubts = check(world, cases, refunds=2 * round)
        world.stop_workers()
        print(f"{database}, {workers} workers, {point}: {len(cases)} cases, {doubts} in doubt")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("database", "workers"), [("sqlite", 1), ("postgres", 4)])
def test_cases_complete_once_when_workers_die_at_random(
    open_world: Callable[..., Any], database: str, workers: int
) -> None:
    kills = int(os.environ.get("SEEDBED_KILLS", "5"))
    world, cases, random = open_world(database), [], Random(20 + workers)
    started = [world.worker(f"worker-{n}") for n in range(workers)]
    for _ in range(kills):
        cases += [world.take(text) for text in random.sample(TEXTS, 3)]
        time.sleep(random.uniform(0.0, 1.0))  # the random instant
        number = random.randrange(workers)
        started[number].send(signal.SIGKILL)
        started[number] = world.worker(f"worker-{number}")
        if workers == 1:  # or the cases in progress would die more often than is allowed
            world.wait(cases[-3:])
    world.wait(cases, seconds=180)
    texts = [world.store.case(case).mail.text for case in cases]
    refunds = sum("refund 300" not in text and "refund" in text for text in texts)
    doubts = check(world, cases, refunds)
    print(f"{database}, {workers} workers, {kills} kills: {len(cases)} cases, {doubts} in doubt")
