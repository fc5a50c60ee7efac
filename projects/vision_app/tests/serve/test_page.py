"""The page: its handlers and HTML without a browser, then the whole page in one."""

import re
from itertools import count

import httpx
import numpy as np
import pytest

from vision_app.files.pixels import encode_png
from vision_app.files.samples import samples
from vision_app.serve import page_html
from vision_app.serve.api import create_app
from vision_app.serve.page import MISSING, Handlers, Picture, Session, Shelf
from vision_app.serve.page_html import Box, View
from seedbed.errors import NotFound
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium

SLOW = 60_000  # milliseconds, for a busy machine
HOSTILE = "<img src=x onerror=window.ran=1>"


def picture(gray=200, width=200, height=100):
    return encode_png(np.full((height, width, 3), gray, np.uint8))


@pytest.fixture
def handlers(make_vision):
    return Handlers(make_vision())


@pytest.fixture
def upload(tmp_path):
    """Writes a file as Gradio stores an upload; returns its path."""

    def write(name, content):
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return write


def open_one(handlers, content, session, name="scan.png"):
    handlers.open([(name, content)], session)
    return session.current


def results(handlers, session, schema="invoice"):
    """The last value of each panel."""
    values = {}
    for step in handlers.analyze(session, schema):
        values |= {name: value for name, value in step.items() if isinstance(value, str)}
    return values


def test_uploads_are_deleted_and_bad_ones_named(handlers, upload, tmp_path):
    files = [upload("notes.txt", b"hello"), upload("scan.png", picture())]
    emptied, session, picker, note, _ = handlers.open_files(files, Session())
    assert emptied is None and list(tmp_path.iterdir()) == []
    assert [name for name, _ in session.files] == ["scan.png"]
    assert picker.value == session.current
    assert "notes.txt" in note and "role='alert'" in note


def test_same_file_is_opened_once(handlers):
    session = Session()
    first = open_one(handlers, picture(), session)
    open_one(handlers, picture(gray=120), session)
    assert open_one(handlers, picture(), session) == first
    assert len(session.files) == 2 and session.files[0][1] == first


def test_analysis_shows_progress_before_results(handlers):
    session = Session()
    open_one(handlers, picture(), session)
    first = next(handlers.analyze(session, "invoice"))
    assert "Opening" in first["picture"]
    values = results(handlers, session)
    assert "gray 200" in values["overview"]
    assert "Northwind Ltd" in values["text"] and "12.50" in values["fields"]
    assert not any("waiting" in value for value in values.values())


def test_field_text_and_box_share_a_mark(handlers):
    session = Session()
    open_one(handlers, picture(), session)
    values = results(handlers, session)
    for panel in ("fields", "text"):
        marks = set(re.findall(r"data-mark='([^']+)'", values[panel]))
        boxes = set(re.findall(rf"class='box {panel}' data-mark='([^']+)'", values["picture"]))
        assert marks and marks == boxes
    box = re.search(r"data-mark='fields-2' style='([^']+)'", values["picture"])[1]
    assert box == "left: 10.000%; top: 20.000%; width: 6.500%; height: 10.000%"


def test_picture_without_text_has_no_fields(handlers):
    session = Session()
    open_one(handlers, picture(gray=50), session)
    values = results(handlers, session)
    assert "No text was found" in values["text"] and "no fields" in values["fields"]
    assert "Not sure" in values["overview"]


def test_error_in_one_step_leaves_the_others(handlers):
    session = Session()
    open_one(handlers, picture(), session)
    handlers.vision.failure = RuntimeError("secret path")
    values = results(handlers, session)
    assert "gray 200" in values["overview"]
    assert "role='alert'" in values["text"] and "secret" not in str(values)


def test_analysis_stops_when_another_picture_is_shown(handlers):
    session = Session()
    open_one(handlers, picture(), session)
    steps = handlers.analyze(session, "invoice")
    next(steps)
    open_one(handlers, picture(gray=120), session)
    assert list(steps) == [{}]


