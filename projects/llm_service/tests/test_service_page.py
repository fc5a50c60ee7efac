"""The status page and playground: its files and JSON, and the page in a real browser."""

import asyncio
import json
import re
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import Request
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from llm_service.observe.last_minutes import Recent
from llm_service.observe.metrics import Metrics
from llm_service.request import Load
from llm_service.web import page
from seedbed import errors
from seedbed.server.service import Caller, create_app
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium, serve_app

PACKAGE = Path(page.__file__).parent
LONG = "a-merged-model-with-a-name-that-goes-on-and-on-" * 3
HOSTILE = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'
SLOW = 30_000  # milliseconds, for a busy machine


def ended(**changed):
    usual = {"request_id": "r" * 32, "model": "smollm2", "model_used": "smollm2", "kind": "chat"}
    usual |= {"outcome": "ok", "seconds": 0.8, "prompt_tokens": 30, "completion_tokens": 60}
    return SimpleNamespace(**usual | {"cached_tokens": 0, "cost_usd": 0.0, "cache": ""} | changed)


@pytest.fixture
def sources():
    """The page's sources over a registry of their own; nothing has happened yet."""
    metrics = Metrics(CollectorRegistry(), Recent(now=lambda: datetime(2026, 11, 24, tzinfo=UTC)))
    metrics.known_models(["smollm2", LONG])
    models = [
        {"name": "smollm2", "kind": "chat", "backend": "local"},
        {"name": LONG, "kind": "chat", "backend": "openai", "price_in": 0.5, "price_out": 2.0},
        {"name": "minilm", "kind": "embedding", "backend": "local"},
    ]
    return page.Sources(metrics, models=lambda: models, version="0.1.0", spend_seconds=0)


def make_busy(sources):
    metrics = sources.metrics
    metrics.watch("load", lambda: {"smollm2": Load(14, 3), LONG: Load(1, 0)})
    metrics.watch("queue_limit", lambda: {"smollm2": 64})
    metrics.watch("upstreams", lambda: {LONG: 2})
    metrics.watch("models", lambda: {"smollm2": 616_000_000})
    metrics.watch("cache", lambda: {"entries": 120, "bytes": 512_000})
    metrics.watch("accounting", lambda: {"pending": 3, "failed_writes": 0})
    for n in range(40):
        metrics.first_token("smollm2", 0.05 + n / 300)
        metrics.attempt("smollm2")
        metrics.request(ended(seconds=0.4 + n / 30, cache="hit" if n % 4 == 0 else "miss"))
    metrics.decision("pii_in:redacted")
    metrics.decision("injection:blocked")
    metrics.refused("budget")
    metrics.attempt(LONG, "unavailable")
    metrics.request(ended(model=LONG, outcome="unavailable"), f"{HOSTILE} {'x' * 250}")
    metrics.request(ended(outcome="busy"), "64 requests wait, the limit here. Try again in 2 s.")
    keys = [
        {"name": "ada", "cost_usd": 9.1, "budget_usd": 10, "requests": 812, "tokens": 91_000},
        {"name": "k" * 60, "cost_usd": 0.0042, "budget_usd": None, "requests": 3, "tokens": 900},
    ]
    sources.spend = lambda: {"today_usd": 1.25, "month_usd": 9.1042, "keys": keys}


def test_the_status_of_a_server_that_nobody_asked(sources):
    found = page.status(sources)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["running"], found["waiting"], found["spend"], found["errors"]) == (0, 0, None, [])
    assert [model["name"] for model in found["models"]] == ["smollm2", LONG, "minilm"]
    assert found["models"][0]["loaded"] is None and found["models"][0]["breaker"] is None


def test_the_status_of_a_busy_server(sources):
    make_busy(sources)
    found = page.status(sources)
    assert (found["running"], found["waiting"]) == (15, 3)
    local, remote, _ = found["models"]
    assert (local["loaded"], local["memory_bytes"], local["queue_limit"]) == (True, 616_000_000, 64)
    assert (local["attempts"], local["failures"]) == (40, 0)
    assert (remote["breaker"], remote["failures"], remote["price_out"]) == ("open", 1, 2.0)
    assert found["recent"]["cache"] == {"miss": 30, "hit": 10}
    assert [error["type"] for error in found["errors"]] == ["busy", "unavailable"]
    assert found["spend"]["month_usd"] == 9.1042


def test_a_model_that_left_the_table_is_shown_until_it_is_done(sources):
    sources.metrics.watch("load", lambda: {"removed": Load(running=1)})
    assert page.status(sources)["models"][-1]["name"] == "removed"


def test_the_spend_is_asked_rarely_and_may_fail(sources):
    asked = []

    def broken():
        asked.append(1)
        raise OSError("disk full")

    sources.spend, sources.spend_seconds = broken, 600
    assert page.status(sources)["spend"] is None
    assert page.status(sources)["spend"] is None
    assert len(asked) == 1


