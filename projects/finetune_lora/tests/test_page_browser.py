"""The page in a real browser, which may speak to this machine alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from finetune_fakes import ScriptedPlayground, write_run

from finetune_lora.config import Config
from finetune_lora.helpdesk.tools import call
from finetune_lora.page.app import create_app
from finetune_lora.runs.process import process_identity
from finetune_lora.runs.run_folder import RunFolder
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium, serve_app

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(180)]
SLOW = 40_000  # milliseconds, for a busy machine
HOSTILE = "<img src=x onerror=window.ran=1>${window.ran=1}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launch_chromium() as browser:
        yield browser


@pytest.fixture
def playground() -> ScriptedPlayground:
    good = call("ticket_status", ticket="T-104")
    return ScriptedPlayground(
        before={"text": HOSTILE, "problems": ["The answer is not valid JSON."]},
        after={"text": good, "call": json.loads(good), "problems": []},
    )


@pytest.fixture
def address(tmp_path: Path, playground: ScriptedPlayground) -> Iterator[str]:
    """Of a page over the runs in `tmp_path`."""
    app = create_app(Config(data_dir=tmp_path), Settings(api_keys=""), playground=playground)
    with serve_app(app) as url:
        yield url


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page. Afterwards: nothing went wrong, nothing ran, nobody else was spoken to."""
    contexts, wrong = [], []

    def open_page(query: str = "", width: int = 1280) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 860})
        context.set_default_timeout(SLOW)
        contexts.append(context)
        context.on("request", lambda r: wrong.append(r.url) if is_foreign(r.url) else None)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address + query, timeout=SLOW)
        page.locator("#runs table").first.wait_for()
        return page

    yield open_page
    ran = [page.evaluate("window.ran") for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert not any(ran)
    assert wrong == []


def is_foreign(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def test_empty_page_shows_the_command_and_then_the_first_run(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    page = visit()
    page.locator("#status", has_text="finetune-lora run").wait_for()
    write_run(tmp_path / "runs" / "first")
    page.locator("#runs", has_text="first").wait_for()
    page.locator("#status", has_text="finished").wait_for()


def test_run_is_followed_while_it_trains(visit: Callable[..., Any], tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "old", started="2026-01-01T00:00:00")
    folder = write_run(tmp_path / "runs" / "new", state="running", of=9)
    page = visit()
    page.locator("#status", has_text="step 3 of 9").wait_for()
    page.locator("#curve canvas, #curve svg").first.wait_for()
    page.get_by_role("tab", name="Evaluation").click()
    page.locator("#report", has_text="No adapter yet").wait_for()
    page.get_by_role("tab", name="Training").click()
    again = RunFolder(folder)
    again({"event": "resume", "step": 3})
    again({"event": "step", "step": 4, "of": 9, "loss": 0.2, "left": 65})
    page.locator("#status", has_text="1:05 left").wait_for()
    again.update(pid_started=1.0)  # it was killed
    page.locator("#status", has_text="Continue with:").wait_for()
    assert "--resume" in page.locator("#status code").inner_text()


def test_run_is_selected_and_its_error_shown_as_text(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    write_run(tmp_path / "runs" / "a", started="2026-01-01T00:00:00")
    write_run(tmp_path / "runs" / "b", state="failed", error=HOSTILE)
    page = visit()
    page.locator("#status code", has_text="<img src=x").wait_for()
    page.get_by_role("gridcell", name="a", exact=True).click()
    page.locator("#status", has_text="finished").wait_for()


def test_evaluation_in_progress_and_its_report_are_shown(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    folder = write_run(tmp_path / "runs" / "a")
    (folder / "adapter_config.json").write_text("{}")
    RunFolder(folder).update(evaluation=process_identity())
    page = visit()
    page.get_by_role("tab", name="Evaluation").click()
    page.locator("#report", has_text="Being evaluated").wait_for()
    (folder / "report").mkdir()
    (folder / "report" / "report.md").write_text(f"**served: 79 %**\n\n{HOSTILE}")
    RunFolder(folder).update(evaluation=None)
    page.locator("#report", has_text="served: 79 %").wait_for()


@pytest.mark.parametrize("width", [1280, 390])
def test_question_is_answered_before_and_after(
    visit: Callable[..., Any], tmp_path: Path, width: int
) -> None:
    folder = write_run(tmp_path / "runs" / "a")
    (folder / "adapter_config.json").write_text("{}")
    page = visit(width=width)
    page.get_by_role("tab", name="Try it").click()
    page.locator("#question textarea").fill("how is T-104?")
    page.keyboard.press("Enter")
    page.locator("#after", has_text="Valid JSON").wait_for()
    assert "T-104" in page.locator("#after textarea").input_value()
    assert page.locator("#before textarea").input_value() == HOSTILE
    assert "not valid JSON" in page.locator("#before").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