def test_answer_about_an_earlier_picture_is_not_shown(handlers):
    session = Session()
    open_one(handlers, picture(), session)
    steps = handlers.ask(session, "What is the total?")
    next(steps)
    open_one(handlers, picture(gray=120), session)
    assert not any(isinstance(value, str) for value in next(steps))


def test_shelf_drops_oldest_pictures_above_its_size(make_vision):
    shelf = Shelf(max_bytes=20)
    keys = [shelf.add(Picture(None, b"12345678")) for _ in range(3)]
    with pytest.raises(NotFound):
        shelf.get(keys[0])
    assert shelf.get(keys[1]) and shelf.get(keys[2])
    shelf.get(keys[1]).views = [View("data:" + 20 * "x", 10, 10)] * 20  # a small PDF of many pages
    shelf.add(Picture(None, b""))
    with pytest.raises(NotFound):
        shelf.get(keys[1])
    handlers = Handlers(make_vision())
    values = list(handlers.analyze(Session([("a.png", "gone")], "gone"), "invoice"))
    assert MISSING in values[-1]["picture"]
    session = Session([("a.png", "gone")], "gone")
    assert MISSING in list(handlers.ask(session, "What is the total?"))[-1][0]


def test_answer_has_boxes_on_the_picture(handlers):
    session = Session()
    open_one(handlers, picture(), session)
    results(handlers, session)
    answer, shown = list(handlers.ask(session, "What is the total?"))[-1]
    assert "The total is 12.50." in answer and "class='box answer'" in shown
    assert "can&#x27;t tell" in list(handlers.ask(session, "Who?"))[-1][0]
    answer, shown = list(handlers.ask(session, "  "))[-1]
    assert "Type a question" in answer and "box answer" not in shown


def test_html_escapes_everything():
    views = [View("data:,", 10, 10)]
    shown = page_html.picture(HOSTILE, views, [Box("text", "text-1-0", 1, (0, 0, 5, 5), HOSTILE)])
    evidence = {"text": HOSTILE, "box": [0, 0, 1, 1], "page": 1, "confidence": 1.0}
    extraction = {
        "fields": {HOSTILE: HOSTILE},
        "evidence": {HOSTILE: evidence},
        "warnings": [HOSTILE],
    }
    labels = {"labels": [{"label": HOSTILE, "confidence": 0.5}], "sure": False}
    page = shown + page_html.fields(extraction).html
    page += page_html.overview(labels, [HOSTILE], {HOSTILE: HOSTILE})
    page += page_html.answer(HOSTILE, {"answer": HOSTILE, "evidence": [evidence]}).html
    assert page.count("&lt;img") > 10 and "<img src=x" not in page


def test_line_items_are_a_table_below_the_fields():
    items = [{"description": "Tea", "quantity": 2.0, "amount": 4.5}]
    page = page_html.fields({"fields": {"line_items": items}, "evidence": {}, "warnings": []}).html
    assert "1 row, see below" in page and "<td>Tea</td><td>2</td><td>4.50</td>" in page


def test_value_that_ocr_did_not_read_has_no_box():
    evidence = {"text": "17", "box": None, "page": 1, "confidence": 0.5}
    extraction = {"fields": {"total": 17.0, "paid": True}, "evidence": {"total": evidence}}
    panel = page_html.fields({**extraction, "warnings": ["total: OCR did not read 17.0"]})
    assert panel.boxes == [] and "17.00</td><td>50 %" in panel.html
    assert "<td>yes</td>" in panel.html and "OCR did not read" in panel.html


def test_samples_are_small_and_open(make_vision):
    vision = make_vision()
    assert [sample.name for sample in samples()] == ["invoice", "receipt", "flower", "palace"]
    for sample in samples():
        assert min(vision.open(sample.path).first().shape[:2]) > 300
    assert all(sample.path.stat().st_size < 150_000 for sample in samples()[:2])


