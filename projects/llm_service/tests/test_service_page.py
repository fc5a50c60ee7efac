"""The status of a running service, and the page in a real browser."""

import asyncio
import re
from contextlib import ExitStack, contextmanager

import pytest
from prometheus_client import generate_latest
from service_fakes import TABLE, FakeBackend, FakePool, serving

from llm_service.config import Config
from llm_service.gateway.gateway import Gateway
from llm_service.observe.metrics import Metrics
from llm_service.request import Load
from llm_service.store.database import open_database
from llm_service.store.keys import KeyStore
from llm_service.web.openai_api import create_app
from llm_service.web.page import status_html, text_of
from seedbed.errors import BadInput, Unavailable
from seedbed.server.keys import Keys
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium, serve_app

HOSTILE = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'
SLOW = 60_000  # milliseconds, for a busy machine


async def test_status_shows_requests_cost_budgets_and_errors(served):
    _, secret = served.keys.create("ann", budget_usd=0.001, team="red", team_budget_usd=1.0)
    _, operator = served.keys.create("ops", scopes=("admin",))
    assert (await served.chat(key=secret, max_tokens=5)).status_code == 200
    served.echo.error = Unavailable("http://10.0.0.7/v1 is away.")
    failed = await served.chat("again", key=secret, max_tokens=5)
    assert failed.status_code == 503
    served.echo.error = BadInput("stop: wrong.")
    assert (await served.chat("wrong", key=secret, max_tokens=5)).status_code == 400
    assert await asyncio.to_thread(served.gateway.accounting.flush, 30)

    headers = {"authorization": f"Bearer {secret}"}
    assert (await served.client.get("/admin/status", headers=headers)).status_code == 403
    assert (await served.client.get("/metrics", headers=headers)).status_code == 403
    headers = {"authorization": f"Bearer {operator}"}
    status = (await served.client.get("/admin/status", headers=headers)).json()
    cost = (7 * 1.0 + 3 * 2.0) / 1e6
    row = next(row for row in status["spend"]["keys"] if row["name"] == "ann")
    assert row["cost_usd"] == pytest.approx(cost) and row["budget_usd"] == 0.001
    assert (status["requests"], status["failed"], status["rejected"]) == (3, 1, 1)
    assert status["latency"]["p50"] > 0 and status["first_token"] is None
    model = next(model for model in status["models"] if model["name"] == "echo")
    assert model["attempts"]["failed"] >= 1 and model["breaker"] == "closed"
    error = status["errors"][1]
    assert (error["type"], error["model"]) == ("unavailable", "echo")
    assert error["request_id"] == failed.headers["x-request-id"]
    assert "is away" in error["message"]


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


async def test_status_of_a_service_without_requests(served):
    status = (await served.client.get("/admin/status")).json()
    assert (status["running"], status["waiting"], status["errors"]) == (0, 0, [])
    assert [model["name"] for model in status["models"]] == ["echo", "vectors"]
    assert "No errors" in status_html(status)


async def test_status_page_escapes_what_upstreams_and_clients_sent(served):
    served.echo.error = Unavailable(HOSTILE)
    await served.chat()
    status = (await served.client.get("/admin/status")).json()
    assert "onerror" in status_html(status) and "<img" not in status_html(status)


def test_text_of_joins_the_parts_of_a_message():
    assert text_of([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]) == "a\nb"


@contextmanager
def serve_fake(folder, keys="", **backends):
    """The app over fake backends on a port: its address and its gateway."""
    models = folder / "models.toml"
    models.write_text(TABLE, encoding="utf-8")
    config = Config(data_dir=folder, models=models, keep_content="rated", _env_file=None)
    settings = Settings(_env_file=None, api_keys=keys)
    database = open_database(config)
    store = KeyStore(database, Keys.parse(keys))
    from prometheus_client import CollectorRegistry

    metrics = Metrics(CollectorRegistry())
    gateway = Gateway(config, settings, database, metrics, make_pool=FakePool(backends))
    with serve_app(create_app(gateway, store)) as url:
        yield url, gateway, store
    database.close()


@pytest.fixture(scope="module")
def browser():
    with launch_chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser):
    """Opens a page. Afterwards: no error, no injected script, no request to another host."""
    foreign, errors, contexts = [], [], ExitStack()

    def open_page(url, **options):
        context = contexts.enter_context(browser.new_context(**options))
        context.set_default_timeout(SLOW)
        context.on("request", lambda r: r.url.startswith(own) or foreign.append(r.url))
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        pages.append(page)
        return page

    pages, own = [], ("http://127.0.0.1:", "data:", "blob:")
    yield open_page
    ran = [page.evaluate("window.ran") for page in pages]
    contexts.close()
    assert not any(ran) and foreign == [] and errors == []


def metrics(gateway):
    return generate_latest(gateway.metrics.registry).decode()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(240)
def test_page_shows_status_and_playground_streams_and_rates(visit, tmp_path):
    from playwright.sync_api import expect

    echo = FakeBackend(text=f"Paris is the capital {HOSTILE}", pause=0.05)
    with serve_fake(tmp_path, echo=echo) as (url, gateway, _):
        page = visit(url, viewport={"width": 390, "height": 800})
        page.get_by_text("No errors since the start.").wait_for()
        page.get_by_role("tab", name="Playground").click()
        box = page.get_by_placeholder("Type a message")
        box.fill("What is the capital of France?")
        box.press("Enter")
        expect(page.locator("#chat")).to_contain_text("Paris is the capital")
        page.get_by_role("tab", name="Status").click()
        # It counts the request when it has ended; only then can its answer be rated.
        expect(page.locator("#status tr", has_text="Requests since")).to_contain_text("1")
        width = "document.documentElement.scrollWidth <= window.innerWidth"
        assert page.evaluate(width)
        page.get_by_role("tab", name="Playground").click()
        page.get_by_label(re.compile("^like", re.IGNORECASE)).first.click()
        while 'llm_feedback_total{rating="up"} 1.0' not in metrics(gateway):
            page.wait_for_timeout(50)  # until the timeout of the test


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(240)
def test_page_hides_the_figures_from_a_key_without_the_scope_admin(visit, tmp_path):
    with serve_fake(tmp_path, echo=FakeBackend()) as (url, _, store):
        _, secret = store.create("visitor")
        page = visit(url, http_credentials={"username": "x", "password": secret})
        page.get_by_text("The figures are shown to keys with the scope admin.").wait_for()
        assert page.get_by_text("Requests since the start").count() == 0


async def test_page_is_not_built_until_it_is_opened(tmp_path):
    import sys

    before = "gradio" in sys.modules
    async with serving(tmp_path) as served:
        await served.chat()
        assert ("gradio" in sys.modules) == before
