"""Pages and API, without a run; then one run from start to report."""

from __future__ import annotations

import html
import json
import re
import signal
import sys
import time

import httpx
import pytest
from fastapi.testclient import TestClient

from research_repro.serve.app import create_app
from seedbed.errors import NotFound
from seedbed.settings import Settings
from seedbed.testing.launch import free_port, run_server

SERVE = """
import sys
from pathlib import Path
from research_repro.config import Config
from research_repro.serve.app import create_app
from seedbed.server import service

if __name__ == "__main__":
    data, papers, port = sys.argv[1:]
    config = Config(data_dir=Path(data), papers_dir=Path(papers), processes=1)
    service.serve(create_app(config, start=("toy", "smoke")), port=int(port))
"""


def error(response):
    return response.status_code, response.json()["error"]["message"]


def buttons(page):
    """The label of each button and the JSON that it sends."""
    found = re.findall(r"<button data-method=\"POST\" data-body=\"(.*?)\">(.*?)</button>", page)
    return [(label, json.loads(html.unescape(body))) for body, label in found]


def wait_for_end(client):
    """The progress of the run when it has ended."""
    while (run := client.get("/api/runs").json())["state"] == "running":
        time.sleep(0.05)
    return run


def test_index_lists_papers_with_a_button_for_each_scale(client):
    page = client.get("/").text
    assert "Fitting a Line" in page
    toy = [(label, body) for label, body in buttons(page) if body["paper"] == "toy"]
    assert toy == [
        ("Run", {"paper": "toy", "scale": "smoke"}),
        ("Run", {"paper": "toy", "scale": "laptop"}),
    ]


def test_index_links_results_and_needs_no_second_run(client, store):
    store(ended="2026-11-27T14:05:10+00:00")
    page = client.get("/").text
    assert "2 of 2 claims hold" in page and "27 November 2026, 14:05" in page
    assert ("Run", {"paper": "toy", "scale": "smoke"}) not in buttons(page)


def test_paper_that_cannot_be_loaded_leaves_the_others(client, papers_dir):
    (papers_dir / "broken").mkdir()
    (papers_dir / "broken" / "__init__.py").write_text("raise KeyError", "utf-8")
    page = client.get("/").text
    assert "broken cannot be loaded" in page and "Fitting a Line" in page


def test_report_page_without_results_offers_a_run(client):
    response = client.get("/papers/toy", params={"scale": "smoke"})
    assert "Not run yet" in response.text and buttons(response.text)[0][0] == "Run"
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert "onclick" not in response.text


def test_incomplete_results_can_be_continued(client, store):
    store(not_run=["fit-seed1"])
    page = client.get("/papers/toy?scale=smoke").text
    assert buttons(page) == [("Continue", {"paper": "toy", "scale": "smoke", "seeds": [0]})]
    assert "Not run: fit-seed1." in page


def test_results_as_json_and_as_a_file(client, store):
    store()
    results = client.get("/api/papers/toy/results?scale=smoke").json()
    assert results["published"] is False and results["verdicts"][0]["holds"] is True
    download = client.get("/papers/toy/report.html?scale=smoke")
    assert download.headers["content-disposition"] == "attachment; filename=toy-smoke.html"
    assert "2 of 2 claims hold" in download.text and "live.js" not in download.text


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"version": 1', '"version": 7'),
        lambda text: text[: len(text) // 2],
    ],
)
def test_results_that_cannot_be_used_are_explained(client, store, damage):
    path = store()
    path.write_text(damage(path.read_text("utf-8")), "utf-8")
    page = client.get("/papers/toy?scale=smoke")
    assert page.status_code == 200 and "toy-smoke.json" in page.text and "Not run yet" in page.text
    assert error(client.get("/api/papers/toy/results?scale=smoke"))[0] == 404


def test_unknown_names_are_one_line(client):
    assert error(client.get("/papers/nothing"))[0] == 404
    status, message = error(client.get("/papers/toy?scale=huge"))
    assert status == 400 and "'smoke', 'laptop' or 'paper'" in message
    status, message = error(client.post("/api/runs", json={"paper": "nothing"}))
    assert status == 404 and message.startswith("Unknown paper 'nothing'.")
    assert error(client.get("/api/papers/toy/results")) == (
        404,
        "No results of toy at laptop scale.",
    )


@pytest.mark.parametrize(
    ("seeds", "problem"),
    [
        ([], "The list of seeds is empty."),
        ([-1], "greater than or equal to 0"),
        ("0", "valid list"),
    ],
)
def test_wrong_seeds_start_nothing(client, seeds, problem):
    status, message = error(client.post("/api/runs", json={"paper": "toy", "seeds": seeds}))
    assert status == 400 and problem in message
    assert client.get("/api/runs").json() is None


def test_stop_without_a_run_is_not_found(client):
    assert error(client.delete("/api/runs/current")) == (404, "No run is in progress.")


def test_unknown_paper_stops_the_start(config):
    with pytest.raises(NotFound, match="Unknown paper 'nothing'"):
        create_app(config, Settings(api_keys=""), start=("nothing", "smoke"))


@pytest.mark.usefixtures("store")
def test_start_with_results_runs_nothing(make_app, store):
    store()
    with TestClient(make_app(start=("toy", "smoke"))) as client:
        assert client.get("/api/runs").json() is None


@pytest.mark.usefixtures("interrupted")
def test_interrupted_run_can_be_continued(client):
    page = client.get("/").text
    assert "1 of 2 cells finished" in page
    assert buttons(page)[0] == ("Continue", {"paper": "toy", "scale": "smoke", "seeds": [0]})


@pytest.mark.slow
def test_run_shows_progress_stops_and_continues(client, held):
    body = {"paper": "toy", "scale": "smoke", "seeds": [0]}
    assert client.post("/api/runs", json=body).status_code == 202
    assert error(client.post("/api/runs", json=body))[0] == 409
    while "step" not in client.get("/api/runs").json()["text"]:
        time.sleep(0.05)
    page = client.get("/papers/toy?scale=smoke").text
    assert "0 of 2 cells finished" in page and "Now: fit-seed0 (step 0 of 40)" in page
    assert "<noscript>" in page and buttons(page) == []
    assert client.delete("/api/runs/current").json()["state"] == "stopped"
    held.unlink()
    assert client.post("/api/runs", json=body).status_code == 202
    assert wait_for_end(client)["state"] == "finished"
    assert "2 of 2 claims hold" in client.get("/papers/toy?scale=smoke").text


@pytest.mark.slow
def test_run_that_fails_reports_its_reason(client, config):
    config.data = "nowhere"
    client.post("/api/runs", json={"paper": "toy"})
    run = wait_for_end(client)
    assert run["state"] == "failed" and "nowhere does not exist" in run["error"]
    assert "nowhere does not exist" in client.get("/").text


@pytest.mark.slow
@pytest.mark.own_process
def test_sigterm_stops_the_run_and_the_next_server_continues(config, held, tmp_path):
    script = tmp_path / "serve.py"
    script.write_text(SERVE, "utf-8")
    port = free_port()
    arguments = [sys.executable, str(script), str(config.data_dir), str(config.papers_dir)]
    with run_server([*arguments, str(port)], port) as process:
        while "step" not in httpx.get(f"http://127.0.0.1:{port}/api/runs").json()["text"]:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert json.loads((config.data_dir / "last_run.json").read_text())["state"] == "stopped"
    held.unlink()
    with (
        run_server([*arguments, str(port)], port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        assert wait_for_end(client)["state"] == "finished"
