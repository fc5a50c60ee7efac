"""What the page and Prometheus are told by the whole service, over a fake backend."""

import asyncio

from llm_service.observe.metrics import Metrics
from seedbed.errors import Unavailable


async def test_the_page_tells_requests_money_budgets_and_errors(served):
    key, secret = served.keys.create("ann", budget_usd=0.0001, team="red", team_budget_usd=1.0)
    _, operator = served.keys.create("ops", scopes=("admin",))
    assert (await served.chat(key=secret, max_tokens=5)).status_code == 200
    served.echo.error = Unavailable("http://10.0.0.7/v1 is away.")
    failed = await served.chat("again", key=secret, max_tokens=5)
    assert failed.status_code == 503
    assert await asyncio.to_thread(served.gateway.accounting.flush, 30)

    headers = {"authorization": f"Bearer {secret}"}
    assert (await served.client.get("/admin/status", headers=headers)).status_code == 403
    headers = {"authorization": f"Bearer {operator}"}
    found = (await served.client.get("/admin/status", headers=headers)).json()
    cost = (7 * 1.0 + 3 * 2.0) / 1e6
    row = next(row for row in found["spend"]["keys"] if row["name"] == "ann")
    assert abs(row["cost_usd"] - cost) < 1e-12 and row["budget_usd"] == 0.0001
    assert found["recent"]["requests"] == 2 and found["recent"]["errors"] == 1
    assert found["recent"]["latency"]["p50"] > 0
    error = found["errors"][0]
    assert (error["type"], error["model"]) == ("unavailable", "echo")
    assert error["request_id"] == failed.headers["x-request-id"]
    assert "is away" in error["message"]
    shares = served.gateway.metrics.read("budgets")
    assert shares.keys() == {"ann", "team red"}
    assert abs(shares["ann"] - cost / 0.0001) < 1e-9 and abs(shares["team red"] - cost) < 1e-9
    served.keys.revoke(key.id)
    assert "ann" not in served.gateway.metrics.read("budgets")


async def test_everything_the_page_watches_can_be_read(served):
    metrics: Metrics = served.gateway.metrics
    for name in ("load", "queue_limit", "cache", "upstreams", "accounting", "models", "budgets"):
        assert metrics.read(name) is not None, name
    page = await served.client.get("/")
    assert page.status_code == 200 and "unsafe" not in page.headers["content-security-policy"]
