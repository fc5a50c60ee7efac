"""Upstreams that misbehave behind a running service: a fallback, a proper status, or an error
event; never a hang, and those that go on failing are left alone.
"""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from service_fakes import Running, run_service, run_stubs
from stub_upstream import Stub

CLIENT = httpx.Client(trust_env=False, timeout=40)
FAULTS = ("hang", "500", "reset")  # no answer, a refusal, and an end midway
STUBS = {fault: Stub(fault=fault) for fault in FAULTS}
MODEL = """
[models.{name}]
backend = "openai"
base_url = "{url}"
timeout = 1
[routes.only-{name}]
targets = ["{name}"]
retries = 0
[routes.safe-{name}]
targets = ["{name}"]
fallback = ["good"]
retries = 0
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with run_stubs(Stub(), *STUBS.values()) as (good, *made):
        table = f'[models.good]\nbackend = "openai"\nbase_url = "{good}"\n'
        urls = {**dict(zip(FAULTS, made, strict=True)), "gone": "http://127.0.0.1:1/v1"}
        for fault, url in urls.items():
            table += MODEL.format(name=f"f-{fault}", url=url)
        with run_service(tmp_path_factory.mktemp("upstream"), table) as service:
            yield service


def ask(running: Running, way: str, fault: str, **body: object) -> httpx.Response:
    messages = [{"role": "user", "content": "hello"}]
    given = {"model": f"{way}-f-{fault}", "messages": messages, **body}
    return CLIENT.post(f"{running.url}/v1/chat/completions", json=given)


@pytest.mark.parametrize("fault", [*FAULTS, "gone"])
def test_answer_comes_from_the_fallback_or_fails_properly(running: Running, fault: str) -> None:
    began = time.monotonic()
    safe = ask(running, "safe", fault)
    assert safe.status_code == 200, safe.text
    assert safe.headers["x-model-used"] == "good"
    alone = ask(running, "only", fault)
    assert alone.status_code in (503, 504), alone.text
    error = alone.json()["error"]
    assert error["type"] in ("unavailable", "deadline_exceeded")
    assert "127.0.0.1" not in error["message"]

    stream = ask(running, "safe", fault, stream=True)
    assert stream.status_code == 200, stream.text
    *before, last = stream.text.strip().split("\n\n")
    if fault == "reset" and stream.headers["x-model-used"] != "good":
        error = json.loads(last.removeprefix("data: "))["error"]
        assert error["type"] in ("unavailable", "deadline_exceeded"), error
        assert before and "[DONE]" not in stream.text
    else:
        assert (stream.headers["x-model-used"], last) == ("good", "data: [DONE]")
    assert time.monotonic() - began < 60


def test_failing_upstream_is_left_alone_and_refused_at_once(running: Running) -> None:
    for _ in range(5):
        ask(running, "only", "500")
    requests, began = STUBS["500"].requests, time.monotonic()
    answers = [ask(running, "only", "500") for _ in range(10)]
    # One may try whether it still fails, a second later at the earliest.
    assert STUBS["500"].requests - requests <= 1 + (time.monotonic() - began)
    while "Circuit open" not in answers[-1].text:
        assert time.monotonic() - began < 60
        answers.append(ask(running, "only", "500"))
    assert {answer.status_code for answer in answers} == {503}
    assert int(answers[-1].headers["retry-after"]) >= 1
    states = CLIENT.get(f"{running.url}/metrics").text
    assert 'llm_upstream_state{upstream="f-500"} 0.0' not in states
    assert 'llm_upstream_state{upstream="good"} 0.0' in states
