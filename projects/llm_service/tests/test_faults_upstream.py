"""Upstreams that misbehave behind a running service: a fallback, a proper status, or an error
event; never a hang, and those that go on failing are left alone.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
from service_fakes import Running, run_service, run_stubs
from stub_upstream import FAULTS, Stub

CLIENT = httpx.Client(trust_env=False, timeout=40)
pytestmark = pytest.mark.timeout(180)  # a service starts
STUBS = {fault: Stub(fault=fault) for fault in FAULTS}
GOOD = """
[models.good]
backend = "openai"
base_url = "{url}"
model = "stub"
"""
MODEL = """
[models.{name}]
backend = "openai"
base_url = "{url}"
model = "stub"
timeout = {timeout}
[routes.only-{name}]
targets = ["{name}"]
retries = 0
[routes.safe-{name}]
targets = ["{name}"]
fallback = ["good"]
retries = 0
"""
HELLO = [{"role": "user", "content": "hello"}]
BEGUN = {"reset", "malformed", "truncate", "slow_bytes", "dies"}  # of a stream: after some of it


@contextmanager
def dying() -> Iterator[str]:
    """An upstream that says two words of a stream and closes the connection, as a crash does."""
    word = {"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
    data = b"data: " + json.dumps(word).encode() + b"\n\n"
    chunk = f"{len(data):x}\r\n".encode() + data + b"\r\n"
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                client.recv(65536)
                client.sendall(head + chunk * 2)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    names = [f"f-{fault.replace('_', '-')}" for fault in FAULTS]
    folder = tmp_path_factory.mktemp("upstream")
    with run_stubs(Stub(), *STUBS.values()) as made, dying() as dies:
        urls = dict(zip(names, made[1:], strict=True))
        urls |= {"f-dies": dies, "f-gone": "http://127.0.0.1:1/v1"}
        table = GOOD.format(url=made[0])
        table += "".join(
            MODEL.format(name=name, url=url, timeout=1.0) for name, url in urls.items()
        )
        table += MODEL.format(name="f-stuck", url=urls["f-hang"], timeout=60)
        with run_service(folder, table) as service:
            yield service


def ask(running: Running, model: str, **body: object) -> httpx.Response:
    # Each is asked something else: equal questions would share an answer.
    given = {"model": model, "messages": HELLO, **body}
    return CLIENT.post(f"{running.url}/v1/chat/completions", json=given)


def events(answer: httpx.Response) -> list[str]:
    return [part.removeprefix("data: ") for part in answer.text.strip().split("\n\n")]


NAMES = [*(fault.replace("_", "-") for fault in FAULTS), "dies", "gone"]
WAITED_FOR = {"hang", "slow-bytes"}  # until the model's timeout, several times
each_fault = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in WAITED_FOR else []) for n in NAMES],
)


@each_fault
def test_whole_answers_come_from_the_fallback_or_fail_properly(running: Running, name: str) -> None:
    began = time.monotonic()
    safe = ask(running, f"safe-f-{name}")
    assert safe.status_code == 200, safe.text
    assert safe.headers["x-model-used"] == "good"
    alone = ask(running, f"only-f-{name}")
    assert alone.status_code in (503, 504), alone.text
    error = alone.json()["error"]
    assert error["type"] in ("unavailable", "deadline_exceeded")
    assert "127.0.0.1" not in error["message"]
    assert time.monotonic() - began < 30


@each_fault
def test_streams_that_did_not_begin_go_on_elsewhere_and_others_end_in_an_error(
    running: Running, name: str
) -> None:
    began = time.monotonic()
    answer = ask(running, f"safe-f-{name}", stream=True)
    assert time.monotonic() - began < 30
    assert answer.status_code == 200, answer.text
    *before, last = events(answer)
    if name.replace("-", "_") in BEGUN and answer.headers["x-model-used"] != "good":
        error = json.loads(last)["error"]
        assert error["type"] in ("unavailable", "deadline_exceeded"), error
        assert before
        assert "[DONE]" not in answer.text
    else:
        assert answer.headers["x-model-used"] == "good"
        assert last == "[DONE]"


def test_what_goes_on_failing_is_left_alone_and_refused_at_once(running: Running) -> None:
    for _ in range(5):
        ask(running, "only-f-500")
    requests, began = STUBS["500"].requests, time.monotonic()
    answers = [ask(running, "only-f-500") for _ in range(10)]
    # One may try whether it still fails, a second later at the earliest.
    assert STUBS["500"].requests - requests <= 1 + (time.monotonic() - began)
    while "Circuit open" not in answers[-1].text:
        assert time.monotonic() - began < 60
        answers.append(ask(running, "only-f-500"))
    assert {answer.status_code for answer in answers} == {503}
    assert int(answers[-1].headers["retry-after"]) >= 1
    states = CLIENT.get(f"{running.url}/metrics").text
    assert 'llm_upstream_state{upstream="f-500"} 0.0' not in states
    assert 'llm_upstream_state{upstream="good"} 0.0' in states


async def test_one_that_hangs_holds_nobody_else_and_no_longer_than_allowed(
    running: Running,
) -> None:
    hanging = STUBS["hang"]
    url = f"{running.url}/v1/chat/completions"
    asked = {"model": "f-stuck", "messages": HELLO, "stream": True}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        await until(lambda: hanging.open == 0)
        tasks = [asyncio.create_task(client.post(url, json=asked)) for _ in range(8)]
        await until(lambda: hanging.open == 8)
        for _ in range(5):
            answer = await client.post(url, json={**asked, "model": "good", "stream": False})
            assert answer.status_code == 200
        assert hanging.open == 8
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await until(lambda: hanging.open == 0)
    began = time.monotonic()
    answer = await asyncio.to_thread(ask, running, "only-f-hang", stream=True)
    assert answer.status_code in (503, 504)
    assert time.monotonic() - began < 30


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)
