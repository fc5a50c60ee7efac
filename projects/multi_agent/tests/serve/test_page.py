"""The page in a browser, over a team of one scripted specialist."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from multi_agent.serve.api import create_app
from multi_agent.state import Limits
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
    program = box(page, f"Program run by shop {hostile}: not checked")
    expect(program).to_have_value("SELECT city")
    expect(cell(page, "done")).to_be_visible()
    expect(box(page, "Used")).to_have_value(re.compile(r"steps 1/20 · tool calls 1/40 · "))
    tops = [
        one.bounding_box()["y"]
        for one in (box(page, "Answer"), box(page, "Understood as (s1, clerk)"), program)
    ]
    assert tops == sorted(tops) and tops[-1] < page.viewport_size["height"]


def test_example_fills_the_box(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="How many products are tents").click()
    expect(box(page, "Task")).to_have_value(re.compile("^How many products are tents, and how"))


def test_missing_answer_is_named_as_such(visit: Visit) -> None:
    page = visit()
    solve(page, "How many impossible orders?")
    answer = box(page, "No confident answer")
    expect(answer).to_have_value(re.compile(r"There is no such table\."))
    expect(cell(page, "failed")).to_be_visible()
    expect(box(page, "Answer")).to_have_count(0)


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


def test_text_typed_in_mid_run_stays_and_recent_runs_open(visit: Visit, clerk_team: Any) -> None:
    page = visit()
    solve(page, "How many orders?")
    expect(box(page, "Answer")).to_be_visible()
    box(page, "Task").fill("What is next?")
    run = clerk_team.team.start("How many other orders?")  # another browser's
    page.get_by_label("How many other orders? (done)").check()
    expect(box(page, "Done")).to_have_value("How many other orders?")
    assert page.evaluate("location.search") == f"?run={run}"
    expect(box(page, "Task")).to_have_value("What is next?")


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


def test_button_of_an_answered_question_does_not_answer_the_next_one(
    visit: Visit, clerk_team: Any
) -> None:
    team, held = clerk_team.team, []
    run = team.wait(team.start("How many orders by city? How many returns by city?"))
    page = visit(f"?run={run.id}")
    option = page.get_by_role("button", name="orders by shipping city")
    option.wait_for()
    # 1. The page gets no more news, so that it still shows the first question.
    targets = "gradio_config.dependencies.flatMap((handler) => handler.targets)"
    timer = dict(map(reversed, page.evaluate(targets)))["tick"]

    def hold(route: Any) -> None:
        ticks = route.request.post_data_json["trigger_id"] == timer
        held.append(route) if ticks else route.continue_()

    page.route("**/queue/join*", hold)
    with page.expect_request(
        lambda request: (request.post_data_json or {}).get("trigger_id") == timer
    ):
        pass
    # 2. It is answered elsewhere, and the next one has the same options.
    first = team.question(run.id)
    team.answer(run.id, "orders by billing city")
    team.wait(run.id)
    second = team.question(run.id)
    assert second["key"] != first["key"] and second["options"] == first["options"]
    # 3. A click is on the first.
    option.click()
    expect(page.get_by_text("This question was answered already.")).to_be_visible()
    assert team.question(run.id) == second
    for route in held:
        route.continue_()


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


def test_used_up_budget_is_the_reason_shown(visit: Visit, clerk_team: Any) -> None:
    limits = Limits(steps=1)
    task = "How many orders? What is 10 % of that?"
    run = clerk_team.team.wait(clerk_team.team.start(task, limits=limits))
    page = visit(f"?run={run.id}")
    expect(box(page, "Reason")).to_have_value("The budget of 1 step is used up (1).")
    expect(box(page, "Understood as (s1, clerk)")).to_be_visible()


def test_failed_run_shows_its_reason_and_what_was_found_and_is_resumed(
    visit: Visit, clerk_team: Any, hostile: str
) -> None:
    task = "How many orders? How many orders of vendors?"
    run = clerk_team.team.wait(clerk_team.team.start(task))
    page = visit(f"?run={run.id}")
    expect(box(page, "Failed")).to_have_value(task)
    expect(box(page, "Reason")).to_have_value("openai:gpt-4o-mini: rate limit reached.")
    expect(cell(page, "42 orders")).to_be_visible()
    expect(box(page, f"Program run by shop {hostile}: not checked")).to_have_value("SELECT city")
    expect(box(page, "Result of returns.md:12-14: not checked")).to_have_value(hostile)
    page.get_by_role("button", name="Resume").click()
    expect(box(page, "Answer")).to_have_value("42 orders; 42 orders")
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)


def test_follow_up_is_in_the_thread(visit: Visit, clerk_team: Any) -> None:
    page = visit()
    solve(page, "How many orders in 2025?")
    expect(box(page, "Answer")).to_be_visible()
    page.get_by_label("May refer to the task below").check()
    solve(page, "And in 2024?")
    expect(box(page, "Done")).to_have_value("And in 2024?")
    expect(box(page, "In full")).to_have_value("How many orders in 2025? And in 2024?")
    expect(page.get_by_label("May refer to the task below")).not_to_be_checked()
    first, second = clerk_team.team.store.runs(2)
    assert first.thread == second.thread


def test_memory_is_erased(visit: Visit, clerk_team: Any) -> None:
    clerk_team.team.memory.forget("")
    clerk_team.team.start("Remember that our VAT is 19 %.")
    clerk_team.team.start("Remember that we close at noon.")
    page = visit()
    page.get_by_role("button", name="Memory").click()
    page.get_by_role("checkbox", name="our VAT is 19 %").check()
    page.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("checkbox", name="our VAT is 19 %")).to_have_count(0)
    assert [fact.text for fact in clerk_team.team.memory.facts("")] == ["we close at noon"]
    page.get_by_role("group").filter(has_text="Remembered").get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("checkbox", name="we close at noon")).to_have_count(0)
    assert clerk_team.team.memory.facts("") == []


def test_text_of_others_is_never_html(visit: Visit, hostile: str) -> None:
    page = visit()
    solve(page, f"Remember that {hostile}")
    expect(box(page, "Answer")).to_have_value(f"I'll remember that {hostile}.")
    solve(page, f"How many hostile orders {hostile}?")
    expect(box(page, "Done")).to_have_value(re.compile("onerror"))
    expect(box(page, "Answer")).to_have_value(f"42 orders {hostile}")
    page.get_by_text(f"Program run by shop {hostile}").wait_for()
    expect(cell(page, f"Graz {hostile} 0")).to_be_visible()
    page.get_by_role("button", name="Memory").click()
    page.get_by_role("checkbox", name=hostile).wait_for()
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


def test_error_is_shown_and_keeps_the_task(visit: Visit) -> None:
    page = visit("?run=r0")
    expect(box(page, "Error")).to_have_value(re.compile("^Unknown run 'r0'"))
    solve(page, "   ")
    expect(page.get_by_text("The task is empty.")).to_be_visible()
    expect(box(page, "Task")).to_have_value("   ")