def make_app(sources, keys=""):
    """An app with the real page over a scripted API; `app.state.asked` keeps what was sent.

    While `app.state.go` is not set, an answer waits after its first word.
    """
    app = create_app("llm_service", version="0.1.0", settings=Settings(api_keys=keys))
    app.include_router(page.routes())
    app.state.asked = []
    app.state.go = threading.Event()
    app.state.go.set()

    @app.get("/admin/status")
    def status(caller: Caller):
        if caller == "visitor":
            raise errors.Forbidden("The key 'visitor' lacks the scope admin.")
        return page.status(sources)

    @app.get("/v1/models")
    def models():
        return {"data": [{"id": model["name"]} for model in sources.models()]}

    @app.post("/v1/feedback")
    async def feedback(request: Request):
        app.state.asked.append(await request.json())
        return {"ok": True}

    @app.post("/v1/chat/completions")
    async def chat(request: Request):
        body = await request.json()
        app.state.asked.append(body)
        if "fail" in body["messages"][-1]["content"]:
            raise errors.Busy("64 requests wait, the limit here.")
        headers = {"x-model-used": body["model"]}
        return StreamingResponse(
            stream(body, app.state.go), media_type="text/event-stream", headers=headers
        )

    @app.get("/blank")
    def blank():
        return JSONResponse({})

    return app


async def stream(body, go):
    def chunk(delta, **more):
        choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish", None)}
        return f"data: {json.dumps({'id': 'chatcmpl-7', 'choices': [choice], **more})}\n\n"

    yield chunk({"role": "assistant", "content": ""})
    if body.get("tools"):
        call = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": '{"ci'}}
        yield chunk({"tool_calls": [call]})
        yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'ty":"Oslo"}'}}]})
        yield chunk({}, finish="tool_calls")
    else:
        endless = "endless" in body["messages"][-1]["content"]
        for word in ["Paris ", "is ", "the ", "capital. ", HOSTILE] + ["on "] * 20_000 * endless:
            yield chunk({"content": word})
            await asyncio.sleep(0.01)
            while not go.is_set():
                await asyncio.sleep(0.01)
        yield chunk({}, finish="stop")
    usage = {"prompt_tokens": 12, "completion_tokens": 9}
    yield f"data: {json.dumps({'id': 'chatcmpl-7', 'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def test_the_page_is_static_and_its_policy_forbids_what_is_not_its_own(sources):
    client = TestClient(make_app(sources))
    html = client.get("/")
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    policy = html.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    wanted = re.findall(r'(?:src|href)="([^"#]+)"', html.text)
    assert sorted(set(wanted)) == ["page.css", "page.js", "page.svg"]
    for name in wanted:
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        same = client.get(f"/{name}", headers={"if-none-match": answer.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")


def test_the_files_need_nothing_inline_and_nothing_from_elsewhere():
    html, script = ((PACKAGE / f"page.{kind}").read_text("utf-8") for kind in ("html", "js"))
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src)|javascript:", html)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
    for text in (html, script, (PACKAGE / "page.css").read_text("utf-8")):
        assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}
    used = set(re.findall(r'\$\("([\w-]+)"\)|(?:fill|spark|percentiles)\("([\w-]+)"', script))
    ids = set(re.findall(r'\sid="([\w-]+)"', html))
    assert {name for pair in used for name in pair if name} <= ids


def test_with_keys_a_browser_is_asked_for_one(sources):
    client = TestClient(make_app(sources, keys="ada=secret"))
    refused = client.get("/", headers={"accept": "text/html"})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert client.get("/", auth=("", "secret")).status_code == 200
    # A script's fetch must not make the browser open its dialog again and again.
    assert client.get("/admin/status").headers["www-authenticate"].startswith("Bearer")


@pytest.fixture(scope="module")
def browser():
    with launch_chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser):
    """Opens the page of an app. Afterwards: no error, no stranger's script, no foreign request."""
    foreign, wrong = [], []

    def open_page(app, **options):
        served = ExitStack()
        url = served.enter_context(serve_app(app))
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        context.set_default_timeout(SLOW)
        opened.append((context, served))
        known = ("http://127.0.0.1:",)
        context.on("request", lambda r: r.url.startswith(known) or foreign.append(r.url))
        shown = context.new_page()
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.on("console", lambda m: "Security Policy" in m.text and wrong.append(m.text))
        shown.goto(url)
        return shown

    opened = []
    yield open_page
    try:
        ran = [shown.evaluate("window.ran") for context, _ in opened for shown in context.pages]
    finally:
        for context, served in opened:
            context.close()
            served.close()
    assert not any(ran) and foreign == [] and wrong == []


def fits(shown):
    """Nothing makes the page wider than its window."""
    return shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(180)
