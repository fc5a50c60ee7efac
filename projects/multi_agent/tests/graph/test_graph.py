"""The graph: order, parallel steps, failures, questions, budgets, stopping, erasing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from multi_agent.runs.record_model import Stopped
from multi_agent.runs.state import Limits, Result
from multi_agent.team import team as team_module
from seedbed.errors import Conflict, NotFound

Open = Callable[..., Any]


def kinds(team: Any, run: str) -> list[str]:
    return [event.kind for event in team.store.events(run)]


def test_parts_of_a_task_are_worked_on_side_by_side(open_scripted: Open, scripted: Any) -> None:
    together = threading.Barrier(3, timeout=30)  # breaks unless all three wait at once

    def meet(step: Any, _context: Any) -> str:
        together.wait()
        return step.specialist

    team = open_scripted([scripted(name, meet) for name in ("alpha", "beta", "gamma")])
    run = team.wait(team.start("What is alpha? What is beta? What is gamma?"))
    assert run.answer.text == "alpha; beta; gamma"
    assert kinds(team, run.id).count("step_started") == 3


def test_step_gets_the_answer_that_it_refers_to(open_scripted: Open, scripted: Any) -> None:
    data = scripted("fines", lambda _step, _context: "240")
    calc = scripted("%", lambda step, _context: f"<{step.task}>")
    team = open_scripted([data, calc])
    run = team.wait(team.start("How high are the fines? What is 10 % of that?"))
    assert run.answer.text == "<What is 10 % of 240?>"
    assert calc.tasks == ["What is 10 % of 240?"]


def test_step_never_gets_an_input_that_did_not_hold(open_scripted: Open, scripted: Any) -> None:
    def lie(step: Any, _context: Any) -> Result:
        return Result(step=step.id, answer="100")

    first = scripted("fines", lie)
    second = scripted("other", lambda _step, _context: "240", words=("fines",))
    calc = scripted("%", lambda step, _context: f"<{step.task}>")
    team = open_scripted([first, second, calc])
    run = team.wait(team.start("How high are the fines? What is 15 % of that?"))
    assert run.answer.text == "<What is 15 % of 240?>" and run.answer.confident
    assert calc.tasks == ["What is 15 % of 240?"]


def test_run_that_is_resumed_twice_at_the_same_time_runs_once(
    open_scripted: Open, scripted: Any
) -> None:
    gate, attempts = threading.Event(), []

    def work(_step: Any, _context: Any) -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise ZeroDivisionError
        assert gate.wait(30)
        return "42"

    team, outcomes = open_scripted([scripted("orders", work)]), []
    run = team.wait(team.start("How many orders?"))
    both = threading.Barrier(2)

    def resume() -> None:
        both.wait()
        try:
            team.resume(run.id)
            outcomes.append("resumed")
        except Conflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=resume) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gate.set()  # both have tried while the run was going on
    assert team.wait(run.id).answer.text == "42"
    assert sorted(outcomes) == ["refused", "resumed"] and len(attempts) == 2


def test_waiting_for_other_runs_costs_no_seconds(
    open_scripted: Open, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(team_module, "MAX_RUNS", 1)
    at_work, gate = threading.Event(), threading.Event()

    def work(step: Any, _context: Any) -> str:
        if "first" in step.task:
            at_work.set()
            assert gate.wait(30)
        return "42"

    team = open_scripted([scripted("orders", work)])
    team.start("How many first orders?")
    assert at_work.wait(30)
    waiting = team.start("How many orders?", limits=Limits(seconds=0.9))
    time.sleep(1)
    assert team.usage(waiting)["seconds"] == 0
    gate.set()
    run = team.wait(waiting)
    assert (run.status, run.answer.text) == ("done", "42"), run.reason


def test_runs_of_a_server_that_ended_go_on_after_its_restart(
    open_scripted: Open, scripted: Any
) -> None:
    at_work, tasks = threading.Event(), list[str]()

    def work(step: Any, _context: Any) -> str:
        tasks.append(step.task)
        if "slow" in step.task and tasks.count(step.task) == 1:
            at_work.set()
            assert stopping.wait(30)
            raise Stopped("The run was stopped.")
        return step.task

    stopping = threading.Event()
    first = open_scripted([scripted("orders", work)])
    first.recovers = True
    run = first.start("What are orders? What are slow orders?")
    assert at_work.wait(30)
    closing = threading.Thread(target=first.close)
    closing.start()
    while not first._closing.is_set():
        time.sleep(0.01)
    stopping.set()
    closing.join(30)
    assert first.store.run(run).status == "running"
    second = open_scripted([scripted("orders", work)])
    assert second.recover() == [run]
    record = second.wait(run)
    assert (record.status, record.answer.text) == (
        "done",
        "What are orders?; What are slow orders?",
    )
    assert tasks.count("What are orders?") == 1


def test_erased_run_leaves_nothing(open_scripted: Open, scripted: Any) -> None:
    team = open_scripted([scripted("orders", lambda _step, _context: "42")])
    run = team.wait(team.start("How many orders with the key sk-123?"))
    team.erase(run.id)
    with pytest.raises(NotFound):
        team.store.run(run.id)
    assert team.store.events(run.id) == [] and team.progress(run.id) == ((), {})


def test_leases_are_renewed_after_an_error_of_the_database(
    open_scripted: Open, scripted: Any
) -> None:
    team = open_scripted([scripted("clerk", lambda *_: "")], lease_seconds=0.1)
    renew, errors, renewed = team.store.renew, [OSError("down")], threading.Event()

    def flaky(*arguments: Any) -> set[str]:
        if errors:
            raise errors.pop()
        renewed.set()
        return set(renew(*arguments))

    team.store.renew = flaky
    assert renewed.wait(10)
