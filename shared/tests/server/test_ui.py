"""`ui.mount`: the page, the API beside it, API keys, and what the page may contact."""

import re
import sys

import gradio as gr
import pytest
from fastapi.testclient import TestClient

from seedbed.server import ui
from seedbed.server.service import CurrentCaller, create_app
from seedbed.settings import Settings
from seedbed.testing.launch import free_port, launch_chromium, run_server

PAGE = """
import sys
import gradio as gr
from seedbed.server import ui
from seedbed.server.service import caller_of, create_app, serve

app = create_app("page", version="1")

@app.get("/v1/me")
def me() -> str:
    return "api"

def greet(word: str, request: gr.Request) -> str:
    if word == "bug":
        raise RuntimeError("a private detail")
    return f"{word} from {caller_of(request)}"

with gr.Blocks(title="Page") as blocks:
    gr.Markdown("# A page\\n<mark>quoted</mark>\\n\\n![](http://192.0.2.1/leak)")
    word = gr.Textbox(label="Word")
    reply = gr.Textbox(label="Reply")
    gr.Button("Send").click(greet, word, reply)
ui.mount(app, blocks)
if __name__ == "__main__":
    serve(app, int(sys.argv[1]))
"""


def build(api_keys: str = ""):
    app = create_app("page", version="1", settings=Settings(api_keys=api_keys))

    @app.post("/v1/me")
    def me(caller: CurrentCaller) -> str:
        return caller.name

    with gr.Blocks(title="A page") as blocks:
        word = gr.Textbox()
        word.submit(str.upper, word, word)
    return ui.mount(app, blocks)


@pytest.fixture(scope="module")
def client():
    with TestClient(build()) as client:
        yield client


def test_mount_leaves_the_api_reachable(client):
    assert "A page" in client.get("/").text
    assert client.post("/v1/me").json() == "local"
    assert client.get("/v1/nope").json()["error"]["type"] == "not_found"
    assert client.get("/v1").json()["error"]["type"] == "not_found"
    response = client.get("/v1/me")
    assert (response.status_code, response.json()["error"]["type"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST" and "Allowed: POST." in response.text
    for file in (__file__, "/etc/passwd"):
        assert client.get(f"/gradio_api/file={file}").status_code in (403, 404)


def test_page_loads_from_its_own_server_only(client):
    html = client.get("/").text
    urls = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\"']?([^\"' >]+)", html)
    assert urls and not [url for url in urls if url.startswith(("http", "//"))]
    config = client.get("/config").json()
    assert config["analytics_enabled"] is False and ".gradio-container mark" in config["css"]
    styles = client.get("/theme.css").text
    assert "system-ui" in styles and "@import" not in styles
    assert not re.search(r"""url\(["']?(?:https?:)?//""", styles)


def test_page_and_its_api_require_the_key():
    with TestClient(build("alice=key-a")) as client:
        for path in ("/", "/config", "/gradio_api/info", "/theme.css", "/gradio_api/file=/etc/x"):
            assert client.get(path).status_code == 401
        assert client.post("/gradio_api/queue/join", json={}).status_code == 401
        assert client.get("/", auth=("anyone", "key-a")).status_code == 200
        assert client.get("/", auth=("key-a", "wrong")).status_code == 401


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_browser_with_key_contacts_only_the_server(tmp_path):
    (tmp_path / "page.py").write_text(PAGE)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    argv = [sys.executable, str(tmp_path / "page.py"), str(port)]
    env = {"SEEDBED_API_KEYS": "alice=key-a"}
    with launch_chromium() as browser, run_server(argv, port, env=env) as server:
        page = browser.new_context(
            http_credentials={"username": "anyone", "password": "key-a"}
        ).new_page()
        requested: list[str] = []
        page.on("requestfinished", lambda request: requested.append(request.url))
        page.goto(address)
        page.get_by_label("Word").fill("hello")
        page.get_by_role("button", name="Send").click()
        reply = page.get_by_label("Reply")
        page.wait_for_function("() => document.querySelectorAll('textarea')[1].value !== ''")
        assert reply.input_value() == "hello from alice"
        page.get_by_label("Word").fill("bug")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Error").first.wait_for()
        assert "private" not in page.content()
        leaks = page.evaluate("() => [...document.images].map(i => i.naturalWidth)")
        assert leaks == [0] * len(leaks)
        assert requested and all(u.startswith((address, "data:", "blob:")) for u in requested)
        # The page's open connection must not delay the shutdown.
        server.terminate()
        assert server.wait(20) == 0  # less than the grace period of `serve`, 30 s


def test_uploads_are_read_once_and_deleted(tmp_path):
    file = tmp_path / "tea.md"
    file.write_bytes(b"Green")
    assert ui.take_uploads([str(file)]) == [("tea.md", b"Green")]
    assert not file.exists()
    assert ui.take_uploads([str(file)]) == ui.take_uploads(None) == []
