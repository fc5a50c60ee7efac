import asyncio
import threading
from contextlib import suppress

import pytest
from prometheus_client import REGISTRY

from vision_app.serve.batching import Batcher, Gate
from seedbed.errors import Busy


class Work:
    """Doubles numbers; the first call waits until it is released, so that others queue up."""

    def __init__(self):
        self.batches = []
        self.entered, self.released = threading.Event(), threading.Event()

    def __call__(self, items):
        self.batches.append(list(items))
        self.entered.set()
        assert self.released.wait(30)
        if -1 in items:
            raise ValueError("bad item")
        return [2 * item for item in items]


async def submitted(batcher, work, items):
    """Tasks for all items; the first is being worked on, the others wait in the queue."""
    tasks = [asyncio.create_task(batcher.submit(items[0]))]
    await asyncio.to_thread(work.entered.wait, 30)
    tasks += [asyncio.create_task(batcher.submit(item)) for item in items[1:]]
    for _ in range(2):
        await asyncio.sleep(0)  # lets each task enter the queue
    return tasks


async def test_batcher_joins_requests_that_wait_for_a_busy_model():
    work = Work()
    batcher = Batcher(work, limit=32, max_batch=4)
    tasks = await submitted(batcher, work, list(range(7)))
    work.released.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8, 10, 12]
    assert work.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_batcher_fails_only_the_bad_item_of_a_batch():
    work = Work()
    batcher = Batcher(work, limit=32)
    tasks = await submitted(batcher, work, [1, 2, -1, 3])
    work.released.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[:2] == [2, 4] and outcomes[3] == 6
    assert isinstance(outcomes[2], ValueError)


async def test_batcher_refuses_items_above_its_limit_and_recovers():
    work = Work()
    batcher = Batcher(work, limit=2)
    tasks = await submitted(batcher, work, [1, 2, 3])
    with pytest.raises(Busy) as refusal:
        await batcher.submit(4)
    assert refusal.value.retry_after
    work.released.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6]
    assert await batcher.submit(5) == 10


async def test_batcher_drops_cancelled_item_that_waits():
    work = Work()
    batcher = Batcher(work, limit=2)
    tasks = await submitted(batcher, work, [1, 2, 3])
    tasks[1].cancel()
    with suppress(asyncio.CancelledError):
        await tasks[1]
    replacement = asyncio.create_task(batcher.submit(4))  # its place is free again
    await asyncio.sleep(0)
    work.released.set()
    assert await asyncio.gather(tasks[0], tasks[2], replacement) == [2, 6, 8]
    assert work.batches == [[1], [3, 4]]


async def test_batcher_survives_cancelled_item_in_progress():
    work = Work()
    batcher = Batcher(work, limit=2)
    tasks = await submitted(batcher, work, [1, 2])
    tasks[0].cancel()
    work.released.set()
    assert await tasks[1] == 4


async def test_batcher_reports_batch_sizes_and_queue_length():
    work = Work()
    batcher = Batcher(work, limit=8, name="test")
    before = REGISTRY.get_sample_value("vision_batch_size_sum", {"queue": "test"}) or 0
    tasks = await submitted(batcher, work, [1, 2, 3])
    assert REGISTRY.get_sample_value("vision_queue_length", {"queue": "test"}) == 2
    work.released.set()
    await asyncio.gather(*tasks)
    assert REGISTRY.get_sample_value("vision_batch_size_sum", {"queue": "test"}) == before + 3
    assert REGISTRY.get_sample_value("vision_queue_length", {"queue": "test"}) == 0


async def test_gate_runs_no_more_than_its_slots_and_refuses_above_its_limit():
    work = Work()
    gate = Gate(slots=1, limit=1)
    first = asyncio.create_task(gate.run(lambda: work([1])))
    await asyncio.to_thread(work.entered.wait, 30)
    second = asyncio.create_task(gate.run(lambda: work([2])))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await gate.run(lambda: work([3]))
    assert work.batches == [[1]]
    work.released.set()
    assert await asyncio.gather(first, second) == [[2], [4]]
    assert gate.waiting == 0


async def test_gate_keeps_slot_of_abandoned_work_until_it_ends():
    work = Work()
    gate = Gate(slots=1, limit=1)
    first = asyncio.create_task(gate.run(lambda: work([-1])))  # fails, with nobody to see it
    await asyncio.to_thread(work.entered.wait, 30)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    second = asyncio.create_task(gate.run(lambda: work([2])))
    await asyncio.sleep(0)
    assert work.batches == [[-1]] and gate.waiting == 1
    work.released.set()
    assert await second == [4]


async def test_gate_frees_place_of_cancelled_request():
    work = Work()
    gate = Gate(slots=1, limit=1)
    first = asyncio.create_task(gate.run(lambda: work([1])))
    await asyncio.to_thread(work.entered.wait, 30)
    second = asyncio.create_task(gate.run(lambda: work([2])))
    await asyncio.sleep(0)
    second.cancel()
    with suppress(asyncio.CancelledError):
        await second
    assert gate.waiting == 0
    work.released.set()
    assert await first == [2]
    assert await gate.run(lambda: work([3])) == [6]
