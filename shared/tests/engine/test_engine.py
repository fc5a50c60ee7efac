"""`Engine` with threads, asyncio tasks, limits and failures. Slow tests use the real model."""

import asyncio
import logging
import threading

import pytest

from seedbed.engine.detokenizer import Detokenizer
from seedbed.engine.engine import Engine
from seedbed.engine.generation import Sampling
from seedbed.engine.pipeline import open_pipeline
from seedbed.errors import (
    BadInput,
    Busy,
    ContextWindowError,
    DeadlineExceeded,
    SeedbedError,
    Unavailable,
    WeightsError,
)
from seedbed.models.weights.ensure import ensure

LONG = Sampling(max_new_tokens=1500, ignore_eos=True)
pytestmark = pytest.mark.timeout(240)  # opening a pipeline is slow on a busy machine


class FailingPipeline:
    """The real pipeline, except that the first step after `fail.set()` raises."""

    def __init__(self, pipeline, fail):
        self.pipeline, self.fail = pipeline, fail

    def __getattr__(self, name):
        return getattr(self.pipeline, name)

    def step(self):
        if self.fail.is_set():
            self.fail.clear()
            raise RuntimeError("injected")
        self.pipeline.step()


fail = threading.Event()


def open_engine():
    return Engine(
        ensure("smollm2"),
        context_window=2048,
        max_queue=4,
        max_running=4,
        cache_tokens=8192,
        pipeline_factory=lambda folder, tokens: FailingPipeline(
            open_pipeline(folder, tokens), fail
        ),
    )


@pytest.fixture(scope="module")
def engines():
    """At most one engine, shared by the tests. A test that closes it removes it."""
    engines = []
    yield engines
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(engines):
    if not engines:
        engines.append(open_engine())
    return engines[0]


@pytest.fixture
def prompt(engine):
    # The continuation is clear, so rounding, which depends on the batch, does not change it.
    question = engine.apply_chat_template([{"role": "user", "content": "Count from one to ten."}])
    return f"{question}One, two, three, four, five,"


@pytest.mark.slow
def test_submit_pieces_join_to_the_text_of_the_result(engine, prompt):
    sampling = Sampling(max_new_tokens=24)
    pieces = list(engine.submit(prompt, sampling))
    completion = engine.submit(prompt, sampling).result()
    assert "".join(piece.text for piece in pieces) == completion.text
    assert [i for piece in pieces for i in piece.token_ids] == completion.token_ids
    assert completion.prompt_tokens == len(engine.encode(prompt))
    assert completion.text == engine.decode(completion.token_ids)
    assert completion.finish_reason == "length"
    stopped = engine.submit(prompt, Sampling(max_new_tokens=60, grammar='root ::= "yes"')).result()
    assert (stopped.text, stopped.finish_reason) == ("yes", "stop")
    text = "Grüße, 世界 🎉👩‍👩‍👧 – naïve\n\tcafé №5 e\u0301"
    detokenizer = Detokenizer(engine._table)
    parts = [detokenizer.push([token]) for token in engine.encode(text)]
    assert "".join(parts) + detokenizer.flush() == text and "\ufffd" not in "".join(parts)


@pytest.mark.slow
def test_engine_serves_threads_and_tasks_at_once(engine, prompt):
    sampling = Sampling(max_new_tokens=12)
    expected = engine.submit(prompt, sampling).result().text
    texts = []

    def consume():
        texts.append("".join(piece.text for piece in engine.submit(prompt, sampling)))

    async def task():
        return "".join([piece.text async for piece in engine.submit(prompt, sampling)])

    async def tasks():
        return await asyncio.gather(task(), task())

    threads = [threading.Thread(target=consume) for _ in range(2)]
    for thread in threads:
        thread.start()
    texts += asyncio.run(tasks())
    for thread in threads:
        thread.join()
    assert texts == [expected] * 4


@pytest.mark.slow
def test_generation_whose_iteration_is_left_ends_with_the_text_so_far(engine, prompt):
    generation = engine.submit(prompt, LONG)
    first = next(iter(generation))
    completion = generation.result(30)
    assert completion.finish_reason == "cancelled"
    assert completion.text.startswith(first.text)


@pytest.mark.slow
def test_submit_full_queue_raises_busy_with_retry_after(engine, prompt):
    running = [engine.submit(prompt, LONG) for _ in range(4)]
    started = [iter(generation) for generation in running]
    for pieces in started:
        next(pieces)
    waiting = [engine.submit(prompt, LONG) for _ in range(4)]
    with pytest.raises(Busy) as caught:
        engine.submit(prompt)
    assert caught.value.retry_after >= 1
    for generation in [*running, *waiting]:
        generation.cancel()
    assert {generation.result(30).finish_reason for generation in waiting} == {"cancelled"}


@pytest.mark.slow
def test_deadline_ends_the_generation(engine, prompt):
    with pytest.raises(DeadlineExceeded, match=r"longer than 0\.3 s"):
        engine.submit(prompt, LONG, timeout=0.3).result()


@pytest.mark.slow
def test_submit_checks_the_context_window(engine, prompt):
    with pytest.raises(
        ContextWindowError, match=r"5000 new tokens exceed the context window of 2048"
    ):
        engine.submit(prompt, Sampling(max_new_tokens=5000))
    with pytest.raises(ContextWindowError, match="empty"):
        engine.submit("")


def test_sampling_out_of_range_and_a_folder_without_model_are_errors(tmp_path):
    for values in ({"max_new_tokens": 0}, {"temperature": -1}, {"top_p": 0}):
        with pytest.raises(BadInput):
            Sampling(**values)
    with pytest.raises(WeightsError, match="cannot load"):
        Engine(tmp_path)


@pytest.fixture
def unlogged(caplog):
    """The failure is not logged: a record kept by pytest would keep the failed pipeline, too."""
    caplog.set_level(logging.CRITICAL, "seedbed.engine.engine")


@pytest.mark.slow
@pytest.mark.usefixtures("unlogged")
def test_failing_step_fails_its_requests_and_reopens_the_pipeline(engine, prompt):
    expected = engine.submit(prompt, Sampling(max_new_tokens=8)).result().text
    generation = engine.submit(prompt, LONG)
    iterator = iter(generation)
    next(iterator)
    fail.set()
    with pytest.raises(SeedbedError, match="injected"):
        list(iterator)
    assert engine.submit(prompt, Sampling(max_new_tokens=8)).result().text == expected


@pytest.mark.slow
def test_close_during_an_answer_leaves_nothing_in_the_pipeline(engine, engines, prompt, capfd):
    engines.remove(engine)
    generation = engine.submit(prompt, LONG)
    next(iter(generation))
    engine.close()
    with pytest.raises(Unavailable, match="closed"):
        generation.result()
    assert "leaked" not in "".join(capfd.readouterr())  # OpenVINO's word
