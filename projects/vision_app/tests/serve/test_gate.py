"""How many requests work at a time, how many wait, and what happens to abandoned ones."""

import asyncio
import threading
from contextlib import suppress

import pytest
from prometheus_client import REGISTRY

from vision_app.serve.gate import Gate
from seedbed.errors import Busy


class Work:
    """Doubles numbers; the first call waits until it is released, so that others wait."""

    def __init__(self):
        self.items = []
        self.entered, self.released = threading.Event(), threading.Event()

    def __call__(self, item):
        self.items.append(item)
        self.entered.set()
        assert self.released.wait(30)
        if item == -1:
            raise ValueError("bad item")
        return 2 * item


async def test_gate_runs_no_more_than_its_slots_and_refuses_above_its_limit():
    work = Work()
    gate = Gate(slots=1, limit=1)
    first = asyncio.create_task(gate.run(lambda: work(1)))
    await asyncio.to_thread(work.entered.wait, 30)
    second = asyncio.create_task(gate.run(lambda: work(2)))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await gate.run(lambda: work(3))
    assert work.items == [1]
    work.released.set()
    assert await asyncio.gather(first, second) == [2, 4]
    assert gate.waiting == 0


async def test_gate_keeps_slot_of_abandoned_work_until_it_ends():
    work = Work()
    gate = Gate(slots=1, limit=1)
    first = asyncio.create_task(gate.run(lambda: work(-1)))  # fails, with no caller to see it
    await asyncio.to_thread(work.entered.wait, 30)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    second = asyncio.create_task(gate.run(lambda: work(2)))
    await asyncio.sleep(0)
    assert work.items == [-1] and gate.waiting == 1
    work.released.set()
    assert await second == 4


async def test_gate_frees_place_of_cancelled_request():
    work = Work()
    gate = Gate(slots=1, limit=1, name="test")
    first = asyncio.create_task(gate.run(lambda: work(1)))
    await asyncio.to_thread(work.entered.wait, 30)
    second = asyncio.create_task(gate.run(lambda: work(2)))
    await asyncio.sleep(0)
    assert REGISTRY.get_sample_value("vision_queue_length", {"queue": "test"}) == 1
    second.cancel()
    with suppress(asyncio.CancelledError):
        await second
    assert gate.waiting == 0
    work.released.set()
    assert await first == 2
    assert await gate.run(lambda: work(3)) == 6
