"""The page in a browser, over a team of one scripted specialist."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from multi_agent.serve.api import create_app
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium, serve_app

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SLOW = 60_000  # milliseconds, for a busy machine
Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def site(clerk_team: Any) -> Iterator[tuple[str, Any]]:
    expect.set_options(timeout=SLOW)
    with serve_app(create_app(clerk_team.team, Settings())) as url, launch_chromium() as browser:
        yield url, browser


@pytest.fixture
def visit(site: tuple[str, Any]) -> Iterator[Visit]:
    """Opens a page in a browser of its own, which must not report an error until the test ends."""
    url, browser = site
    errors: list[str] = []

    def visit(query: str = "", **options: Any) -> Any:
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(SLOW)
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}/{query}")
        page.get_by_role("button", name="Run", exact=True).wait_for()
        return page

    yield visit
    for context in browser.contexts:
        context.close()
    assert errors == []


@pytest.fixture
def gate(clerk_team: Any) -> Iterator[Any]:
    clerk_team.clerk.gate.clear()
    yield clerk_team.clerk.gate
    clerk_team.clerk.gate.set()


def box(page: Any, label: str) -> Any:
    """A text with exactly this label."""
    return page.get_by_label(label, exact=True)


def solve(page: Any, task: str) -> None:
    box(page, "Task").fill(task)
    page.get_by_role("button", name="Run", exact=True).click()


def cell(page: Any, text: str) -> Any:
    return page.get_by_role("gridcell", name=text, exact=True)


def test_task_is_answered_and_its_evidence_is_below_the_answer(visit: Visit, hostile: str) -> None:
    page = visit()
    box(page, "Task").fill("How many orders?")
    box(page, "Task").press("Enter")
    expect(box(page, "Answer")).to_have_value("42 orders")
    expect(box(page, "Task")).to_have_value("")
    expect(box(page, "Done")).to_have_value("How many orders?")
    expect(box(page, "Understood as (s1, clerk)")).to_have_value("orders by city")
    result = box(page, f"Result of shop {hostile}: not checked")
    expect(result).to_have_value("SELECT city")
    expect(cell(page, "done")).to_be_visible()
    expect(box(page, "Used")).to_have_value(re.compile(r"steps 1/20 · tool calls 1/40 · "))
    tops = [
        one.bounding_box()["y"]
        for one in (box(page, "Answer"), box(page, "Understood as (s1, clerk)"), result)
    ]
    assert tops == sorted(tops) and tops[-1] < page.viewport_size["height"]


def test_plan_is_live_and_a_page_opened_in_mid_run_shows_it(visit: Visit, gate: Any) -> None:
    page = visit()
    solve(page, "How many slow orders? What is 10 % of that?")
    expect(cell(page, "working")).to_be_visible()
    expect(cell(page, "s2 after s1")).to_be_visible()
    expect(cell(page, "waiting")).to_be_visible()
    page.wait_for_function("location.search.startsWith('?run=')")
    other = visit(page.evaluate("location.search"))
    expect(cell(other, "working")).to_be_visible()
    gate.set()
    for one in (page, other):
        expect(box(one, "Answer")).to_be_visible()
        expect(cell(one, "done")).to_have_count(2)


def test_question_is_answered_by_an_option_and_in_words(visit: Visit) -> None:
    page = visit()
    solve(page, "How many orders by city?")
    expect(box(page, "The team asks")).to_have_value(re.compile("^Which city?"))
    expect(cell(page, "asking")).to_be_visible()
    page.get_by_role("button", name="orders by billing city").click()
    expect(box(page, "Answer")).to_have_value("42 orders")
    expect(box(page, "The team asks")).to_have_count(0)
    solve(page, "How many orders by city?")
    box(page, "In your own words").fill("orders by billing city")
    box(page, "In your own words").press("Enter")
    expect(box(page, "Answer")).to_have_value("42 orders")


def test_run_is_stopped_and_keeps_what_was_found(visit: Visit, gate: Any) -> None:
    page = visit()
    solve(page, "How many orders? How many slow orders? What is 10 % of that?")
    expect(cell(page, "working").first).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("The run stops after the calls in progress.")).to_be_visible()
    gate.set()
    expect(box(page, "Reason")).to_have_value("The run was stopped.")
    expect(cell(page, "skipped")).to_be_visible()
    expect(box(page, "No confident answer")).to_have_value(re.compile("42 orders"))
    expect(box(page, "Understood as (s1, clerk)")).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)


def test_text_of_others_is_never_html(visit: Visit, hostile: str) -> None:
    page = visit()
    solve(page, f"How many hostile orders {hostile}?")
    expect(box(page, "Done")).to_have_value(re.compile("onerror"))
    expect(box(page, "Answer")).to_have_value(f"42 orders {hostile}")
    page.get_by_text(f"Result of shop {hostile}").wait_for()
    expect(box(page, "Result")).to_have_value(re.compile(f"Graz {re.escape(hostile)} 0"))
    solve(page, f"How many orders by city {hostile}?")
    expect(box(page, "The team asks")).to_have_value(f"Which city? {hostile}")
    page.get_by_label(re.compile("onerror.*waiting for your answer")).wait_for()
    unknown = visit(f"?run={quote(hostile)}")
    expect(box(unknown, "Error")).to_have_value(
        re.compile(f"^Unknown run .*{re.escape(hostile[:9])}")
    )
    for one in (page, unknown):
        assert one.locator("img[src=x]").count() == 0 and one.evaluate("window.ran") is None


def test_long_texts_stay_within_a_narrow_page(visit: Visit) -> None:
    page = visit(viewport={"width": 390, "height": 800})
    solve(page, f"How many long orders {'verylongword' * 600}?")
    expect(box(page, "Answer")).to_be_visible()
    expect(box(page, "Result of returns.md:12-14: not checked")).to_have_count(20)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