def test_the_status_shows_load_money_errors_and_a_lost_connection(visit, sources):
    from playwright.sync_api import expect

    shown = visit(make_app(sources), viewport={"width": 400, "height": 800})
    shown.get_by_text("No requests yet.").wait_for()
    make_busy(sources)
    shown.get_by_text("circuit open").wait_for()
    # The page may have asked in the middle of `make_busy`: then its next look has the rest.
    expect(shown.locator("#load")).to_have_text("15 · 3", timeout=SLOW)
    expect(shown.locator("#today")).to_have_text("$1.25", timeout=SLOW)
    expect(shown.locator("#cache")).to_have_text("25.0 %", timeout=SLOW)
    expect(shown.locator("#errors")).to_contain_text("<img src=x", timeout=SLOW)
    assert fits(shown)
    # A server that stops and returns: another program could take the port of a real one meanwhile.
    shown.route("**/admin/status", lambda route: route.abort("connectionrefused"))
    shown.get_by_text(re.compile(r"disconnected since \d\d:\d\d:\d\d, reconnecting")).wait_for()
    shown.unroute("**/admin/status")
    shown.locator("#connection", has_text=re.compile("^up$")).wait_for()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(180)
def test_the_playground_streams_stops_rates_and_explains(visit, sources):
    from playwright.sync_api import expect

    app = make_app(sources)
    shown = visit(app)
    shown.locator("nav").get_by_text("Playground").click()
    expect(shown.locator("#model option")).to_have_count(2, timeout=SLOW)
    shown.locator("#system").fill("Be brief.")
    question = shown.get_by_label("Message")
    app.state.go.clear()
    question.fill("What is the capital of France?")
    question.press("Enter")
    shown.get_by_text("Paris").wait_for()
    app.state.go.set()
    facts = shown.locator(".facts").nth(0)
    facts.get_by_text("tokens/s").wait_for()
    assert "Paris is the capital. <img" in shown.locator(".turn .text").nth(1).inner_text()
    assert re.search(r"first token [\d.]+ m?s", facts.inner_text())
    assert "12 + 9 tokens" in facts.inner_text() and "$0" in facts.inner_text()
    sent = app.state.asked[0]
    assert [m["role"] for m in sent["messages"]] == ["system", "user"]
    assert (sent["temperature"], sent["max_tokens"], sent["stream"]) == (0, 256, True)

    facts.get_by_role("button", name="Good answer").click()
    facts.locator("[aria-pressed=true]").wait_for()
    assert app.state.asked[-1] == {"response_id": "chatcmpl-7", "rating": "up"}

    question.fill("endless")
    question.press("Enter")
    shown.get_by_text("on on on").wait_for()
    shown.get_by_role("button", name="Stop").click()
    shown.get_by_text("stopped").wait_for()
    question.fill("fail")
    question.press("Enter")
    shown.get_by_text("64 requests wait, the limit here.").wait_for()

    shown.get_by_text("Advanced").click()
    shown.locator("#tools").fill("[{")
    question.fill("And the weather?")
    question.press("Enter")
    shown.get_by_text("Invalid list of tools").wait_for()
    assert question.input_value() == "And the weather?"
    shown.locator("#tools").fill('[{"type": "function", "function": {"name": "weather"}}]')
    shown.locator("#more").fill('{"seed": 3}')
    question.press("Enter")
    shown.get_by_text('weather({ "city": "Oslo" })').wait_for()
    sent = app.state.asked[-1]
    assert sent["seed"] == 3 and sent["tools"][0]["function"]["name"] == "weather"
    # What failed is not a part of the conversation; what was stopped is.
    asked = [m["content"] for m in sent["messages"] if m["role"] == "user"]
    assert asked == ["What is the capital of France?", "endless", "And the weather?"]


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(180)
def test_a_key_without_the_admin_scope_sees_the_playground_alone(visit, sources):
    app = make_app(sources, keys="visitor=secret")
    shown = visit(app, http_credentials={"username": "x", "password": "secret"})
    shown.get_by_text("lacks the scope admin").wait_for()
    assert not shown.get_by_role("link", name="Status").is_visible()
    assert not shown.locator("#status-view").is_visible()
    shown.get_by_label("Message").fill("Hello")
    shown.get_by_role("button", name="Send").click()
    shown.locator(".facts").get_by_text("12 + 9 tokens").wait_for()
    assert app.state.asked[0]["messages"][0]["content"] == "Hello"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(240)
def test_the_real_model_answers_in_the_playground(browser, service):
    shown = browser.new_page()  # the browser's end closes it
    shown.set_default_timeout(2 * SLOW)
    shown.goto(f"{service}/#playground")
    shown.locator("#model option").first.wait_for(state="attached")
    question = shown.get_by_label("Message")
    question.fill("What is the capital of France?")
    question.press("Enter")
    good = shown.get_by_role("button", name="Good answer")
    good.wait_for()
    assert "Paris" in shown.locator(".turn .text").nth(1).inner_text()
    good.click()
    shown.locator(".facts [aria-pressed=true]").wait_for()
