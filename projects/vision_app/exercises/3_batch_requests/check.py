"""Checks of exercise 3: jobs whose items are numbers, or the exceptions that they end with."""

import asyncio
import threading
from typing import Any

from vision_app.serve.batching import Batcher, _Job


class Fatal(BaseException): ...


def state(outcome: asyncio.Future[Any]) -> Any:
    """The result of a job, or what became of it."""
    if outcome.cancelled() or not outcome.done():
        return "cancelled" if outcome.cancelled() else "waits"
    return type(outcome.exception()).__name__ if outcome.exception() else outcome.result()


def expect(*items: Any, cancelled: int = -1, **expected: Any) -> None:
    """What happens to these jobs, of which two fit into a batch; one is cancelled in the first."""
    seen: dict[str, Any] = {"batches": [], "waiting": []}

    async def main() -> None:
        batcher, outcomes = Batcher(list, limit=32, max_batch=2), [asyncio.Future() for _ in items]
        batcher._jobs.extend(map(_Job, items, outcomes))

        def attempt(batch: list[Any]) -> list[Any]:
            seen["batches"].append(batch)
            seen["waiting"].append(batcher._waiting._value.get())
            seen["in_thread"] = threading.current_thread() is not threading.main_thread()
            seen["before"] = [state(outcome) for outcome in outcomes]
            if cancelled >= 0:
                outcomes[cancelled].cancel()
            return batch

        batcher._attempt = attempt
        await asyncio.wait_for(batcher._drain(), 20)
        seen["after"] = [state(outcome) for outcome in outcomes]

    asyncio.run(main())
    actual = {name: seen[name] for name in expected}
    assert actual == expected, f"jobs {items}, 2 in a batch: expected {expected}, got {actual}"


def check_1_at_most_max_batch_jobs_are_taken_at_once() -> None:
    expect(1, 2, 3, 4, 5, batches=[[1, 2], [3, 4], [5]], waiting=[3, 1, 0])


def check_2_the_model_runs_in_a_thread() -> None:
    expect(1, 2, 3, in_thread=True)


def check_3_each_job_gets_its_own_outcome_before_the_next_batch() -> None:
    outcomes = [1, "ValueError", 3, "Fatal"]
    expect(1, ValueError(), 3, Fatal(), 5, before=[*outcomes, "waits"], after=[*outcomes, 5])


def check_4_a_job_that_was_cancelled_is_skipped() -> None:
    expect(1, 2, 3, cancelled=0, after=["cancelled", 2, 3])
