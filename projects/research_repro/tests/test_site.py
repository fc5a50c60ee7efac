"""The folder of reports, in a browser, and the server that fills it while a paper is run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from research_repro.config import Config
from research_repro.site import create_app, write_index, write_site
from seedbed.testing.launch import free_port, launch_chromium


@pytest.fixture
def config(tmp_path: Path, papers_dir: Path) -> Config:
    return Config(data_dir=tmp_path / "var", papers_dir=papers_dir)


@pytest.mark.slow
def test_site_has_every_published_report_and_names_papers_without_one(config: Config) -> None:
    (config.papers_dir / "broken").mkdir()
    (config.papers_dir / "broken" / "__init__.py").write_text("1 / 0")
    write_site(config)
    index = (config.data_dir / "site" / "index.html").read_text("utf-8")
    assert "Fitting a Line" in index and "Not run yet: research-repro run toy" in index
    assert "broken cannot be loaded" in index
    assert "http-equiv" not in index
    links = {path.name for path in (config.data_dir / "site").glob("*-*.html")}
    assert links and all(f'href="{name}"' in index for name in links)


def test_index_reloads_itself_while_a_paper_is_run(config: Config) -> None:
    write_index(config, "toy at smoke scale: 50% done")
    index = (config.data_dir / "site" / "index.html").read_text("utf-8")
    assert "50% done" in index and 'http-equiv="refresh"' in index


def test_server_has_the_pages_of_the_site_only(config: Config) -> None:
    write_index(config)
    with TestClient(create_app(config), base_url="http://127.0.0.1") as client:
        assert "Reproduced papers" in client.get("/").text
        assert client.get("/index.html").headers["content-security-policy"].startswith("default")
        assert client.get("/nothing.html").status_code == 404
        assert client.get("/..%2fsecret.html").status_code == 404


def test_page_is_whole_while_a_run_replaces_it(config: Config) -> None:
    write_index(config)
    enough = threading.Event()

    def replace() -> None:
        while not enough.is_set():
            for length in (10, 1000):
                write_index(config, "x" * length)

    with (
        TestClient(create_app(config, replace), base_url="http://127.0.0.1") as client,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(enough.set)
        for _ in range(200):
            page = client.get("/")
            assert len(page.content) == int(page.headers["content-length"])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_serve_shows_published_reports_at_once_and_runs_the_first_paper(tmp_path: Path) -> None:
    port = free_port()
    env = {**os.environ, "RESEARCH_DATA_DIR": str(tmp_path), "RESEARCH_PAPERS_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "research_repro", "serve", "--port", str(port)]
    log = (tmp_path / "log").open("w")
    with subprocess.Popen(command, env=env, stderr=log, stdout=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            while True:
                assert process.poll() is None, (tmp_path / "log").read_text()
                try:
                    index = httpx.get(url).text
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            assert "laptop" in index and "claims tested at laptop scale hold" in index
            while "% done" not in (index := httpx.get(url).text):
                assert process.poll() is None
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_pages_fit_a_phone_and_link_to_each_other(config: Config) -> None:
    write_site(config)
    with launch_chromium() as browser:
        page = browser.new_page(viewport={"width": 400, "height": 800})
        page.goto((config.data_dir / "site" / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        page.get_by_role("link", name="laptop").first.click()
        page.locator(".verdict", has_text="holds").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        assert page.locator("svg.dots").first.bounding_box()["width"] > 100
        page.get_by_role("link", name="All papers").click()
        page.get_by_role("heading", name="Reproduced papers").wait_for()
