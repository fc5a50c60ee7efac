"""Keys over HTTP on a running service: wrong, revoked, expired, over their budget, and racing for
the last cent of it; and a Redis that stalls.
"""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from service_fakes import Running, run_service, run_stubs
from stub_upstream import Stub

pytest.importorskip("redis")

TABLE = """
[models.stub]
backend = "openai"
base_url = "{url}"
model = "stub"
price_in = 1.0
price_out = 1000.0
[models.other]
backend = "openai"
base_url = "{url}"
model = "stub"
[models.endless]
backend = "openai"
base_url = "{endless}"
model = "stub"
timeout = 600
"""
CLIENT = httpx.Client(trust_env=False, timeout=60)
ENDLESS = Stub(fault="hang")
pytestmark = pytest.mark.timeout(180)  # a service starts
HELLO = [{"role": "user", "content": "hello"}]
OPERATOR = "the-operator-has-a-long-key"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("keys")
    with run_stubs(Stub(tokens=10, first_token=0.05), ENDLESS) as (url, endless):
        table = TABLE.format(url=url, endless=endless)
        # A Redis that takes connections and never says anything.
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            run_service(
                folder,
                table,
                SEEDBED_API_KEYS=f"operator={OPERATOR}",
                SERVICE_REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0",
            ) as service,
        ):
            yield service


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def make_key(running: Running, name: str, **limits: object) -> str:
    url = f"{running.url}/admin/keys"
    answer = CLIENT.post(url, json={"name": name, **limits}, headers=bearer(OPERATOR))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def ask(running: Running, key: str, model: str = "stub", **body: object) -> httpx.Response:
    given = {"model": model, "messages": HELLO, "max_tokens": 10, **body}
    url = f"{running.url}/v1/chat/completions"
    return CLIENT.post(url, json=given, headers=bearer(key))


async def ask_together(running: Running, keys: list[str], times: int) -> list[httpx.Response]:
    """`times` requests of each key, all at once."""
    given = {"model": "stub", "messages": HELLO, "max_tokens": 10}
    url = f"{running.url}/v1/chat/completions"
    limits = httpx.Limits(max_connections=len(keys) * times)
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
        asked = [
            client.post(url, json=given, headers=bearer(k)) for _ in range(times) for k in keys
        ]
        return await asyncio.gather(*asked)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


def ask_in_one_minute(
    running: Running, name: str, times: int, model: str, **limits: int
) -> list[httpx.Response]:
    """`times` requests of a key whose limits reset with the next minute."""
    while True:
        minute = time.time() // 60
        key = make_key(running, f"{name} {minute:.0f}", **limits)
        answers = [ask(running, key, model) for _ in range(times)]
        if time.time() // 60 == minute:
            return answers


async def written(running: Running) -> None:
    """Wait until all records are in the database."""

    def nothing_waits() -> bool:
        answer = CLIENT.get(f"{running.url}/metrics", headers=bearer(OPERATOR))
        return "llm_accounting_pending 0.0" in answer.text

    await until(nothing_waits)


def spent(running: Running, *names: str) -> float:
    found = CLIENT.get(f"{running.url}/admin/usage?by=key", headers=bearer(OPERATOR)).json()
    return sum(row["cost_usd"] for row in found["rows"] if row["key"] in names)


def test_a_wrong_key_is_a_401_whatever_it_looks_like(running: Running) -> None:
    url = f"{running.url}/v1/models"
    for wrong in ("", "sk-sb-wrong", "x" * 10_000, "'; DROP TABLE keys; --", "\x7f\x80\xff"):
        sent = {b"authorization": b"Bearer " + wrong.encode("latin-1") if wrong else b"x"}
        answer = CLIENT.get(url, headers=sent)
        if wrong.startswith("\x7f") and answer.status_code == 400:
            continue  # no HTTP header may hold these bytes
        assert answer.status_code == 401, wrong
        assert answer.json()["error"]["type"] == "unauthorized"
        assert wrong not in answer.text or not wrong
    assert CLIENT.get(f"{running.url}/v1/models").status_code == 401
    assert CLIENT.get(f"{running.url}/metrics").status_code == 401
    assert CLIENT.get(f"{running.url}/healthz").status_code == 200


def test_a_wrong_key_is_refused_before_its_body_is_read(running: Running) -> None:
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-no"
    head += "\r\ncontent-type: application/json\r\ncontent-length: 3000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port), timeout=40) as client:
        client.sendall(head.encode())
        assert b" 401 " in client.recv(1000)
    url = f"{running.url}/v1/chat/completions"
    for _ in range(10):
        answer = CLIENT.post(url, content=b"x" * 3_000_000, headers=bearer("sk-no"))
        assert answer.status_code == 401


