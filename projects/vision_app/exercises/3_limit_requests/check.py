"""Checks of exercise 3: requests that meet at a gate with one slot and one place to wait."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from vision_app.serve.gate import Gate
from seedbed.errors import Busy


def meet(*works: Callable[[], Any], cancel: int | None = None) -> tuple[list[Any], list[Any]]:
    """Outcomes of requests, and while the first works: how many wait, how many have started."""
    release, started = threading.Event(), list[str]()

    def hold(number: int) -> Any:
        started.append(threading.current_thread().name)
        assert release.wait(3), "the event loop is blocked"
        return works[number]()

    async def main() -> tuple[list[Any], list[Any]]:
        gate = Gate(slots=1, limit=1, name="exercise")
        tasks = []
        for number in range(len(works)):
            tasks.append(asyncio.create_task(gate.run(lambda number=number: hold(number))))
            await asyncio.sleep(0.1)
        if cancel is not None:
            tasks[cancel].cancel()
            await asyncio.sleep(0.1)
        facts = [gate.waiting, len(started), started[:1] != [threading.main_thread().name]]
        release.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for gap in (outcome for outcome in outcomes if isinstance(outcome, NotImplementedError)):
            raise gap
        return outcomes, facts

    return asyncio.run(main())


def check_1_a_request_above_the_limit_is_refused() -> None:
    outcomes, _ = meet(lambda: 1, lambda: 2, lambda: 3)
    assert isinstance(outcomes[2], Busy), f"one works and one waits; the third got {outcomes[2]!r}"


def check_2_a_request_counts_as_waiting_until_it_has_a_slot() -> None:
    assert meet(lambda: 1, lambda: 2)[1][0] == 1, "one request works, one waits: waiting is not 1"
    waiting = meet(lambda: 1, lambda: 2, cancel=1)[1][0]
    assert waiting == 0, f"the waiting request was cancelled, but waiting is {waiting}"


def check_3_the_result_or_the_exception_of_work_is_returned() -> None:
    outcomes, facts = meet(lambda: 1, lambda: int("x"))
    assert facts[2], "work ran in the thread of the event loop"
    assert outcomes[0] == 1 and isinstance(outcomes[1], ValueError), f"got {outcomes}"


def check_4_a_cancelled_request_keeps_its_slot_until_work_ends() -> None:
    running = meet(lambda: 1, lambda: 2, cancel=0)[1][1]
    assert running == 1, f"{running} works ran at the same time, with one slot"
