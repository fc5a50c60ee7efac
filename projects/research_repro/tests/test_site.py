"""The folder of reports, in a browser, and the server for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from research_repro.config import Config
from research_repro.site import serving, write_site
from seedbed.errors import BadInput
from seedbed.testing.launch import free_port, launch_chromium

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def config(tmp_path: Path, papers_dir: Path) -> Config:
    return Config(data_dir=tmp_path / "var", papers_dir=papers_dir)


def test_site_has_every_published_report_and_names_papers_without_one(config: Config) -> None:
    (config.papers_dir / "broken").mkdir()
    (config.papers_dir / "broken" / "__init__.py").write_text("1 / 0")
    write_site(config)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(config, "127.0.0.1", port):
        index = httpx.get(url).text
        assert "Fitting a Line" in index and "Not run yet: research-repro run toy" in index
        assert "broken cannot be loaded" in index
        links = {path.name for path in (config.data_dir / "site").glob("*-*.html")}
        assert links and all(f'href="{name}"' in index for name in links)
        assert all(httpx.get(f"{url}/{name}").status_code == 200 for name in links)
        config.data_dir.joinpath("secret.txt").touch()
        for secret in ("..%2fsecret.txt", "%2e%2e/secret.txt", "nothing.html"):
            assert httpx.get(f"{url}/{secret}").status_code == 404
        with (
            pytest.raises(BadInput, match="Choose another port"),
            serving(config, "127.0.0.1", port),
        ):
            pass


def test_serve_shows_published_reports_at_once_and_runs_the_first_paper(tmp_path: Path) -> None:
    port = free_port()
    env = {**os.environ, "RESEARCH_DATA_DIR": str(tmp_path), "RESEARCH_PAPERS_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "research_repro", "serve", "--port", str(port)]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, env=env, stderr=log, stdout=log) as process,
    ):
        try:
            while "Open http" not in (tmp_path / "log").read_text():
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.1)
            index = httpx.get(f"http://127.0.0.1:{port}").text
            assert "laptop" in index and "claims tested at laptop scale hold" in index
            while not list(tmp_path.glob("runs/*/cells/*.json")):
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.1)
        finally:
            process.kill()


@pytest.mark.browser
def test_pages_fit_a_phone_and_link_to_each_other(config: Config) -> None:
    write_site(config)
    with launch_chromium() as browser:
        page = browser.new_page(viewport={"width": 400, "height": 800})
        page.goto((config.data_dir / "site" / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        page.get_by_role("link", name="laptop").first.click()
        page.locator(".verdict", has_text="holds").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        page.get_by_role("link", name="All papers").click()
        page.get_by_role("heading", name="Reproduced papers").wait_for()
