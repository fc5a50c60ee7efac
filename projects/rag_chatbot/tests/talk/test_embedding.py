"""The chat box of the handbook, on a page of another site, in a real browser."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from rag_chatbot.talk.api import create_app
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(240)]

PAGE = "docs/how-to/integrate.md"
ROOT = next(folder for folder in Path(__file__).parents if (folder / PAGE).exists())
FACT = "The harbour of Vellin opens at six in the morning."


@pytest.mark.parametrize("allowed", [True, False])
def test_chat_box_of_the_handbook_answers_on_an_allowed_site(open_chatbot, serve, allowed):
    [box] = re.findall(r"^```html\n(.*?)^```", (ROOT / PAGE).read_text("utf-8"), re.S | re.M)
    site = FastAPI()
    address = serve(site).replace("127.0.0.1", "localhost")  # another site than the server's
    bot = open_chatbot({"port.md": FACT}, cors_origins=address if allowed else "")
    server = serve(create_app(bot, Settings(api_keys="")))
    html = f"<!doctype html><title>Site</title>{box.replace('http://127.0.0.1:8001', server)}"
    site.get("/", response_class=HTMLResponse)(lambda: html)
    with launch_chromium() as browser:
        page = browser.new_page()
        page.goto(address)
        page.get_by_placeholder("Ask our documents").fill("When does the harbour open?")
        if allowed:
            page.get_by_role("button", name="Ask").click()
            page.get_by_text(f"{FACT} [1]\n[1] port.md").wait_for()
        else:
            with page.expect_event("requestfailed"):
                page.get_by_role("button", name="Ask").click()
            assert FACT not in page.content()
