"""Careless and hostile clients of a running service: each is refused or cut off, others go on."""

import json
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from service_fakes import Running, run_service, run_stubs
from stub_upstream import Stub

TABLE = """
[models.stub]
backend = "openai"
base_url = "{stub}"
[models.slow]
backend = "openai"
base_url = "{slow}"
price_out = 1000.0
"""
CLIENT = httpx.Client(trust_env=False, timeout=150)
HELLO = [{"role": "user", "content": "hello"}]
SLOW = Stub(tokens=2000, between=0.05)  # 100 s


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with run_stubs(Stub(), SLOW) as (stub, slow):
        table = TABLE.format(stub=stub, slow=slow)
        with run_service(tmp_path_factory.mktemp("client"), table) as service:
            yield service


def ask(url: str, **body: object) -> httpx.Response:
    return CLIENT.post(f"{url}/v1/chat/completions", json={"messages": HELLO, **body})


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.02)


def usage_of(running: Running, model: str) -> tuple[int, float]:
    """How many answers of a model were cancelled, and what all of them cost."""
    rows = CLIENT.get(f"{running.url}/admin/usage?by=model").json()["rows"]
    found = {row["model"]: (int(row["cancelled"]), float(row["cost_usd"])) for row in rows}
    return found.get(model, (0, 0.0))


BAD_BODIES = {
    "empty": b"",
    "not json": b"{nothing",
    "an array": b"[]",
    "deep": b'{"model":"stub","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep within limits": b'{"model":"stub","messages":' + b"[" * 900 + b"]" * 900 + b"}",
    "NUL": b'{"model":"stub","messages":[{"role":"user","content":"a\\u0000b"}]}',
    "raw NUL": b'{"model":"stub","messages":[{"role":"user","content":"a\x00b"}]}',
    "half a surrogate": b'{"model":"stub","messages":[{"role":"user","content":"\\ud800"}]}',
    "invalid UTF-8": b'{"model":"stub","messages":[{"role":"user","content":"\xff\xfe"}]}',
    "UTF-16": '{"model":"stub"}'.encode("utf-16"),
    "infinite": b'{"model":"stub","messages":[{"role":"user","content":"a"}],"temperature":1e400}',
    "NaN": b'{"model":"stub","messages":[{"role":"user","content":"a"}],"temperature":NaN}',
    "huge": b'{"messages":[{"role":"user","content":"a"}],"seed":1' + b"0" * 9000 + b"}",
    "huge n": b'{"model":"stub","messages":[{"role":"user","content":"a"}],"n":1000000000}',
    "NUL as the model": b'{"model":"\\u0000","messages":[{"role":"user","content":"a"}]}',
}


def test_a_bad_body_is_a_400_that_says_why(running: Running) -> None:
    for name, body in BAD_BODIES.items():
        headers = {"content-type": "application/json"}
        answer = CLIENT.post(f"{running.url}/v1/chat/completions", content=body, headers=headers)
        assert answer.status_code == 400, f"{name}: {answer.text}"
        assert answer.json()["error"]["message"], name
        assert len(answer.content) < 1000, name


def test_long_names_stay_short_in_answers_and_metrics(running: Running) -> None:
    answer = ask(running.url, model="m" * 1_000_000)
    assert answer.status_code in (400, 404)
    assert len(answer.content) < 2000
    assert ask(running.url, user="u" * 1000).status_code == 400
    for n in range(30):
        ask(running.url, model=f"unknown-{n}")
    assert "unknown-" not in CLIENT.get(f"{running.url}/metrics").text


def test_leaving_a_stream_ends_it_upstream_and_what_came_is_paid(running: Running) -> None:
    cancelled, cost = usage_of(running, "slow")
    body = {"model": "slow", "messages": HELLO, "stream": True}
    with CLIENT.stream("POST", f"{running.url}/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        for _ in range(10):  # five events, each with a blank line
            next(lines)
    until(lambda: SLOW.open == 0)
    until(lambda: usage_of(running, "slow")[0] == cancelled + 1)
    assert 0.002 < usage_of(running, "slow")[1] - cost < 1.0  # all of it costs 2.0


def test_leaving_a_whole_answer_ends_it_upstream(running: Running) -> None:
    cancelled, _ = usage_of(running, "slow")
    body = json.dumps({"model": "slow", "messages": HELLO})
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port), timeout=40) as client:
        client.sendall((head + body).encode())
        until(lambda: SLOW.open == 1)
    until(lambda: SLOW.open == 0)
    until(lambda: usage_of(running, "slow")[0] == cancelled + 1)


def either(levels: int) -> dict[str, object]:
    """Two to the power of `levels` alternatives."""
    schema: dict[str, object] = {"type": "string"}
    for _ in range(levels):
        options = [{"type": "object", "properties": {n: schema}, "required": [n]} for n in "ab"]
        schema = {"anyOf": options}
    return schema


SCHEMAS: dict[str, dict[str, object]] = {
    "an enum of 50,000": {"enum": [f"value {n}" for n in range(50_000)]},
    "exponential": either(9),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEMAS)
def test_any_schema_is_answered_or_refused_and_the_model_lives_on(service: str, name: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMAS[name]}}
    answer = ask(service, max_tokens=30, temperature=0, response_format=form)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        assert len(answer.json()["error"]["message"]) < 1000
    else:
        json.loads(answer.json()["choices"][0]["message"]["content"])
    assert ask(service, max_tokens=30, temperature=0).status_code == 200


@pytest.mark.slow
def test_more_than_the_model_reads_is_refused_in_bounded_time(service: str) -> None:
    for content in ("word " * 700_000, "\N{GRINNING FACE}" * 200_000, " " * 3_000_000):
        began = time.monotonic()
        answer = ask(service, messages=[{"role": "user", "content": content}])
        assert answer.status_code == 400, answer.text[:300]
        assert time.monotonic() - began < 30
    assert ask(service, max_tokens=20, stop=["a" * 900_000] * 4).status_code in (200, 400)
    assert ask(service, n=16, max_tokens=8192).status_code == 400
