"""Worker processes that freeze, lose their database or disk, or belong to an older version."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.engine.supervisor import open_worker_locks
from seedbed.server.callers import Caller

OLD = "0"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_worker_that_lost_its_lock_while_frozen_repeats_nothing(
    open_world: Callable[..., Any],
) -> None:
    world = open_world("postgres")
    frozen = world.worker("worker-1")
    world.wait([world.take("where is it")])
    cases = [world.take(f"pause 0.5 {what}") for what in ("refund 30.00", "where is it")]
    world.until(lambda: world.statuses(cases) == ["working"] * 2)
    frozen.send(signal.SIGSTOP)
    # As if its connections were cut: the server ends every session of the frozen process.
    with world.store.engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    world.worker("worker-2")
    world.wait(cases)
    frozen.send(signal.SIGCONT)
    late = world.take("where is it")
    settle(world, [*cases, late])
    assert set(world.sent().values()) == {1}
    assert len(world.refunds()) == 1
    world.until(world.idle)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cases_go_on_after_the_database_was_away(
    open_world: Callable[..., Any], postgres_server: Any
) -> None:
    world = open_world("postgres")
    workers = [world.worker(f"worker-{n}") for n in range(2)]
    cases = [world.take(f"pause 0.{n} refund 30.00") for n in range(8)]
    world.until(lambda: "closed" in world.statuses(cases))
    postgres_server.stop()
    world.until(lambda: not any(worker.is_running() for worker in workers))
    postgres_server.start()
    world.until(lambda: world.responds())
    for n in range(2):  # as `serve` does
        world.worker(f"worker-{n}")
    cases += [world.take("where is it")]
    settle(world, cases)
    assert world.sent() == dict.fromkeys(cases, 1)
    assert len(world.refunds()) == 8


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_next_case_goes_on_after_an_end_could_not_be_recorded(
    open_world: Callable[..., Any],
) -> None:
    world = open_world()
    worker = world.worker("worker-1")
    world.wait([world.take("where is it")])
    world.until(world.idle)
    with sqlite3.connect(world.folder / "workflows.sqlite") as full:
        full.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON workflow_status WHEN NEW.status = 'SUCCESS'"
            " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    case = world.take("refund 30.00", sender="a@example.com")
    world.until(lambda: not worker.is_running())
    with sqlite3.connect(world.folder / "workflows.sqlite") as free:
        free.execute("DROP TRIGGER full")
    world.worker("worker-1")  # as `serve` does
    world.wait([case, world.take("where is it", sender="a@example.com")])
    world.until(world.idle)
    assert len(world.refunds()) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_cases_in_flight_survive_a_new_version(
    open_world: Callable[..., Any], database: str
) -> None:
    world = open_world(database)
    # 1. The old version dies in the middle of a case, with one more in the queue.
    old_queue = CaseQueue(world.config, OLD)
    waiting, halfway, queued = (
        world.store.receive(world.mail(what, sender=sender))[0].id
        for what, sender in (
            ("refund 300.00", "a@example.com"),
            ("pause 9.0 where is it", "b@example.com"),
            ("where is it", "b@example.com"),
        )
    )
    for case in (waiting, halfway, queued):
        old_queue.submit(world.store.case(case))
    old = world.worker("worker-1", version=OLD)
    world.wait([waiting])
    world.until(lambda: world.statuses([halfway]) == ["working"])
    old.send(signal.SIGKILL)
    # 2. The new version handles new cases, and those that waited for a person.
    world.worker("worker-1")
    world.actions.answer(waiting, "approve", Caller("anna"), body="Please call us.")
    world.wait([waiting, world.take("where is it")], ("closed",))
    # 3. It begins again with what the old one left. A person looks at both cases, as each is of a
    #    customer with another open case.
    world.wait([halfway, queued], ("waiting",))
    world.until(world.idle)
    assert set(world.sent().values()) == {1}
    old_queue.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_worker_ends_its_cases_on_sigterm(open_world: Callable[..., Any], database: str) -> None:
    world = open_world(database)
    worker = world.worker("worker-1")
    case = world.take("pause 2.0 where is it")
    world.until(lambda: world.statuses([case]) == ["working"])
    worker.send(signal.SIGTERM)
    world.until(lambda: not worker.is_running())
    assert world.statuses([case]) == ["closed"]
    assert open_worker_locks(world.config).acquire("worker-1")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_case_that_kills_its_worker_again_and_again_fails(open_world: Callable[..., Any]) -> None:
    world = open_world()
    case = world.take("kill the worker")
    worker = world.worker("worker-1")
    for _ in range(10):
        world.until(lambda: not worker.is_running() or world.statuses([case]) == ["failed"])  # noqa: B023
        if world.statuses([case]) == ["failed"]:
            break
        worker = world.worker("worker-1")
    assert world.wait([case], ("failed",)) == ["failed"]
    assert "MAX_RECOVERY_ATTEMPTS" in world.store.case(case).outcome
    # The next mail is handled, by a person, as the customer has an open case.
    other = world.take("where is it", sender=world.store.case(case).mail.sender)
    assert world.wait([other]) == ["waiting"]


def settle(world: Any, cases: list[str]) -> None:
    """Wait until all cases are closed; a person looks up effects in doubt."""
    while set(world.wait(cases)) != {"closed"}:
        for row in world.actions.outbox.list("in_doubt"):
            happened = row.case_id in world.sent()
            world.actions.resolve(row.key, happened, Caller("anna"))
