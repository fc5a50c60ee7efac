"""The page: its handlers and HTML without a browser, then the whole page in one."""

from dataclasses import replace

import gradio as gr
import httpx
import numpy as np
import pytest

from vision_app.files.pixels import encode_png
from vision_app.files.samples import samples
from vision_app.serve import page_html
from vision_app.serve.api import create_app
from vision_app.serve.page import MISSING, Handlers, Session
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium

SLOW = 60_000  # milliseconds, for a busy machine
HOSTILE = "<img src=x onerror=window.ran=1>"


def picture(gray=200, width=200, height=100):
    return encode_png(np.full((height, width, 3), gray, np.uint8))


@pytest.fixture
def handlers(make_vision):
    return Handlers(make_vision())


def opened(handlers, **options):
    """The session of a tab with a picture."""
    return Session(handlers.vision.open(picture(**options), "scan.png"))


def results(handlers, session):
    """The last value of each component."""
    values = {}
    for step in handlers.analyze(session, "invoice"):
        values |= step
    return values


def test_uploads_are_deleted_and_a_bad_one_is_named(handlers, tmp_path):
    session = opened(handlers)
    for name, content in (("scan.png", picture()), ("notes.txt", b"hello")):
        (tmp_path / name).write_bytes(content)
        emptied, _, note, columns = handlers.open_upload(str(tmp_path / name), session)
        assert emptied is None and list(tmp_path.iterdir()) == []
        is_picture = name == "scan.png"
        assert columns.visible is is_picture and (session.source is not None) is is_picture
    assert "notes.txt" in note and "role='alert'" in note


def test_analysis_shows_progress_before_results(handlers):
    session = opened(handlers)
    assert "Opening" in next(handlers.analyze(session, "invoice"))["picture"]
    values = results(handlers, session)
    assert values["labels"].value["label"] == "gray 200"
    assert "Northwind Ltd" in values["text"] and "12.50" in values["fields"]
    assert values["json"]["fields"]["total"] == 12.5 and "waiting" not in str(values)
    place = "data-mark='fields-8' data-page='1' data-box='20.0 20.0 33.0 30.0' title='12.50'"
    assert place in values["fields"] and "width='200' height='100'" in values["picture"]


def test_picture_is_decoded_at_most_twice(handlers):
    session, pages = opened(handlers), []
    decode = session.source.decode
    session.source = replace(session.source, decode=lambda page: pages.append(page) or decode(page))
    results(handlers, session)
    assert len(pages) == 2  # it is shown and classified, then read


def test_picture_without_text_shows_its_labels(handlers):
    values = results(handlers, opened(handlers, gray=50))
    assert "No text was found" in values["text"] and "no fields" in values["fields"]
    assert values["labels"].label.startswith("Not sure") and values["tabs"].selected == "labels"


def test_error_in_one_step_leaves_the_others(handlers):
    handlers.vision.failure = RuntimeError("secret path")
    values = results(handlers, opened(handlers))
    assert values["labels"].value["label"] == "gray 200" and "<img" in values["picture"]
    assert "role='alert'" in values["text"] and "secret" not in str(values)


def test_results_of_an_earlier_picture_are_not_shown(handlers):
    session = opened(handlers)
    steps, other = handlers.analyze(session, "invoice"), handlers.vision.open(picture(), "b.png")
    next(steps)
    session.source = other
    assert list(steps) == [{}]

    def ask(*_, **__):
        session.source = handlers.vision.open(picture(), "c.png")
        return {"answer": "late", "evidence": []}

    handlers.vision.ask = ask
    assert handlers.ask(session, "What is the total?") == gr.skip()


def test_answer_names_its_place(handlers):
    answer = handlers.ask(opened(handlers), "What is the total?")
    assert "The total is 12.50." in answer and "data-mark='answer-0'" in answer
    assert "can&#x27;t tell" in handlers.ask(opened(handlers), "Who?")
    assert "Type a question" in handlers.ask(opened(handlers), "  ")
    assert MISSING in handlers.ask(Session(), "What is the total?")


