"""The page in a real browser; requests to any other host fail the test."""

import re

import pytest

from rag_chatbot.chatbot import NO_DOCUMENTS, OPERATOR
from rag_chatbot.talk.api import create_app
from seedbed.settings import Settings
from seedbed.testing import launch_chromium

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(240)]

FACT = "The harbour of Vellin opens at six in the morning."
WHEN = "When does the harbour of Vellin open?"
TEXTS = {
    "port.md": f"# Harbour\n\n## Hours\n\n{FACT}\n",
    "tea.md": "# Tea\n\nGreen tea from Asun is steeped for two minutes.\n",
}
HOSTILE = """# Lighthouse <img src=x onerror="window.ran=1">

The lighthouse of Dorn is red <script>window.ran=1</script><img src=x onerror="window.ran=1">
![x](http://192.0.2.1/leak) [here](javascript:window.ran=1) <iframe src="http://192.0.2.1/"></iframe>.
"""
SLOW = 45_000  # milliseconds, for a busy machine


@pytest.fixture(scope="module")
def browser():
    with launch_chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser, open_chatbot, serve):
    """Opens the page of a chatbot; afterwards checks for script errors and foreign requests."""
    contexts, foreign_urls, errors = [], [], []

    def open_page(texts=TEXTS, **settings):
        bot = open_chatbot(texts, **settings)
        address = serve(create_app(bot, Settings(api_keys="")))
        context = browser.new_context(viewport={"width": 1280, "height": 860})
        context.set_default_timeout(SLOW)
        contexts.append(context)
        context.on("request", lambda r: foreign_urls.append(r.url) if is_foreign(r.url) else None)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.locator("#question textarea").wait_for()
        page.get_by_text("in this collection" if texts else "no documents here yet").wait_for()
        return page, bot

    yield open_page
    injected = [page.evaluate("window.ran") for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert not any(injected) and foreign_urls == [] and errors == []


def is_foreign(url):
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def ask(page, question):
    answers = page.locator("#chat .how").count()
    page.locator("#question textarea").fill(question)
    page.keyboard.press("Enter")
    page.locator("#chat .how").nth(answers).wait_for()


def test_page_streams_answer_and_citation_opens_passage(visit):
    page, _ = visit()
    ask(page, WHEN)
    assert FACT in page.locator("#chat .answer").inner_text()
    assert page.locator("#question textarea").input_value() == ""
    place = page.locator("#chat .sources .place").first
    assert place.inner_text() == "port.md, Hours"
    for link in (place, page.locator("#chat .answer .cite").first):
        with page.context.expect_page() as popup:
            link.click()
        assert popup.value.locator("mark#quote").inner_text() == FACT
        assert popup.value.locator("pre").inner_text().startswith("# Harbour")
        popup.value.close()
    page.get_by_text("How this was answered").click()
    how = page.locator("#chat .how").inner_text()
    assert WHEN in how and "retrieve" in how and "Tokens" in how and "port.md" in how


def test_page_continues_and_reopens_conversations(visit):
    page, bot = visit()
    ask(page, WHEN)
    ask(page, "And what is it like?")
    page.locator("#past label").wait_for()
    assert page.locator("#past label").all_inner_texts() == [WHEN]
    page.get_by_role("button", name="New conversation").click()
    page.get_by_text("What would you like to know?").wait_for()
    ask(page, "How long is green tea steeped?")
    page.locator("#past label").nth(1).click()
    page.locator("#chat .how").nth(1).wait_for()
    assert FACT in page.locator("#chat .answer").first.inner_text()
    ask(page, "And then?")
    sizes = {
        c.title: len(bot.conversations.turns(c.id, "local"))
        for c in bot.conversations.list("local")
    }
    assert sizes == {WHEN: 3, "How long is green tea steeped?": 1}


def test_page_adds_opens_and_deletes_documents(visit, tmp_path):
    page, bot = visit({})
    new = tmp_path / "a long name with spaces & signs.md"
    new.write_text("# Dorn\n\nThe lighthouse of Dorn is red.\n")
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"%PDF-1.4 broken")
    page.locator("#upload input[type=file]").set_input_files([new, bad])
    page.get_by_text("1 document in this collection").wait_for()
    note = page.locator("#note").inner_text()
    assert "1 added" in note and "bad.pdf: " in note
    ask(page, "What colour is the lighthouse of Dorn?")
    assert "red" in page.locator("#chat .answer").inner_text()

    page.locator("#documents input").click()
    page.get_by_role("option", name=new.name).click()
    link = page.get_by_role("link", name="Open")
    link.wait_for()
    assert "view?collection=default&source=a+long+name" in link.get_attribute("href")
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog"):
        page.get_by_role("button", name="Delete").click()
    page.wait_for_function("() => !document.querySelector('#note')?.innerText.trim()")
    assert len(bot.documents("default", "local")) == 1
    page.locator("#documents input").click()
    page.get_by_role("option", name=new.name).click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("No documents yet").wait_for()
    assert bot.documents("default", "local") == []


