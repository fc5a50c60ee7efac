"""The parts of a static page, in a real browser under their policy."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse
from fastapi.testclient import TestClient

from seedbed import errors
from seedbed.server import page as parts
from seedbed.server.page import add_parts, page_response
from seedbed.server.service import create_app
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium, serve_app

VENDOR = Path(parts.__file__).parent / "vendor"
HTML = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<link rel="stylesheet" href="/page/parts.css"><script type="module" src="/own.js"></script></head>
<body><main><h1>Page</h1><button id="theme" aria-pressed="false">Dark</button>
<textarea id="ask" aria-label="Ask"></textarea><div id="reply"></div></main></body></html>"""
SCRIPT = """
import * as parts from "/page/parts.js";
const reply = document.querySelector("#reply");
parts.chooseTheme(document.querySelector("#theme"));
window.parts = parts;
window.sent = [];
window.stopped = 0;
parts.askOnEnter(document.querySelector("#ask"), async (text) => {
  window.sent.push(text);
  let whole = "";
  try {
    for await (const { event, data } of parts.events("/v1/ask", { text })) {
      if (event === "token") parts.showMarkdown(reply, (whole += data));
    }
  } catch (error) {
    reply.textContent = `${error.status}: ${error.message}`;
  }
}, () => { window.stopped += 1; });
"""
REPLY = (
    "# Steps\n\n1. Install *it*\n2. `make run`\n\n"
    "| a | b |\n|---|---|\n| 1 | [x](https://example.org) |\n"
)
# What runs or fetches, and what may stand around it.
BAD = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    "![a](http://192.0.2.1/leak.png)",
    "![a](/v1/leak)",
    "<svg onload='window.hit = 1'><script>window.hit = 1</script></svg>",
    "<svg><use href='http://192.0.2.1/a.svg#x'/></svg>",
    "<iframe src='http://192.0.2.1/'></iframe>",
    "<iframe srcdoc='<script>parent.hit = 1</script>'></iframe>",
    "<object data='http://192.0.2.1/'></object><embed src='http://192.0.2.1/'>",
    "<link rel=stylesheet href='http://192.0.2.1/a.css'>",
    "<style>@import 'http://192.0.2.1/a.css'; body { background: url(http://192.0.2.1/) }</style>",
    "<p style='background: url(http://192.0.2.1/)'>a</p>",
    "<meta http-equiv=refresh content='0;url=http://192.0.2.1/'>",
    "<base href='http://192.0.2.1/'>",
    "<form action='http://192.0.2.1/'><button autofocus onfocus='window.hit = 1'>a</button></form>",
    "<input autofocus onfocus='window.hit = 1'>",
    "<video poster='http://192.0.2.1/'><source src='http://192.0.2.1/'></video>",
    "<details open ontoggle='window.hit = 1'>a</details>",
    "<a href='javascript:window.hit = 1'>a</a>",
    "[a](javascript:window.hit%20=%201)",
    "[a](data:text/html,<script>window.hit=1</script>)",
    "[a](//192.0.2.1/x)",
    "<a href='vbscript:x' onclick='window.hit = 1'>a</a>",
    "<math><mtext><table><mglyph><style><img src=x onerror='window.hit = 1'>",
    "<noscript><p title='</noscript><img src=x onerror=window.hit=1>'>",
    "<form id=x></form><a id=parts name=parts>a</a>",
    "<template><img src=x onerror='window.hit = 1'></template>",
    "[a]: javascript:window.hit=1\n\n[a]",
    "<custom-tag onclick='window.hit = 1' is=x>a</custom-tag>",
]
AROUND = [
    "{}",
    "> > > {}",
    "- a\n  - b\n    {}",
    "| a |\n|---|\n| {} |",
    "````\n```\n````\n{}",
    "**_~~{}~~_**",
    "<div>\n\n{}\n\n</div>",
]


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = create_app("page", version="1", settings=Settings(api_keys=""))
    add_parts(app)

    @app.get("/")
    def page() -> Response:
        return page_response(HTML)

    @app.get("/own.js")
    def own() -> Response:
        return Response(SCRIPT, media_type="text/javascript")

    @app.post("/v1/ask")
    def ask(body: dict[str, str]) -> Response:
        if body["text"] == "busy":
            raise errors.Busy("Too many.", retry_after=3)

        def stream() -> Iterator[bytes]:
            text = "".join(f"event: token\r\ndata: {json.dumps(c)}\r\n\r\n" for c in REPLY)
            data = (text + "event: done\ndata: {}\n\n: comment\n\n").encode()
            yield from (data[i : i + 7] for i in range(0, len(data), 7))

        return StreamingResponse(stream(), media_type="text/event-stream")

    return app