# The whole page in a browser


@pytest.fixture(scope="module")
def browser():
    with launch_chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser, make_vision, serve):
    """Opens the page; afterwards checks for script errors and foreign requests."""
    contexts, foreign_urls, errors = [], [], []

    def open_page(width=1280, vision=None):
        address = serve(create_app(vision or make_vision(), Settings(api_keys="")))
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

    def test_sample_shows_results_and_field_marks_its_box(self, visit):
        page = visit()
        page.locator("#sample-invoice").click()
        page.locator("#overview .bars").wait_for(state="attached")
        assert not page.locator("#picture .box.fields").first.is_visible()
        page.get_by_role("tab", name="Fields").click()
        box = page.locator("#picture .box[data-mark='fields-2']")
        box.wait_for()
        page.locator("#fields [data-mark='fields-2']").click()
        assert "lit" in box.get_attribute("class")
        other = page.locator("#picture .box[data-mark='fields-0']")
        other.click()
        assert "lit" in page.locator("#fields [data-mark='fields-0']").get_attribute("class")
        assert "lit" not in box.get_attribute("class")

    def test_several_uploads_are_listed_and_switched(self, visit):
        page = visit()
        files = [
            {"name": f"{HOSTILE}.png", "mimeType": "image/png", "buffer": picture(gray=120)},
            {"name": "second.png", "mimeType": "image/png", "buffer": picture(gray=160)},
            {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"},
        ]
        page.locator("#upload input[type=file]").set_input_files(files)
        page.get_by_text("gray 120").wait_for()
        assert "notes.txt" in page.locator("#note .error").inner_text()
        page.locator("#picker label", has_text="second.png").click()
        page.get_by_text("gray 160").wait_for()

    def test_picture_chosen_during_the_analysis_of_another_is_shown(self, visit, make_vision):
        vision = make_vision()
        page = visit(vision=vision)
        files = [
            {"name": f"{gray}.png", "mimeType": "image/png", "buffer": picture(gray=gray)}
            for gray in (120, 160)
        ]
        page.locator("#upload input[type=file]").set_input_files(files)
        page.get_by_text("gray 120").wait_for()
        vision.classifier.released.clear()
        page.locator("#picker label", has_text="160.png").click()
        page.get_by_text("Looking at the picture").wait_for()
        # The second request clears old answers; the analysis is asked for at the same time.
        numbers = count(1)
        with page.expect_request(lambda r: "queue/join" in r.url and next(numbers) == 2):
            page.locator("#picker label", has_text="120.png").click()
        vision.classifier.released.set()
        page.get_by_text("gray 120").wait_for()

    def test_question_is_answered_with_its_box(self, visit):
        page = visit()
        page.locator("#sample-receipt").click()
        page.locator("#overview .bars").wait_for(state="attached")
        page.get_by_role("tab", name="Ask").click()
        page.locator("#answer-tab").get_by_label("Question").fill("What is the total?")
        page.keyboard.press("Enter")
        page.get_by_text("The total is 12.50.").wait_for()
        page.locator("#picture .box.answer").wait_for()

    def test_narrow_page_does_not_scroll_sideways(self, visit):
        page = visit(width=390)
        page.locator("#sample-invoice").click()
        page.locator("#overview .bars").wait_for(state="attached")
        page.get_by_role("tab", name="Fields").click()
        page.locator("#fields [data-mark]").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.mouse.wheel(0, 2000)
        page.locator("#fields details").scroll_into_view_if_needed()
        assert page.locator("#left").bounding_box()["y"] >= 0  # the picture stays in sight


def test_page_serves_no_files(make_vision, serve, tmp_path):
    (tmp_path / "scan.png").write_bytes(picture())
    address = serve(create_app(make_vision(), Settings(api_keys="")))
    for path in (tmp_path / "scan.png", samples()[0].path):
        assert httpx.get(f"{address}/gradio_api/file={path}").status_code == 404