def test_page_stores_rating_and_comment(visit):
    page, bot = visit()
    ask(page, WHEN)
    page.get_by_role("button", name="Dislike").click()
    page.locator("#comment textarea").fill("It opens at five.")
    page.keyboard.press("Enter")
    page.get_by_text("Your comment was saved").wait_for()
    [case] = bot.conversations.export(rating=None)
    assert (case["question"], case["rating"], case["comment"]) == (
        WHEN,
        "down",
        "It opens at five.",
    )


def test_page_settings_apply_to_next_answer(visit):
    page, _ = visit()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("number input for Strictness").fill("1")
    page.get_by_label("number input for Passages").fill("1")
    page.keyboard.press("Tab")
    ask(page, "Who founded the city of Quillon?")
    answer = page.locator("#chat .message").last.inner_text()
    assert "I can't find this" in answer and "nearest passages" in answer
    assert page.locator("#chat .chunks tr").count() == 2  # its heading, and one passage


def test_page_switches_collection(visit):
    page, bot = visit()
    bot.create_collection("empty", ["*"], ["*"], OPERATOR)
    page.reload()
    page.get_by_text("2 documents in this collection").wait_for()
    page.get_by_role("combobox", name="Collection", exact=True).click()
    page.get_by_role("option", name="empty").click()
    page.get_by_text("There are no documents here yet").wait_for()
    ask(page, WHEN)
    assert NO_DOCUMENTS in page.locator("#chat").inner_text()


def test_page_shows_error_and_keeps_question(visit):
    page, bot = visit()
    page.locator("#question textarea").fill("?")
    page.keyboard.press("Enter")
    page.locator("#chat .error").wait_for()
    assert "contains no words" in page.locator("#chat .error").inner_text()
    assert page.locator("#question textarea").input_value() == "?"
    bot.store.delete_collection("default")
    page.locator("#question textarea").fill(WHEN)
    page.keyboard.press("Enter")
    page.locator("#chat .error").nth(1).wait_for()
    assert "Unknown collection 'default'" in page.locator("#chat .error").nth(1).inner_text()


def test_page_escapes_text_of_documents_and_users(visit):
    page, _ = visit({"<img src=x onerror=window.ran=1>.md": HOSTILE})
    ask(page, f"What colour is the lighthouse of Dorn? {HOSTILE[:60]}")
    page.get_by_text("How this was answered").click()
    text = page.locator("#chat").inner_text()
    assert "<script>window.ran=1</script>" in text
    assert page.locator("#chat :is(img, iframe, script, a[href^=javascript])").count() == 0
    with page.context.expect_page() as popup:
        page.locator("#chat .sources .place").first.click()
    document = popup.value.locator("pre").inner_text()
    assert "<script>window.ran=1</script>" in document
    popup.value.wait_for_load_state("load")
    assert popup.value.evaluate("window.ran") is None


@pytest.mark.parametrize("width", [400, 1280, 1920])
def test_page_layout_fits_window(visit, width):
    text = f"# {'Long' * 40}\n\n{FACT}\n\n```\n{'x' * 300}\n```\n"
    page, _ = visit({"a" * 120 + ".md": text}, strictness=0)
    page.set_viewport_size({"width": width, "height": 860})
    ask(page, WHEN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    side, main = (page.locator(f"#{name}").bounding_box() for name in ("side", "main"))
    beside = main["x"] >= side["x"] + side["width"]
    below = side["y"] >= main["y"] + main["height"]
    assert below if width == 400 else beside
    box = page.locator("#question").bounding_box()
    assert box["y"] + box["height"] <= 860
    assert re.search("six in the morning", page.locator("#chat .answer").inner_text())
