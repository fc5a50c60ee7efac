"""Makes the pictures of the pages in `docs/images` again, each from a server with new data.

.venv/bin/python -m tools.screenshots          # or with names: chat vision
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from seedbed.testing.launch import free_port, launch_chromium, run_server

BIN = Path(sys.executable).parent
IMAGES = Path(__file__).parents[1] / "docs/images"
MODELS = """[models.smollm2]
backend = "local"
price_in = 0.15
price_out = 0.60
[models.mistral]
backend = "openai"
base_url = "http://127.0.0.1:9/v1"  # where nothing listens
price_in = 0.20
price_out = 0.60
"""


def chat(page: Any) -> None:
    page.locator("#question textarea").fill("What is hybrid search?")
    page.keyboard.press("Enter")
    page.locator("#chat .how").wait_for()


def agents(page: Any) -> None:
    task = "How many products are tents, and how long is the warranty on tents?"
    page.get_by_label("Task", exact=True).fill(task)
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_label("Done", exact=True).wait_for()


def workflow(page: Any) -> None:
    link = page.get_by_role("link", name="Blumentopf kaputt")
    for _ in range(60):  # seconds in which the mails are read; `click` reports that there is none
        if not link.count():
            page.wait_for_timeout(1000)
            page.reload()
    link.click()
    page.get_by_label("Subject").wait_for()


def research(page: Any) -> None:
    paper = page.locator("article").filter(has_text="Denoising Diffusion Implicit Models")
    paper.get_by_role("link", name="laptop").click()


def vision(page: Any) -> None:
    page.locator("#sample-invoice").click()
    page.get_by_role("button", name="2026-04-13").click()


def service(page: Any) -> None:
    admin, url = new_key("ops", "--scope", "admin"), f"{page.url}v1/chat/completions"
    for name, budget, requests in (("support-bot", "0.002", 12), ("search", "0.01", 4)):
        headers = {"authorization": f"Bearer {new_key(name, '--budget-usd', budget)}"}
        for number in range(requests):
            message = {"role": "user", "content": f"What is the capital of country {number}?"}
            body = {"model": "smollm2", "max_tokens": 40, "messages": [message]}
            httpx.post(url, json=body, headers=headers, timeout=60).raise_for_status()
        httpx.post(url, json={**body, "model": "mistral"}, headers=headers, timeout=60)  # is down
    page.wait_for_timeout(11_000)  # the page keeps its sums for 10 s
    page.set_extra_http_headers({"authorization": f"Bearer {admin}"})
    page.reload()


def new_key(name: str, *options: str) -> str:
    create = [str(BIN / "llm-service"), "keys", "create", "--name", name, *options]
    return subprocess.run(create, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


# What serves a page, what is done on it, and the height of its picture; 0 is the whole page.
PICTURES = {
    "chat": ("rag-chatbot serve docs", chat, 680),
    "agents": ("multi-agent serve", agents, 0),
    "workflow": ("agentic-workflow serve", workflow, 0),
    "service": ("llm-service serve", service, 680),
    "research": ("research-repro serve", research, 1100),
    "vision": ("vision-app serve", vision, 844),
}


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, launch_chromium() as browser:
        os.environ["SERVICE_MODELS"] = f"{folder}/models.toml"
        Path(folder, "models.toml").write_text(MODELS, "utf-8")
        for project in ("RAG", "AGENTS", "WORKFLOW", "SERVICE", "RESEARCH", "VISION"):
            os.environ[f"{project}_DATA_DIR"] = f"{folder}/{project}"
        for name in names or PICTURES:
            command, use, height = PICTURES[name]
            program, *arguments = command.split()
            port = free_port()
            argv = [str(BIN / program), *arguments, "--port", str(port)]
            with run_server(argv, port, "/" if name == "research" else "/readyz"):
                page = browser.new_page(viewport={"width": 1280, "height": height or 800})
                page.goto(f"http://127.0.0.1:{port}/")
                use(page)
                page.wait_for_timeout(1000)  # until transitions have ended
                page.screenshot(path=IMAGES / f"{name}-page.png", full_page=not height)


if __name__ == "__main__":
    main(sys.argv[1:])
