"""Keys of another process on a running service: wrong, racing for the last cent of a budget; and a
Redis that stalls.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest
from service_fakes import Running, run_service, run_stubs
from stub_upstream import Stub

from llm_service.config import Config
from llm_service.store.database import open_database
from llm_service.store.keys import KeyStore
from seedbed.server.keys import Keys

pytest.importorskip("redis")

TABLE = """
[models.stub]
backend = "openai"
base_url = "{url}"
price_in = 1.0
price_out = 1000.0
[models.unpriced]
backend = "openai"
base_url = "{url}"
[models.endless]
backend = "openai"
base_url = "{endless}"
timeout = 600
"""
CLIENT = httpx.Client(trust_env=False, timeout=60)
ENDLESS = Stub(fault="hang")
OPERATOR = "the-operator-has-a-long-key"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with (
        run_stubs(Stub(tokens=10, first_token=0.05), ENDLESS) as (url, endless),
        # A Redis that takes connections and never says anything.
        socket.create_server(("127.0.0.1", 0)) as silent,
        run_service(
            tmp_path_factory.mktemp("keys"),
            TABLE.format(url=url, endless=endless),
            SEEDBED_API_KEYS=f"operator={OPERATOR}",
            SERVICE_REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0",
        ) as service,
    ):
        yield service


def make_key(running: Running, name: str, **limits: object) -> str:
    database = open_database(Config(data_dir=running.folder, _env_file=None))
    try:
        return KeyStore(database, Keys()).create(name, **limits)[1]
    finally:
        database.close()


async def ask(
    running: Running, key: str, model: str = "stub", times: int = 1
) -> list[httpx.Response]:
    """`times` requests at once."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 10}
    url, headers = f"{running.url}/v1/chat/completions", {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers=headers) as client:
        return await asyncio.gather(*(client.post(url, json=body) for _ in range(times)))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


def test_a_wrong_key_is_a_401_whatever_it_looks_like(running: Running) -> None:
    for wrong in ("", "sk-sb-wrong", "x" * 10_000, "'; DROP TABLE keys; --"):
        headers = {"authorization": f"Bearer {wrong}"} if wrong else {}
        # It is refused before its body is read.
        url, body = f"{running.url}/v1/chat/completions", b"x" * 3_000_000
        answer = CLIENT.post(url, content=body, headers=headers)
        assert answer.status_code == 401, wrong
        assert answer.json()["error"]["type"] == "unauthorized"
        assert wrong not in answer.text or not wrong
    assert CLIENT.get(f"{running.url}/metrics").status_code == 401
    assert CLIENT.get(f"{running.url}/healthz").status_code == 200


async def test_one_key_racing_for_the_last_cent_never_spends_more(running: Running) -> None:
    key = make_key(running, "poor", budget_usd=0.05)  # an answer costs 0.01
    answers = await ask(running, key, times=40)
    good = [a for a in answers if a.status_code == 200]
    assert {a.status_code for a in answers} == {200, 429}
    assert 1 <= len(good) <= 4
    over = next(a for a in answers if a.status_code == 429)
    assert over.json()["error"]["code"] == "insufficient_quota"
    assert over.headers["x-should-retry"] == "false"
    while (answer := (await ask(running, key))[0]).status_code == 200:  # what was reserved is free
        good.append(answer)
    assert len(good) == 4  # a fifth might cost more than is left
    operator = {"authorization": f"Bearer {OPERATOR}"}

    def get(path: str) -> httpx.Response:
        return CLIENT.get(f"{running.url}{path}", headers=operator)

    await until(lambda: "llm_accounting_pending 0.0" in get("/metrics").text)
    rows = get("/admin/usage?by=key").json()["rows"]
    (total,) = (row["cost_usd"] for row in rows if row["key"] == "poor")
    assert total == pytest.approx(sum(float(a.headers["x-cost-usd"]) for a in good))
    assert 0.04 < total <= 0.05


async def test_concurrency_holds_and_no_request_waits_while_redis_stalls(running: Running) -> None:
    key = make_key(running, "two-at-a-time", concurrency=2, rpm=1000)
    tasks = [asyncio.create_task(ask(running, key, "endless")) for _ in range(2)]
    await until(lambda: ENDLESS.open == 2)
    answers = await ask(running, key, times=4)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert {a.status_code for a in answers} == {429}
    assert all("2 of 2 requests are running" in a.text for a in answers)
    await until(lambda: ENDLESS.open == 0)
    # Some 60 ms on a quiet machine. One that waits for Redis takes 0.25 s more.
    answers = [(await ask(running, key))[0] for _ in range(20)]
    assert {a.status_code for a in answers} == {200}
    assert min(answer.elapsed.total_seconds() for answer in answers) < 0.3


async def test_budget_refuses_a_model_whose_price_is_unknown(running: Running) -> None:
    (refused,) = await ask(running, make_key(running, "limited", budget_usd=1.0), "unpriced")
    assert refused.status_code == 503
    assert "[models.unpriced]" in refused.json()["error"]["message"]
    (answer,) = await ask(running, make_key(running, "unlimited"), "unpriced")
    assert answer.status_code == 200