def test_vendored_files_are_what_they_say() -> None:
    table = tomllib.loads((VENDOR / "versions.toml").read_text("utf-8"))
    assert {*table} == {p.name for p in VENDOR.iterdir() if p.suffix in (".js", ".mjs")}
    for name, about in table.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == about["sha256"]
        assert (VENDOR / f"{name.partition('.')[0]}.LICENSE").exists() and about["licence"]


def test_only_parts_are_served(app: FastAPI) -> None:
    client = TestClient(app)
    served = client.get("/page/parts.js")
    assert served.status_code == 200 and served.headers["content-type"].startswith(
        "text/javascript"
    )
    for name in ("__init__.py", "../service.py", "%2e%2e/keys.py", "vendor/versions.toml", ""):
        assert client.get(f"/page/{name}").status_code == 404
    policy = client.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy


@pytest.fixture(scope="module")
def visit(app: FastAPI) -> Iterator[Any]:
    """The page; a foreign request, a dialog or an error of a script fails the test."""
    with serve_app(app) as url, launch_chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(30_000)
        problems: list[str] = []
        page.on("request", lambda r: None if r.url.startswith(url) else problems.append(r.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        page.goto(url)
        page.wait_for_function("window.parts")
        yield page
        assert problems == []


@pytest.mark.slow
@pytest.mark.browser
def test_reply_streams_as_markdown(visit: Any) -> None:
    area = visit.get_by_label("Ask")
    area.fill("hello")
    area.press("Shift+Enter")
    area.press("Escape")
    area.press("Enter")
    visit.locator("#reply table").wait_for()
    visit.wait_for_function("document.querySelector('#reply a')")
    assert visit.evaluate("[sent, stopped]") == [["hello\n"], 1]
    assert visit.locator("#reply li").all_inner_texts() == ["Install it", "make run"]
    link = visit.locator("#reply a")
    assert link.get_attribute("rel") == "noopener noreferrer"
    area.fill("busy")
    area.press("Enter")
    visit.get_by_text("429: Too many.").wait_for()


@pytest.mark.slow
@pytest.mark.browser
def test_theme_follows_the_button(visit: Any) -> None:
    button = visit.get_by_role("button", name="Dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = visit.evaluate(colour)
    button.press("Space")
    assert visit.evaluate(colour) != light and button.get_attribute("aria-pressed") == "true"
    visit.reload()
    visit.wait_for_function("window.parts")
    assert visit.evaluate(colour) != light
    button.press("Enter")
    assert visit.evaluate(colour) == light


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_nothing_in_a_reply_runs_or_is_fetched(visit: Any) -> None:
    requests: list[str] = []
    visit.on("request", lambda request: requests.append(request.url))
    texts = [around.format(bad) for bad, around in itertools.product(BAD, AROUND)]
    chance = random.Random(7)
    for _ in range(60):  # pieces of several, broken off anywhere
        mixed = "\n".join(chance.sample(texts, 3))
        texts.append(mixed[: chance.randrange(len(mixed))])
    texts += [">" * 5000 + "a", "[" * 5000, "*" * 5000, "`" * 5000 + "a", "- " * 3000, "<b>" * 5000]
    assert len(texts) > 250
    for text in texts:
        bad = visit.evaluate(
            """(text) => {
              const reply = document.querySelector("#reply");
              parts.showMarkdown(reply, text);
              return [...reply.querySelectorAll("*")].flatMap((element) =>
                [...element.attributes].filter(({ name, value }) =>
                  !["href", "align", "start", "target", "rel", "class", "tabindex"].includes(name)
                  || (name === "href" && !/^(https?:|mailto:|#|\\/(?!\\/))/i.test(value))
                ).map(({ name, value }) => `${element.tagName} ${name}=${value}`)
                .concat(/^(SCRIPT|IMG|SVG|IFRAME|STYLE|FORM|INPUT|OBJECT|LINK|META|BASE)$/i
                  .test(element.tagName) ? [element.tagName] : []));
            }""",
            text,
        )
        assert bad == [], text
    visit.wait_for_timeout(300)  # an image would be fetched by now
    assert visit.evaluate("window.hit") is None and requests == []
