"""The pages in a browser: buttons, live progress, and no sideways scrolling on a phone."""

from __future__ import annotations

import pytest

from seedbed.testing.launch import launch_chromium, serve_app

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def browser():
    with launch_chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, make_app):
    """The list of papers on a phone; afterwards checks for errors, such as the policy's."""
    errors = []
    with serve_app(make_app()) as url:
        page = browser.new_page(viewport={"width": 400, "height": 800})
        page.set_default_timeout(120_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: line.type == "error" and errors.append(line.text))
        page.goto(url)
        yield page
        page.close()
    assert errors == []


def test_button_runs_a_paper_and_the_report_appears(page, held):
    row = page.locator("article", has_text="Fitting a Line").locator("tr", has_text="smoke")
    row.get_by_role("button", name="Run").click()
    page.locator("#text", has_text="step 0 of 40").wait_for()
    assert page.get_by_role("button", name="Run").count() == 0
    held.unlink()
    page.get_by_role("link", name="2 of 2 claims hold").click()
    page.locator(".verdict", has_text="holds").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.locator("svg.dots").first.bounding_box()["width"] > 100


def test_run_is_stopped_and_offered_again(page, held):
    row = page.locator("article", has_text="Fitting a Line").locator("tr", has_text="smoke")
    row.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Continue").wait_for()
    assert held.exists() and "stopped" in page.locator(".live").inner_text()