def test_html_escapes_everything():
    evidence = {"text": HOSTILE, "box": [0, 0, 1, 1], "page": 1, "confidence": 1.0}
    extraction = {"fields": {HOSTILE: HOSTILE}, "evidence": {HOSTILE: evidence}}
    page = page_html.picture(HOSTILE, [np.zeros((9, 9, 3), np.uint8)])
    page += page_html.fields({**extraction, "warnings": [HOSTILE]})
    page += page_html.answer(HOSTILE, {"answer": HOSTILE, "evidence": [evidence]})
    assert page.count("&lt;img") > 7 and "<img src=x" not in page


def test_value_that_ocr_did_not_read_has_no_box():
    evidence = {"text": "17", "box": None, "page": 1, "confidence": 0.5}
    extraction = {"fields": {"total": 17.0, "paid": True}, "evidence": {"total": evidence}}
    page = page_html.fields({**extraction, "warnings": ["total: OCR did not read 17.0"]})
    assert "17.00</td><td>50 %" in page and "data-box" not in page
    assert "<td>yes</td>" in page and "OCR did not read" in page


# The whole page in a browser


@pytest.fixture(scope="module")
def browser():
    with launch_chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser, make_vision, serve):
    """Opens the page; afterwards checks for script errors and foreign requests."""
    contexts, foreign_urls, errors = [], [], []

    def open_page(width=1280):
        address = serve(create_app(make_vision(), Settings(api_keys="")))
        context = browser.new_context(viewport={"width": width, "height": 844})
        context.set_default_timeout(SLOW)
        contexts.append(context)
        context.on("request", lambda r: None if is_own(r.url) else foreign_urls.append(r.url))
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.locator("#sample-invoice").wait_for()
        return page

    yield open_page
    injected = [page.evaluate("window.ran") for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert not any(injected) and foreign_urls == [] and errors == []


def is_own(url):
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))


browser_test = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(240)]


class TestInBrowser:
    pytestmark = browser_test

    def test_field_and_its_box_mark_each_other(self, visit):
        page = visit()
        page.locator("#sample-invoice").click()
        box = page.locator("#picture .box[data-mark='fields-8']")
        box.wait_for()
        place = "left: 2%; top: 1.41443%; width: 1.3%; height: 0.707214%;"
        assert box.get_attribute("style") == place  # the sample has 1000 x 1414 pixels
        page.locator("#fields [data-mark='fields-8']").click()
        assert "lit" in box.get_attribute("class")
        page.locator("#picture .box[data-mark='fields-0']").click()
        assert "lit" in page.locator("#fields [data-mark='fields-0']").get_attribute("class")
        assert "lit" not in box.get_attribute("class")
        page.get_by_role("tab", name="Text").click()
        page.locator("#picture .box.text").first.wait_for()
        assert not box.is_visible()

    def test_uploads_of_any_name_replace_each_other(self, visit):
        page = visit()
        upload = page.locator("#upload input[type=file]")
        file = {"name": f"{HOSTILE}.png", "mimeType": "image/png", "buffer": picture(gray=50)}
        upload.set_input_files(file)
        page.get_by_text("gray 50").first.wait_for()  # without text, its labels are shown
        upload.set_input_files({**file, "buffer": picture(gray=160)})
        page.locator("#fields [data-mark='fields-8']").wait_for()
        upload.set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"hello"})
        page.locator("#note .error").wait_for()
        assert not page.locator("#picture").is_visible()

    def test_question_is_answered_with_its_box(self, visit):
        page = visit()
        page.locator("#sample-receipt").click()
        page.locator("#fields [data-mark]").first.wait_for()
        page.get_by_role("tab", name="Ask").click()
        page.get_by_label("Question").fill("What is the total?")
        page.keyboard.press("Enter")
        page.get_by_text("The total is 12.50.").wait_for()
        page.locator("#picture .box.answer").wait_for()

    def test_narrow_page_does_not_scroll_sideways(self, visit):
        page = visit(width=390)
        page.locator("#sample-invoice").click()
        page.locator("#fields [data-mark]").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.mouse.wheel(0, 2000)
        page.get_by_text("JSON").last.scroll_into_view_if_needed()
        assert page.locator("#left").bounding_box()["y"] >= 0  # the picture stays in sight


def test_page_serves_no_files(make_vision, serve, tmp_path):
    (tmp_path / "scan.png").write_bytes(picture())
    address = serve(create_app(make_vision(), Settings(api_keys="")))
    for path in (tmp_path / "scan.png", samples()[0].path):
        assert httpx.get(f"{address}/gradio_api/file={path}").status_code == 404
