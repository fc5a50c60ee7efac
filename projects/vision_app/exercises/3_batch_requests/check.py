"""Checks of exercise 3: batches of the jobs in a queue."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

from vision_app.serve.batching import Batcher, _Job

SECONDS = 20  # after which a worker that does not end is reported
Job = _Job[int, int]


class Model:
    """Doubles numbers, and fails for negative ones; `on_call` is called at the start of each batch.

    While `free` is cleared, a call waits, unless it is in the thread of the event loop.
    """

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.loop_thread = threading.get_ident()
        self.is_in_loop = False
        self.on_call: Callable[[], None] = lambda: None
        self.free, self.entered = threading.Event(), threading.Event()
        self.free.set()

    def __call__(self, items: list[int]) -> list[int]:
        self.is_in_loop = threading.get_ident() == self.loop_thread
        self.batches.append(items)
        self.entered.set()
        self.on_call()
        assert self.is_in_loop or self.free.wait(SECONDS)
        if any(item < 0 for item in items):
            raise ValueError("negative") if -1 in items else OSError("very negative")
        return [2 * item for item in items]


def run(check: Callable[[], Awaitable[None]]) -> None:
    async def within_time() -> None:
        try:
            await asyncio.wait_for(check(), SECONDS)
        except TimeoutError:
            raise AssertionError("expected an empty queue and an end, got neither") from None

    asyncio.run(within_time())


def add(batcher: Batcher[int, int], items: Sequence[int]) -> list[Job]:
    jobs = [_Job(item, asyncio.get_running_loop().create_future()) for item in items]
    batcher._jobs.extend(jobs)
    return jobs


async def while_busy(batcher: Batcher[int, int], model: Model, work: Callable[[], None]) -> None:
    """Run `_drain`, and `work` while the model is busy with the first batch."""
    model.free.clear()
    worker = asyncio.create_task(batcher._drain())
    entered = asyncio.create_task(asyncio.to_thread(model.entered.wait, SECONDS))
    await asyncio.wait({worker, entered}, return_when=asyncio.FIRST_COMPLETED)
    model.entered.set()  # ends the thread if the worker has ended without a batch
    work()
    model.free.set()
    await worker
    await entered


def results(jobs: Sequence[Job]) -> list[int | str]:
    """The result of each job, or the name of its error."""
    states: list[int | str] = []
    for job in jobs:
        if job.outcome.cancelled() or not job.outcome.done():
            states.append("cancelled" if job.outcome.cancelled() else "nothing")
        else:
            error = job.outcome.exception()
            states.append(job.outcome.result() if error is None else type(error).__name__)
    return states


def check_1_batches_have_a_limited_size() -> None:
    async def check() -> None:
        batcher = Batcher(model := Model(), limit=32, max_batch=3)
        add(batcher, [1, 2, 3, 4, 5])
        await batcher._drain()
        expected = [[1, 2, 3], [4, 5]]
        case = "5 jobs, at most 3 in a batch"
        assert model.batches == expected, f"{case}: expected {expected}, got {model.batches}"

    run(check)


def check_1_the_number_of_waiting_jobs_is_set() -> None:
    async def check() -> None:
        batcher = Batcher(model := Model(), limit=32, max_batch=3)
        add(batcher, [1, 2, 3, 4, 5])
        seen: list[float] = []
        await while_busy(batcher, model, lambda: seen.append(batcher._waiting._value.get()))
        case = "5 jobs, 3 of them in the model"
        assert seen == [2], f"{case}: expected 2 waiting, got {seen[0]:g}"
        assert batcher._waiting._value.get() == 0, "at the end: expected 0 waiting, got more"

    run(check)


def check_1_the_size_of_each_batch_is_observed() -> None:
    async def check() -> None:
        batcher, sizes = Batcher(Model(), limit=32, max_batch=3), list[float]()
        batcher._batch_size = SimpleNamespace(observe=sizes.append)  # type: ignore[assignment]
        add(batcher, [1, 2, 3, 4, 5])
        await batcher._drain()
        assert sizes == [3, 2], f"batches of 3 and 2: expected the sizes [3, 2], got {sizes}"

    run(check)


def check_1_no_batch_waits_for_a_timer() -> None:
    async def check() -> None:
        batcher = Batcher(Model(), limit=32, max_batch=3)
        loop, timers = asyncio.get_running_loop(), list[float]()
        call_at = loop.call_at

        def note_timer(when: float, *args: Any, **more: Any) -> asyncio.TimerHandle:
            timers.append(round(when - loop.time(), 2))
            return call_at(when, *args, **more)

        add(batcher, [1, 2, 3, 4, 5])
        loop.call_at = note_timer  # type: ignore[method-assign]
        await batcher._drain()
        assert not timers, f"5 jobs: expected no timer, got one of {timers[0]:g} s"

    run(check)


def check_2_jobs_may_join_while_the_model_is_busy() -> None:
    async def check() -> None:
        batcher = Batcher(model := Model(), limit=32)
        add(batcher, [1])
        await while_busy(batcher, model, lambda: add(batcher, [2, 3]) and None)
        problem = "the model: expected another thread, got the one of the event loop"
        assert not model.is_in_loop, problem
        expected = [[1], [2, 3]]
        case = "two jobs join during the first batch"
        assert model.batches == expected, f"{case}: expected {expected}, got {model.batches}"

    run(check)


def check_3_each_job_gets_its_own_result() -> None:
    async def check() -> None:
        batcher = Batcher(Model(), limit=32)
        jobs = add(batcher, [1, 2, 3])
        await batcher._drain()
        actual = results(jobs)
        assert actual == [2, 4, 6], f"1, 2, 3 doubled: expected [2, 4, 6], got {actual}"

    run(check)


def check_3_an_exception_reaches_its_own_job_only() -> None:
    async def check() -> None:
        batcher = Batcher(Model(), limit=32)
        jobs = add(batcher, [1, -1, 3, -2])
        await batcher._drain()
        actual, expected = results(jobs), [2, "ValueError", 6, "OSError"]
        case = "the second and the last of 4 fail"
        assert actual == expected, f"{case}: expected {expected}, got {actual}"

    run(check)


def check_3_a_batch_has_its_outcomes_before_the_next_one_begins() -> None:
    async def check() -> None:
        batcher = Batcher(model := Model(), limit=32, max_batch=2)
        jobs, seen = add(batcher, [1, 2, 3]), list[object]()
        model.on_call = lambda: seen.append(results(jobs))
        await batcher._drain()
        expected = [2, 4, "nothing"]
        case = "batches of 2 and 1, when the second begins"
        assert seen[1:] == [expected], f"{case}: expected {expected}, got {seen[1:]}"

    run(check)


def check_4_a_job_that_was_cancelled_is_skipped() -> None:
    async def check() -> None:
        batcher = Batcher(model := Model(), limit=32)
        jobs = add(batcher, [1, 2, 3])
        await while_busy(batcher, model, lambda: jobs[1].outcome.cancel() and None)
        actual, expected = results(jobs), [2, "cancelled", 6]
        assert actual == expected, f"the second is cancelled: expected {expected}, got {actual}"

    run(check)
