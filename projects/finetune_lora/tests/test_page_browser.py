"""The page in a real browser, which may speak to this machine alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from finetune_lora.config import Config
from finetune_lora.page.api import create_app
from finetune_lora.runs.run_folder import RunFolder
from finetune_lora.task.tools import ARGUMENTS, call
from finetune_lora.testing import ScriptedPlayground, write_run
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
        page.locator("#runs table, #runs .empty").first.wait_for()
        return page

    yield open_page
    ran = [page.evaluate("window.ran") for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert not any(ran)
    assert wrong == []


def is_foreign(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def test_an_empty_page_says_what_to_type_and_shows_the_first_run(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    page = visit()
    assert "finetune-lora run" in page.locator("#runs").inner_text()
    write_run(tmp_path / "runs" / "first")
    page.locator("#live h2", has_text="first").wait_for()


def test_a_run_is_followed_while_it_trains(visit: Callable[..., Any], tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "old", started="2026-01-01T00:00:00")
    folder = write_run(tmp_path / "runs" / "new", state="running", of=9)
    page = visit()
    page.locator("#live .tiles", has_text="3 / 9").wait_for()
    shown = page.locator("#live .chart path.line").first.get_attribute("d")
    page.get_by_role("tab", name="Evaluation").click()
    page.locator("#evaluation", has_text="No adapter yet").wait_for()
    page.get_by_role("tab", name="Training").click()
    again = RunFolder(folder)
    again({"event": "resume", "step": 3})
    again({"event": "step", "step": 4, "of": 9, "loss": 0.2, "left": 65})
    page.locator("#live .tiles", has_text="1:05").wait_for()
    assert page.locator("#live .chart path.line").first.get_attribute("d") != shown
    again.update(pid_started=1.0)  # it was killed
    page.get_by_text("Stopped at step 4. Continue with:").wait_for()
    assert "--resume" in page.locator("#live pre").inner_text()


def test_runs_are_chosen_compared_and_kept_in_the_address(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    write_run(tmp_path / "runs" / "sweep" / "r=4,lr=0.1", started="2026-01-01T00:00:00")
    write_run(tmp_path / "runs" / "b", state="failed", error=HOSTILE)
    page = visit()
    page.locator("#live h2", has_text="b").wait_for()
    assert HOSTILE in page.locator("#live .error").inner_text()
    page.locator("#runs a", has_text="r=4").click()
    page.locator("#live h2", has_text="sweep/r=4,lr=0.1").wait_for()
    page.locator("#runs tr.on", has_text="r=4").wait_for()
    # Not check(): it would look at a box that the new table has replaced by then.
    page.locator("#runs input[data-run=b]").click()
    page.get_by_text("2 runs compared").wait_for()
    page.reload()
    page.get_by_text("2 runs compared").wait_for()


@pytest.mark.parametrize("width", [1280, 375])
def test_a_question_is_answered_side_by_side(
    visit: Callable[..., Any], tmp_path: Path, width: int
) -> None:
    folder = write_run(tmp_path / "runs" / "a")
    (folder / "adapter_config.json").write_text("{}")
    (folder / "task.json").write_text(json.dumps({"system": " ".join(ARGUMENTS)}))
    page = visit(width=width)
    page.get_by_role("tab", name="Try it").click()
    page.locator("#question textarea").fill("how is T-104?")
    page.keyboard.press("Enter")
    page.locator(".side.after table.call").wait_for()
    assert page.locator(".side.after .badge").inner_text() == "valid call"
    assert "T-104" in page.locator(".side.after td").inner_text()
    assert page.locator(".side.before .badge").inner_text() == "not a valid call"
    assert page.locator(".side.before pre").inner_text() == HOSTILE
    page.locator("#asked button").first.click()
    page.wait_for_function("document.querySelector('#question textarea').value.includes('vpn')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_question_sent_during_an_answer_is_answered_after_it(
    visit: Callable[..., Any], tmp_path: Path, playground: ScriptedPlayground
) -> None:
    folder = write_run(tmp_path / "runs" / "a")
    (folder / "adapter_config.json").write_text("{}")
    page = visit()
    page.get_by_role("tab", name="Try it").click()
    question = page.locator("#question textarea")
    playground.released.clear()
    question.fill("how is T-104?")
    question.press("Enter")
    page.locator("#answers .side").first.wait_for()
    question.fill("and T-105?")
    with page.expect_request(lambda request: "and T-105?" in (request.post_data or "")):
        question.press("Enter")
        playground.released.set()
    page.locator(".side.after").wait_for()