@pytest.mark.slow
async def test_a_key_made_by_another_process_works_at_once_and_expires(running: Running) -> None:
    from datetime import UTC, datetime, timedelta

    assert ask(running, running.make_key("newcomer", "--rpm", "100")).status_code == 200
    soon = datetime.now(UTC) + timedelta(seconds=5)
    key = make_key(running, "temporary", expires=soon.isoformat())
    assert ask(running, key).status_code == 200
    await until(lambda: datetime.now(UTC) > soon)
    answer = ask(running, key)
    assert answer.status_code == 401
    assert "expired" in answer.json()["error"]["message"]


def test_a_key_may_use_its_models_and_scopes_only(running: Running) -> None:
    key = make_key(running, "narrow", models=["other"], scopes=["chat"])
    assert ask(running, key, "other").status_code == 200
    refused = ask(running, key)
    assert refused.status_code == 403
    assert "'stub'" in refused.json()["error"]["message"]
    assert CLIENT.get(f"{running.url}/admin/keys", headers=bearer(key)).status_code == 403
    embed = {"model": "other", "input": "a"}
    url = f"{running.url}/v1/embeddings"
    assert CLIENT.post(url, json=embed, headers=bearer(key)).status_code in (400, 403)
    listed = CLIENT.get(f"{running.url}/v1/models", headers=bearer(key)).json()["data"]
    assert [model["id"] for model in listed] == ["other"]


async def test_one_key_racing_for_the_last_cent_never_spends_more(running: Running) -> None:
    key = make_key(running, "poor", budget_usd=0.05)  # an answer costs 0.01
    answers = await ask_together(running, [key], 40)
    good = [a for a in answers if a.status_code == 200]
    assert {a.status_code for a in answers} == {200, 429}
    assert 1 <= len(good) <= 4
    over = next(a for a in answers if a.status_code == 429)
    assert over.json()["error"]["code"] == "insufficient_quota"
    assert over.headers["x-should-retry"] == "false"
    while (answer := ask(running, key)).status_code == 200:  # what was reserved is free again
        good.append(answer)
    assert len(good) == 4  # a fifth might cost more than is left
    await written(running)
    total = spent(running, "poor")
    assert total == pytest.approx(sum(float(a.headers["x-cost-usd"]) for a in good))
    assert 0.04 < total <= 0.05


async def test_concurrency_and_rates_hold_while_redis_stalls(running: Running) -> None:
    key = make_key(running, "two-at-a-time", concurrency=2)
    answers = await ask_together(running, [key], 12)
    assert {a.status_code for a in answers} <= {200, 429}
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers=bearer(key)) as client:
        asked = {"model": "endless", "messages": HELLO}
        url = f"{running.url}/v1/chat/completions"
        tasks = [asyncio.create_task(client.post(url, json=asked)) for _ in range(2)]
        await until(lambda: ENDLESS.open == 2)
        answers = await ask_together(running, [key], 4)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert {a.status_code for a in answers} == {429}
    assert all("2 of 2 requests are running" in a.text for a in answers)
    await until(lambda: ask(running, key).status_code == 200)
    answers = ask_in_one_minute(running, "five-a-minute", 8, "other", rpm=5)
    assert [a.status_code for a in answers] == [200] * 5 + [429] * 3
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_what_is_refused_is_refused_quickly_while_others_are_answered(running: Running) -> None:
    first, *others = ask_in_one_minute(running, "once", 30, "other", rpm=1)
    assert first.status_code == 200
    for answer in others:
        assert answer.status_code == 429
        assert json.loads(answer.text)["error"]["code"] == "rate_limit_exceeded"
    # Some 3 ms on a quiet machine. One that waits for Redis takes 0.25 s.
    assert min(answer.elapsed.total_seconds() for answer in others) < 0.2


def test_budget_refuses_a_model_whose_price_is_unknown(running: Running) -> None:
    url = f"{running.url}/v1/chat/completions"
    body = {"model": "other", "messages": HELLO, "max_tokens": 5}
    limited = bearer(make_key(running, "limited-unpriced", budget_usd=1.0))
    refused = CLIENT.post(url, json=body, headers=limited)
    assert refused.status_code == 503
    assert "[models.other]" in refused.json()["error"]["message"]
    unlimited = bearer(make_key(running, "unlimited-unpriced"))
    assert CLIENT.post(url, json=body, headers=unlimited).status_code == 200
