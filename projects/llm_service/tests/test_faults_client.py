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
model = "stub"
price_in = 1.0
price_out = 2.0
[models.slow]
backend = "openai"
base_url = "{slow}"
model = "stub"
price_out = 1000.0
[models.endless]
backend = "openai"
base_url = "{endless}"
model = "stub"
"""
CLIENT = httpx.Client(trust_env=False, timeout=60)
HELLO = [{"role": "user", "content": "hello"}]
pytestmark = pytest.mark.timeout(180)  # a service starts and loads its model


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("client")
    slow = Stub(tokens=2000, between=0.05)  # 100 s
    with run_stubs(Stub(), slow, Stub(tokens=100_000)) as (stub, slow_url, endless):
        table = TABLE.format(stub=stub, slow=slow_url, endless=endless)
        with run_service(folder, table) as service:
            yield service


def ask(running: Running, **body: object) -> httpx.Response:
    given = {"model": "stub", "messages": HELLO, **body}
    return CLIENT.post(f"{running.url}/v1/chat/completions", json=given)


def send(running: Running, body: bytes, kind: str = "application/json") -> httpx.Response:
    url = f"{running.url}/v1/chat/completions"
    return CLIENT.post(url, content=body, headers={"content-type": kind})


def connect(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=40)


def request(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: localhost", *headers]
    lines += ["content-type: application/json"]
    lines += [f"content-length: {len(body) if length is None else length}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def load_of(running: Running, model: str) -> int:
    text = CLIENT.get(f"{running.url}/metrics").text
    (line,) = [
        x for x in text.splitlines() if x.startswith(f'llm_requests_running{{model="{model}')
    ]
    return int(float(line.split()[-1]))


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.02)


def rows(running: Running) -> dict[str, dict[str, object]]:
    found = CLIENT.get(f"{running.url}/admin/usage?by=model").json()["rows"]
    return {row["model"]: row for row in found}


def usage_of(running: Running, model: str) -> tuple[int, float]:
    """How many answers of a model were cancelled, and what all of them cost."""
    row = rows(running).get(model, {"cancelled": 0, "cost_usd": 0.0})
    return int(str(row["cancelled"])), float(str(row["cost_usd"]))


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
    "huge": b'{"messages":[{"role":"user","content":"a"}],"seed":1' + b"0" * 4000 + b"}",
    "huger": b'{"messages":[{"role":"user","content":"a"}],"seed":1' + b"0" * 9000 + b"}",
    "huge n": b'{"model":"stub","messages":[{"role":"user","content":"a"}],"n":1000000000}',
    "NUL as the model": b'{"model":"\\u0000","messages":[{"role":"user","content":"a"}]}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_a_400_that_says_why(running: Running, name: str) -> None:
    answer = send(running, BAD_BODIES[name])
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["message"]
    assert len(answer.content) < 1000


def test_of_equal_names_the_last_counts_and_types_of_content_are_checked(running: Running) -> None:
    body = b'{"model":"nope","model":"stub","messages":[{"role":"user","content":"a"}]}'
    assert send(running, body).status_code == 200
    assert send(running, body, "text/plain").status_code == 400
    form = send(running, b"model=stub", "application/x-www-form-urlencoded")
    assert form.status_code == 400


def test_a_body_over_the_limit_is_refused_before_it_is_read(running: Running) -> None:
    with connect(running) as client:
        client.sendall(request(b"", length=10_000_000))
        assert b" 413 " in client.recv(1000)
    answer = ask(running, messages=[{"role": "user", "content": "a" * 10_000_000}])
    assert answer.status_code == 413
    chunks = (b"a" * 100_000 for _ in range(100))
    url = f"{running.url}/v1/chat/completions"
    chunked = CLIENT.post(url, content=chunks, headers={"content-type": "application/json"})
    assert chunked.status_code == 413


def test_long_names_stay_short_in_answers_and_books(running: Running) -> None:
    name = "m" * 1_000_000
    answer = ask(running, model=name)
    assert answer.status_code in (400, 404)
    assert len(answer.content) < 2000
    assert ask(running, user="u" * 1000).status_code == 400
    long = CLIENT.post(
        f"{running.url}/v1/chat/completions",
        json={"model": "stub", "messages": HELLO},
        headers={"x-request-id": "x" * 5000},
    )
    assert long.status_code == 200
    assert len(long.headers["x-request-id"]) <= 100
    for n in range(30):
        ask(running, model=f"unknown-{n}")
    metrics = CLIENT.get(f"{running.url}/metrics").text
    assert "unknown-" not in metrics
    until(lambda: "other" in rows(running) or "unknown-29" in rows(running))
    assert max(len(row) for row in rows(running)) <= 300


def test_who_leaves_a_stream_ends_it_upstream_and_pays_for_what_came(running: Running) -> None:
    cancelled, cost = usage_of(running, "slow")
    body = {"model": "slow", "messages": HELLO, "stream": True}
    with CLIENT.stream("POST", f"{running.url}/v1/chat/completions", json=body) as answer:
        seen = 0
        for line in answer.iter_lines():
            seen += line.startswith("data:")
            if seen == 5:
                break
    until(lambda: load_of(running, "slow") == 0)
    until(lambda: usage_of(running, "slow")[0] == cancelled + 1)
    assert 0.002 < usage_of(running, "slow")[1] - cost < 1.0  # all of it costs 2.0


def test_who_leaves_a_whole_answer_ends_it_upstream(running: Running) -> None:
    cancelled, _ = usage_of(running, "slow")
    with connect(running) as client:
        client.sendall(request(json.dumps({"model": "slow", "messages": HELLO}).encode()))
        until(lambda: load_of(running, "slow") == 1)
    until(lambda: load_of(running, "slow") == 0)
    until(lambda: usage_of(running, "slow")[0] == cancelled + 1)


def test_pipelined_requests_are_answered_in_order(running: Running) -> None:
    bodies = [{"model": "stub", "messages": HELLO, "max_tokens": n} for n in range(1, 9)]
    with connect(running) as client:
        client.sendall(b"".join(request(json.dumps(body).encode()) for body in bodies))
        got = b""
        while got.count(b'"completion_tokens"') < 8:
            part = client.recv(65536)
            assert part
            got += part
    counts = [int(part.split(b",")[0]) for part in got.split(b'"completion_tokens":')[1:]]
    assert counts == list(range(1, 9))


def test_what_is_no_http_is_a_400(running: Running) -> None:
    for wrong in (b"\x16\x03\x01\x02\x00\x01\x00", b"HELLO\r\n\r\n", b"GET  HTTP/9.9\r\n\r\n"):
        with connect(running) as client:
            client.sendall(wrong)
            assert b" 400 " in client.recv(1000)
    two = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n"
    two += b"transfer-encoding: chunked\r\n\r\n"
    with connect(running) as client:
        client.sendall(two + b"0\r\n\r\n")
        assert b" 200 " not in client.recv(1000)


def nested(levels: int, **leaf: object) -> dict[str, object]:
    schema: dict[str, object] = leaf or {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def either(levels: int) -> dict[str, object]:
    """Two to the power of `levels` alternatives."""
    schema: dict[str, object] = {"type": "string"}
    for _ in range(levels):
        options = [{"type": "object", "properties": {n: schema}, "required": [n]} for n in "ab"]
        schema = {"anyOf": options}
    return schema


LETTERS = list("abcdefgh")
LAUGHS = {
    f"d{n}": {
        "type": "object",
        "properties": {k: {"$ref": f"#/$defs/d{n + 1}"} for k in LETTERS},
        "required": LETTERS,
    }
    for n in range(12)
}
SCHEMAS: dict[str, dict[str, object]] = {
    "unsatisfiable": {"type": "integer", "minimum": 5, "maximum": 3},
    "nothing": {"not": {}},
    "deep": nested(20),
    "deeper": nested(200),
    "an enum of 50,000": {"enum": [f"value {n}" for n in range(50_000)]},
    "maxItems": {"type": "array", "items": {"type": "string"}, "maxItems": 10**9},
    "minItems": {"type": "array", "items": {"type": "string"}, "minItems": 10**9},
    "minLength": {"type": "string", "minLength": 10**12},
    "exponential": either(9),
    "billion laughs": {**LAUGHS["d0"], "$defs": {**LAUGHS, "d12": {"type": "string"}}},
    "itself": {"$ref": "#"},
    "itself eight times": {"type": "object", "properties": {k: {"$ref": "#"} for k in LETTERS}},
    "a pattern that backtracks": {"enum": ["a" * 40 + "b"], "pattern": "^(a+)+$"},
    "a pattern of nothing": {"type": "string", "pattern": "^(a*)*$"},
    "ambiguous": {"type": "string", "pattern": "^((a{1,99}){1,99}){1,99}$", "minLength": 50},
    "huge numbers": {"type": "integer", "minimum": -(10**4000), "maximum": 10**4000},
    "tiny steps": {"type": "number", "multipleOf": 1e-300},
    "many choices": {"anyOf": [{"const": n} for n in range(500)]},
    "many branches": {"oneOf": [{"const": n} for n in range(1000)]},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEMAS)
def test_any_schema_is_answered_or_refused_and_the_model_lives_on(service: str, name: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMAS[name]}}
    url = f"{service}/v1/chat/completions"
    body = {"messages": HELLO, "max_tokens": 30, "temperature": 0}
    answer = CLIENT.post(url, json={**body, "response_format": form}, timeout=150)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        assert len(answer.json()["error"]["message"]) < 1000
    else:
        json.loads(answer.json()["choices"][0]["message"]["content"])
    assert CLIENT.post(url, json=body, timeout=150).status_code == 200


@pytest.mark.slow
def test_more_than_the_model_reads_is_refused_in_bounded_time(service: str) -> None:
    url = f"{service}/v1/chat/completions"
    for content in ("word " * 700_000, "\N{GRINNING FACE}" * 200_000, " " * 3_000_000):
        began = time.monotonic()
        answer = CLIENT.post(url, json={"messages": [{"role": "user", "content": content}]})
        assert answer.status_code == 400, answer.text[:300]
        assert time.monotonic() - began < 30
    stops = ["a" * 900_000] * 4
    body = {"messages": HELLO, "max_tokens": 20, "stop": stops}
    assert CLIENT.post(url, json=body).status_code in (200, 400)
    many = {"messages": HELLO, "n": 16, "max_tokens": 8192}
    assert CLIENT.post(url, json=many).status_code == 400
