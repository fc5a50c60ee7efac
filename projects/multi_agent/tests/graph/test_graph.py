"""The graph: order, parallel steps, failures, questions, budgets, stopping, forks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from multi_agent.brain import Refusal
from multi_agent.state import Result
from multi_agent.tools.toolbox import tool_of
from seedbed.errors import BadInput, Conflict, NotFound, TooLarge

Open = Callable[..., Any]


def kinds(team: Any, run: str) -> list[str]:
    return [event.kind for event in team.store.events(run)]


def test_answer_has_evidence_and_events(open_scripted: Open, scripted: Any) -> None:
    team = open_scripted([scripted("counter", lambda _step, _context: "42 orders")])
    run = team.wait(team.start("How many orders does counter have?"))
    assert run.status == "done", run
    assert run.answer.text == "42 orders" and run.answer.confident
    assert run.answer.evidence[0].source == "script"
    expected = ["run_started", "plan", "step_started", "step_ended", "answer", "done"]
    assert kinds(team, run.id) == expected


def test_parts_of_a_task_are_worked_on_side_by_side(open_scripted: Open, scripted: Any) -> None:
    together = threading.Barrier(3, timeout=30)  # breaks unless all three wait at once

    def meet(step: Any, _context: Any) -> str:
        together.wait()
        return step.specialist

    team = open_scripted([scripted(name, meet) for name in ("alpha", "beta", "gamma")])
    run = team.wait(team.start("What is alpha? What is beta? What is gamma?"))
    assert run.answer.text == "alpha; beta; gamma"
    assert kinds(team, run.id).count("step_started") == 3


def test_cap_limits_parallel_steps(open_scripted: Open, scripted: Any) -> None:
    lock, at_work, most = threading.Lock(), 0, 0

    def work(_step: Any, _context: Any) -> str:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.05)
        with lock:
            at_work -= 1
        return "done"

    names = ("alpha", "beta", "gamma", "delta")
    team = open_scripted([scripted(name, work) for name in names], max_parallel=2)
    team.wait(team.start(" ".join(f"What is {name}?" for name in names)))
    assert most == 2


def test_step_gets_the_answer_that_it_refers_to(open_scripted: Open, scripted: Any) -> None:
    data = scripted("fines", lambda _step, _context: "240")
    calc = scripted("%", lambda step, _context: f"<{step.task}>")
    team = open_scripted([data, calc])
    run = team.wait(team.start("How high are the fines? What is 10 % of that?"))
    assert run.answer.text == "<What is 10 % of 240?>"
    assert calc.tasks == ["What is 10 % of 240?"]


def test_failed_step_goes_to_the_next_best_specialist(open_scripted: Open, scripted: Any) -> None:
    def fail(step: Any, _context: Any) -> Result:
        return Result(step=step.id, problem="No such table.")

    first = scripted("orders", fail)
    second = scripted("other", lambda _step, _context: "from the documents", words=("orders",))
    team = open_scripted([first, second])
    run = team.wait(team.start("How are orders shipped?"))
    assert run.answer.text == "from the documents"
    assert kinds(team, run.id).count("replanned") == 1


def test_replans_are_limited_and_the_problem_is_reported(
    open_scripted: Open, scripted: Any
) -> None:
    def fail(step: Any, _context: Any) -> Result:
        return Result(step=step.id, problem="No such table.")

    team = open_scripted([scripted("orders", fail)])
    run = team.wait(team.start("How many orders?"))
    assert not run.answer.confident
    assert "No such table." in run.answer.text


def test_result_without_evidence_is_refused_unless_verification_is_off(
    open_scripted: Open, scripted: Any
) -> None:
    def lie(step: Any, _context: Any) -> Result:
        return Result(step=step.id, answer="7")

    team = open_scripted([scripted("orders", lie)])
    run = team.wait(team.start("How many orders?"))
    assert not run.answer.confident and "no evidence" in run.answer.text
    team.verifies = False
    assert team.wait(team.start("How many orders?")).answer.text == "7"


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


def test_question_of_a_specialist_is_asked_once_and_its_answer_used(
    open_scripted: Open, scripted: Any
) -> None:
    def work(step: Any, _context: Any) -> str:
        if "billing" in step.task:
            return "3 by billing address"
        raise Refusal("tie", "Which city?", ("orders by billing city", "orders by shipping city"))

    team = open_scripted([scripted("orders", work)])
    run = team.wait(team.start("How many orders from Bern?"))
    assert (run.status, run.reason) == ("waiting", "Which city?")
    assert team.question(run.id)["options"][0] == "orders by billing city"
    with pytest.raises(BadInput, match="empty"):
        team.answer(run.id, " ")
    team.answer(run.id, "orders by billing city")
    run = team.wait(run.id)
    assert run.answer.text == "3 by billing address"
    assert kinds(team, run.id).count("question") == 1
    with pytest.raises(Conflict, match="done"):
        team.answer(run.id, "again")


def test_team_that_cannot_ask_abstains(open_scripted: Open, scripted: Any) -> None:
    def tie(_step: Any, _context: Any) -> Result:
        raise Refusal("Ambiguous.", "Which?", ("a", "b"))

    team = open_scripted([scripted("orders", tie)], asks=False)
    run = team.wait(team.start("How many orders?"))
    assert run.status == "done" and not run.answer.confident


def test_task_that_fits_no_specialist_is_refused_with_the_reason(
    open_scripted: Open, scripted: Any
) -> None:
    team = open_scripted([scripted("orders", lambda _step, _context: "42")])
    run = team.wait(team.start("Sing a song!"))
    assert (run.status, run.answer.confident) == ("done", False)
    assert run.answer.text == "I can't answer that. Nobody takes that."


def test_stop_keeps_what_was_found(open_scripted: Open, scripted: Any) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def slow(_step: Any, _context: Any) -> str:
        at_work.set()
        assert go_on.wait(30)
        return "first"

    second = scripted("twice", lambda _step, _context: "never")
    team = open_scripted([scripted("alpha", slow), second])
    run = team.start("What is alpha? What is twice of that?")
    at_work.wait(30)
    team.stop(run)
    go_on.set()
    record = team.wait(run)
    assert record.status == "stopped" and "first" in record.answer.explanation
    assert not second.tasks and not record.answer.confident


def test_tool_that_hangs_is_a_problem_of_its_step_only(open_scripted: Open, scripted: Any) -> None:
    never = threading.Event()

    def hang() -> str:
        """Hang."""
        never.wait(60)
        return ""

    team = open_scripted(
        [
            scripted("alpha", lambda _step, context: context.call("hang")),
            scripted("beta", lambda _step, _context: "fine"),
        ],
        [tool_of(hang, timeout=0.1)],
    )
    run = team.wait(team.start("What is alpha? What is beta?"))
    never.set()
    assert "did not respond within 0.1 s" in run.answer.text
    assert "fine" in run.answer.text and not run.answer.confident


def test_broken_specialist_fails_the_run_with_one_line(open_scripted: Open, scripted: Any) -> None:
    def broken(_step: Any, _context: Any) -> str:
        raise ZeroDivisionError

    team = open_scripted([scripted("orders", broken)])
    run = team.wait(team.start("How many orders?"))
    assert run.status == "failed" and run.reason and "\n" not in run.reason


def test_fork_keeps_what_does_not_need_the_step(open_scripted: Open, scripted: Any) -> None:
    alpha = scripted("alpha", lambda _step, _context: "240")
    calc = scripted("%", lambda step, _context: step.task)
    team = open_scripted([alpha, calc])
    run = team.wait(team.start("What is alpha? What is 15 % of that?"))
    fork = team.wait(team.fork(run.id, "s2", "What is 20 % of {s1}?"))
    assert (fork.status, fork.answer.text) == ("done", "What is 20 % of 240?"), fork
    assert fork.parent == run.id and len(alpha.tasks) == 1
    with pytest.raises(NotFound, match="no step 's9'"):
        team.fork(run.id, "s9")


def test_replay_answers_from_the_record(open_scripted: Open, scripted: Any) -> None:
    calls: list[int] = []

    def count(what: str) -> int:
        """Count.

        Args:
            what: Things.
        """
        calls.append(1)
        return 42 if what == "orders" else 0

    def work(_step: Any, context: Any) -> str:
        return f"{context.call('count', what='orders')} orders"

    team = open_scripted([scripted("orders", work)], [tool_of(count)])
    run = team.wait(team.start("How many orders?"))
    replay = team.replay(run.id)
    assert replay.same and replay.answer == "42 orders" and replay.calls == 1
    assert len(calls) == 1
    team.specialists["orders"].do = lambda _s, c: f"{c.call('count', what='refunds')}"
    assert "count" in team.replay(run.id).missing


@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        ("", BadInput, "empty"),
        ("  \n", BadInput, "empty"),
        ("x" * 1_000_000, TooLarge, "1,000,000"),
    ],
)
def test_bad_tasks_are_refused(
    open_scripted: Open, task: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_scripted([]).start(task)


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
