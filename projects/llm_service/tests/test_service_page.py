"""The status page, its figures as JSON, and the gauges, on a running app and in a real browser."""

import asyncio
import html

import pytest
from prometheus_client import generate_latest
from service_fakes import TABLE, run_service

from llm_service.request import Load
from seedbed.errors import Unavailable
from seedbed.testing.launch import launch_chromium

HOSTILE = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'


def headers(secret):
    return {"authorization": f"Bearer {secret}"}


async def test_status_shows_models_and_spending(served):
    _, secret = served.keys.create(HOSTILE[:90], budget_usd=0.001, team="red", team_budget_usd=1.0)
    _, operator = served.keys.create("ops", scopes=("admin",))
    assert (await served.chat(key=secret, max_tokens=5)).status_code == 200
    served.echo.error = Unavailable("http://10.0.0.7/v1 is away.")
    assert (await served.chat("again", key=secret, max_tokens=5)).status_code == 503
    assert await asyncio.to_thread(served.gateway.accounting.flush, 30)

    for path in ("/", "/admin/status", "/metrics"):
        assert (await served.client.get(path, headers=headers(secret))).status_code == 403
    status = (await served.client.get("/admin/status", headers=headers(operator))).json()
    cost = (7 * 1.0 + 3 * 2.0) / 1e6
    assert status["today_usd"] == status["month_usd"] == pytest.approx(cost)
    (row,) = status["keys"]
    assert (row["n"], row["errors"], row["budget_usd"]) == (2, 1, 0.001)
    model = next(model for model in status["models"] if model["name"] == "echo")
    assert (model["requests"], model["errors"], model["breaker"]) == (2, 1, "closed")
    assert model["p50_seconds"] > 0
    page = (await served.client.get("/", headers=headers(operator))).text
    assert "onerror" in page and "<img" not in page
    assert "1% of $0.001000" in html.unescape(page)


async def test_gauges_are_read_at_scrape_time(served):
    key, _ = served.keys.create("ann", budget_usd=2.0, team="red", team_budget_usd=4.0)
    payers = served.gateway.admission.budgets.reserve(key, 1.0)
    served.gateway.admission.budgets.spend(payers, 1.0)
    served.echo.load = Load(3, 2)

    def scraped():
        return generate_latest(served.registry).decode()

    assert 'llm_budget_used_ratio{key="ann"} 0.5' in scraped()
    assert 'llm_budget_used_ratio{key="team red"} 0.25' in scraped()
    assert 'llm_requests_waiting{model="echo"} 2.0' in scraped()
    assert "llm_queue_depth 5.0" in scraped()
    assert 'llm_upstream_state{upstream="echo"} 0.0' in scraped()
    served.keys.revoke(key.id)
    assert 'llm_budget_used_ratio{key="ann"}' not in scraped()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(240)
def test_page_fits_a_phone_and_loads_nothing_else(tmp_path):
    with run_service(tmp_path, TABLE) as running, launch_chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        loaded = []
        page.on("request", lambda request: loaded.append(request.url))
        page.goto(running.url)
        page.get_by_role("cell", name="echo").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert {url.removeprefix(running.url) for url in loaded} <= {"/", "/favicon.ico"}
