"""The page is built when it is first opened, and again after its start-up failed."""

import gradio as gr
import httpx

from llm_service.web.page_when_opened import mount_when_opened
from seedbed.server.service import create_app
from seedbed.settings import Settings
from seedbed.testing.launch import serve_app


def test_page_is_built_when_it_is_first_opened(caplog):
    async def fail():
        raise RuntimeError("no connection to the queue")

    builds, failing = [], [fail]

    def build_page():
        builds.append(1)
        with gr.Blocks(title="A page") as blocks:
            gr.Markdown("hello")
        blocks.extra_startup_events += failing
        return blocks

    app = mount_when_opened(create_app("page", version="1", settings=Settings()), build_page)
    with serve_app(app) as url:
        assert httpx.get(f"{url}/nowhere").json()["error"]["type"] == "not_found" and not builds
        response = httpx.get(url, timeout=30)
        assert (response.status_code, response.json()["error"]["type"]) == (500, "internal_error")
        assert "no connection to the queue" in caplog.text
        failing.clear()
        assert all("A page" in httpx.get(url, timeout=30).text for _ in range(2))
        assert len(builds) == 2
        assert httpx.get(f"{url}/v1/nowhere").json()["error"]["type"] == "not_found"
