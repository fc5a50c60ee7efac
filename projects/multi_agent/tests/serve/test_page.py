"""The page in a browser, over a team of one scripted specialist."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from multi_agent.serve.api import create_app
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium, serve_app

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SLOW = 60_000  # milliseconds, for a busy machine
Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def site(clerk_team: Any) -> Iterator[tuple[str, Any]]:
    app = create_app(clerk_team.team, Settings())
    with serve_app(app) as url, launch_chromium() as browser:
        yield url, browser


@pytest.fixture
def visit(site: tuple[str, Any]) -> Iterator[Visit]:
    """Opens a page in a browser of its own, which is closed at the end of the test."""
    url, browser = site

    def visit(query: str = "", **options: Any) -> Any:
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(SLOW)
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(f"{url}/{query}")
        page.wait_for_selector("#ask button")
        return page

    yield visit
    for context in browser.contexts:
        context.close()


@pytest.fixture
def gate(clerk_team: Any) -> Iterator[Any]:
    clerk_team.clerk.gate.clear()
    yield clerk_team.clerk.gate
    clerk_team.clerk.gate.set()


def solve(page: Any, task: str, button: str = "Solve") -> None:
    page.fill("#task textarea", task)
    page.click(f"#ask button:has-text('{button}')")


def test_task_is_answered_with_evidence_to_open(visit: Visit) -> None:
    page = visit()
    assert page.locator("#samples button").count() == 3
    page.fill("#task textarea", "How many orders?")
    page.press("#task textarea", "Enter")
    page.wait_for_selector("#answer .sure :text('42 orders')")
    page.wait_for_selector("#plan .node.done :text('42 orders')")
    assert page.input_value("#task textarea") == ""
    page.click("#steps summary")
    page.wait_for_selector("#steps :text('orders by city')")
    assert page.locator("#steps figure").count() == 2
    assert page.inner_text("#steps pre >> nth=0") == "SELECT city"
    page.wait_for_selector("#budget .bars :text('1 of 40')")
    assert "look" in page.inner_text("#timeline .tool")
    page.click("#head button:has-text('Replay')")
    page.wait_for_selector("#note :text('The same answer from 1 recorded calls')")


def test_missing_answer_looks_different(visit: Visit) -> None:
    page = visit()
    solve(page, "How many impossible orders?")
    page.wait_for_selector("#answer .unsure :text('There is no such table.')")
    page.wait_for_selector("#plan .node.failed")
    page.wait_for_selector("#runs .current .badge.unsure")
    assert not page.query_selector("#answer .sure")


def test_plan_is_live_and_a_page_loaded_in_mid_run_shows_it(visit: Visit, gate: Any) -> None:
    page = visit()
    solve(page, "How many slow orders? What is 10 % of that?")
    page.wait_for_selector("#plan .node.working")
    page.wait_for_selector("#plan .node.waiting")
    page.wait_for_function("location.search.startsWith('?run=')")
    page.fill("#task textarea", "typed in the meantime")
    other = visit(page.evaluate("location.search"))
    other.wait_for_selector("#head :text('Working: 0 of 2 steps done')")
    page.reload()
    page.wait_for_selector("#plan .node.working")
    gate.set()
    for one in (page, other):
        one.wait_for_selector("#answer .answer")
        assert one.locator("#plan .node.done").count() == 2


def test_typed_text_and_open_evidence_survive_updates(visit: Visit, clerk_team: Any) -> None:
    page = visit()
    solve(page, "How many orders?")
    page.wait_for_selector("#answer .sure")
    page.click("#steps summary")
    page.fill("#task textarea", "What is next?")
    run = clerk_team.team.start("How many other orders?")  # another browser's
    page.wait_for_selector("#runs :text('How many other orders?')")
    page.wait_for_selector("#runs .run >> nth=0 >> .badge.done")
    assert page.input_value("#task textarea") == "What is next?"
    assert page.get_attribute("#steps details", "open") is not None
    page.click("#runs a:has-text('How many other orders?')")
    page.wait_for_function(f"location.search === '?run={run}'")
    page.go_back()
    page.wait_for_selector("#head h2:text-is('How many orders?')")


def test_question_is_answered_by_an_option_and_in_words(visit: Visit) -> None:
    page = visit()
    solve(page, "How many orders by city?")
    page.wait_for_selector("#question :text('Which city?')")
    page.wait_for_selector("#plan .node.asking")
    page.click("#question button:has-text('orders by billing city')")
    page.wait_for_selector("#answer .sure :text('42 orders')")
    assert page.locator("#question .notice").count() == 0
    solve(page, "Write a poem")
    page.wait_for_selector("#question :text('How would you put it?')")
    page.fill("#question input", "How many orders?")
    page.press("#question input", "Enter")
    page.wait_for_selector("#answer .sure")


def test_run_is_stopped(visit: Visit, gate: Any) -> None:
    page = visit()
    solve(page, "How many orders? How many slow orders? What is 10 % of that?")
    page.wait_for_selector("#plan .node.working")
    page.click("#head button:has-text('Stop')")
    page.wait_for_selector("#note :text('stops after the calls in progress')")
    gate.set()
    page.wait_for_selector("#head .badge.stopped")
    page.wait_for_selector("#plan .node.skipped")
    assert "42 orders" in page.inner_text("#answer .unsure")


def test_fork_with_another_wording_keeps_the_other_step(visit: Visit) -> None:
    page = visit()
    solve(page, "How many orders? How many impossible orders?")
    page.click("#steps .failed summary")
    page.fill("#steps .failed textarea", "How many possible orders?")
    page.click("#steps .failed button:has-text('Fork')")
    page.wait_for_selector("#answer .sure :text('42 orders; 42 orders')")
    page.wait_for_selector("#head :text('fork of')")
    assert page.locator("#plan .node.done").count() == 2


def test_follow_up_is_in_the_thread(visit: Visit, clerk_team: Any) -> None:
    page = visit()
    solve(page, "How many orders in 2025?")
    page.wait_for_selector("#answer .sure")
    solve(page, "And in 2024?", "Ask as a follow-up")
    page.wait_for_selector("#head h2:has-text('2024')")
    page.click("#head summary:has-text('1 earlier task')")
    page.wait_for_selector("#head .thread a:has-text('How many orders in 2025?')")
    first, second = clerk_team.team.store.runs(2)
    assert first.thread == second.thread


def test_memory_is_erased(visit: Visit, clerk_team: Any) -> None:
    clerk_team.team.memory.forget("")
    clerk_team.team.start("Remember that our VAT is 19 %.")
    clerk_team.team.start("Remember that we close at noon.")
    page = visit()
    page.click("role=tab[name='Memory']")
    page.click("#memory .item:has-text('our VAT') button")
    page.wait_for_selector("#memory .item:has-text('our VAT')", state="detached")
    assert page.locator("#memory .item").count() == 1
    page.click("#memory button:has-text('Erase all')")
    page.wait_for_selector("#memory .item", state="detached")
    assert clerk_team.team.memory.items("") == []


def test_tab_opened_while_the_page_loads_stays_open(visit: Visit, clerk_team: Any) -> None:
    run = clerk_team.team.start("Remember that our VAT is 19 %.")
    page = visit(f"?run={run}")
    held: list[Any] = []
    page.route("**/queue/join*", lambda route: held.append(route))
    with page.expect_request("**/queue/join*"):
        page.reload()
    page.click("role=tab[name='Memory']")
    for route in held:
        route.continue_()
    page.unroute("**/queue/join*")
    page.wait_for_selector("#head h2", state="attached")
    page.wait_for_selector("#memory .item:has-text('our VAT')")
    assert page.get_attribute("role=tab[name='Memory']", "aria-selected") == "true"


def test_text_of_others_is_never_html(visit: Visit, hostile: str) -> None:
    page = visit()
    solve(page, f"How many hostile orders? {hostile}")
    page.wait_for_selector("#answer .answer")
    assert hostile in page.inner_text("#head h2")
    assert hostile in page.inner_text("#answer")
    page.click("#steps summary >> nth=0")
    assert hostile in page.inner_text("#steps figure >> nth=0")
    solve(page, f"How many orders by city? {hostile}")
    page.wait_for_selector("#question :text('onerror')")
    page.click("role=tab[name='Team']")
    page.wait_for_selector("#team :text('onerror')")
    page.click("role=tab[name='Memory']")
    page.wait_for_selector("#memory :text('onerror')")
    assert page.locator("img[src=x]").count() == 0 and page.evaluate("window.ran") is None


def test_long_texts_stay_within_a_narrow_page(visit: Visit) -> None:
    page = visit(viewport={"width": 400, "height": 800})
    solve(page, "How many long orders? " + "verylongword" * 600)
    page.wait_for_selector("#answer .answer")
    page.click("#steps summary >> nth=0")
    assert page.locator("#steps figure").count() >= 40
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_error_is_one_line_and_keeps_the_task(visit: Visit) -> None:
    page = visit("?run=r0")
    page.wait_for_selector("#head .error:has-text(\"Unknown run 'r0'\")")
    page.click("#ask button:has-text('Solve')")
    page.wait_for_selector("#note .error:has-text('The task is empty.')")
    page.click("#runs button:has-text('New task')")
    page.wait_for_selector("#samples button")
    assert page.evaluate("location.search") == ""
