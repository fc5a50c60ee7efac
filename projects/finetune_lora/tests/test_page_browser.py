"""The page in a real browser, which may contact this machine only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from finetune_fakes import ScriptedPlayground, write_run

from finetune_lora.config import Config
from finetune_lora.helpdesk.tools import call
from finetune_lora.page.page import create_app
from finetune_lora.runs.run_folder import RunFolder, lock
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
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page over the runs in `tmp_path`. Afterwards: no error, no foreign request."""
    playground: Any = ScriptedPlayground(
        before={"text": HOSTILE, "problems": ["The answer is not valid JSON."]},
        after={"text": call("ticket_status", ticket="T-104"), "problems": []},
    )
    app = create_app(Config(data_dir=tmp_path), Settings(api_keys=""), playground=playground)
    contexts, wrong = [], []

    def open_page(width: int = 1280) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 860})
        context.set_default_timeout(SLOW)
        contexts.append(context)
        context.on("request", lambda r: wrong.append(r.url) if is_foreign(r.url) else None)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address, timeout=SLOW)
        page.locator("#runs table").first.wait_for()
        return page

    with serve_app(app) as address:
        yield open_page
        ran = [page.evaluate("window.ran") for context in contexts for page in context.pages]
        for context in contexts:
            context.close()
    assert not any(ran)
    assert wrong == []


def is_foreign(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def test_run_is_followed_from_its_first_step(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit()
    page.locator("#status", has_text="finetune-lora run").wait_for()
    page.get_by_role("tab", name="Try it").click()
    page.locator("#question textarea").fill("hello")
    page.keyboard.press("Enter")
    page.locator("#after", has_text="No run is selected").wait_for()
    page.get_by_role("tab", name="Training").click()
    folder = write_run(tmp_path / "runs" / "new", state="running", of=9)
    with lock(folder):
        page.locator("#status", has_text="step 3 of 9").wait_for()
        page.locator("#curve canvas, #curve svg").first.wait_for()
        again = RunFolder(folder)
        again({"event": "resume", "step": 3})
        again({"event": "step", "step": 4, "of": 9, "loss": 0.2, "left": 65})
        page.locator("#status", has_text="1:05 left").wait_for()
    # It was killed.
    page.locator("#status", has_text="Continue with:").wait_for()
    assert "--resume" in page.locator("#status code").inner_text()


def test_evaluation_in_progress_and_its_report_are_shown(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    folder = write_run(tmp_path / "runs" / "a")
    page = visit()
    page.get_by_role("tab", name="Evaluation").click()
    page.locator("#report", has_text="No adapter yet").wait_for()
    (folder / "adapter_config.json").write_text("{}")
    with lock(folder):
        page.locator("#report", has_text="Being evaluated").wait_for()
        (folder / "report").mkdir()
        (folder / "report" / "report.md").write_text(f"**served: 79 %**\n\n{HOSTILE}")
    page.locator("#report", has_text="served: 79 %").wait_for()


@pytest.mark.parametrize("width", [1280, 390])
def test_question_is_answered_before_and_after(
    visit: Callable[..., Any], tmp_path: Path, width: int
) -> None:
    (write_run(tmp_path / "runs" / "a") / "adapter_config.json").write_text("{}")
    page = visit(width)
    page.locator("#status", has_text="finished").wait_for()
    page.get_by_role("tab", name="Try it").click()
    page.locator("#question textarea").fill("how is T-104?")
    page.keyboard.press("Enter")
    page.locator("#after", has_text="Valid JSON").wait_for()
    assert "T-104" in page.locator("#after textarea").input_value()
    page.locator("#before", has_text="not valid JSON").wait_for()
    assert page.locator("#before textarea").input_value() == HOSTILE
    assert page.evaluate("document.documentElement.scrollWidth") <= width
