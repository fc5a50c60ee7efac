"""The page in a real browser; requests to any other host fail the test."""

import threading

import pytest

from rag_chatbot.talk.api import create_app
from seedbed.server.callers import LOCAL
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(240)]

FACT = "The harbour of Vellin opens at six in the morning."
WHEN = "When does the harbour of Vellin open?"
TEXTS = {
    "port.md": f"# Harbour\n\n## Hours\n\n{FACT}\n",
    "tea.md": "# Tea\n\nGreen tea from Asun is steeped for two minutes.\n",
}
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
        documents_tab(page, len(texts)).wait_for()
        return page, bot

    yield open_page
    for context in contexts:
        context.close()
    assert foreign_urls == [] and errors == []


def documents_tab(page, count):
    return page.get_by_role("tab", name=f"Documents ({count})")


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
        mark = popup.value.locator("mark#quote")
        assert mark.inner_text() == FACT
        assert popup.value.locator("main").inner_text().startswith("# Harbour")
        popup.value.close()
    page.get_by_text("How this was answered").click()
    how = page.locator("#chat .how").inner_text()
    assert WHEN in how and "retrieve" in how and "Tokens" in how and "port.md" in how


def test_page_lists_conversations_continues_and_deletes_them(visit):
    page, bot = visit()
    ask(page, WHEN)
    ask(page, "And what is it like?")
    titles = page.locator("#past label")
    titles.first.wait_for()
    assert titles.count() == 1 and titles.first.inner_text().startswith(f"{WHEN}\n20")
    page.get_by_role("button", name="New conversation").click()
    page.get_by_text("What would you like to know?").wait_for()
    ask(page, "How long is green tea steeped?")
    titles.nth(1).click()
    page.locator("#chat .how").nth(1).wait_for()
    assert FACT in page.locator("#chat .answer").first.inner_text()
    ask(page, "And then?")
    page.wait_for_function(
        "(title) => document.querySelector('#past label').innerText.includes(title)", arg=WHEN
    )
    talks = bot.list_conversations(LOCAL)
    sizes = {c.title: len(bot.conversation(c.id, LOCAL)[1]) for c in talks}
    assert sizes == {WHEN: 3, "How long is green tea steeped?": 1}
    page.get_by_role("button", name="Delete conversation").click()
    page.get_by_text("What would you like to know?").wait_for()
    assert [c.title for c in bot.list_conversations(LOCAL)] == ["How long is green tea steeped?"]


def test_page_adds_and_deletes_documents(visit, tmp_path):
    page, bot = visit({})
    page.get_by_role("tab", name="Documents").click()
    page.get_by_text("No documents yet").wait_for()
    new, other = tmp_path / "a long name with spaces & signs%20.md", tmp_path / "tea.md"
    new.write_text("# Dorn\n\nThe lighthouse of Dorn is red.\n")
    other.write_text(TEXTS["tea.md"])
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"%PDF-1.4 broken")
    page.locator("#upload input[type=file]").set_input_files([new, other, bad])
    documents_tab(page, 2).wait_for()
    note = page.locator("#note").inner_text()
    assert "2 added" in note and "bad.pdf: " in note
    with page.context.expect_page() as popup:
        page.get_by_role("link", name="a long name").click()
    assert "The lighthouse of Dorn is red." in popup.value.locator("main").inner_text()
    page.locator("#selected input").fill("tea")
    page.get_by_role("option", name="tea.md").click()
    page.get_by_role("button", name="Delete it").click()
    documents_tab(page, 1).wait_for()
    assert [item["source"] for item in bot.documents("default", LOCAL)] == [new.name]


def test_page_stores_rating(visit):
    page, bot = visit()
    ask(page, WHEN)
    rate, rated = bot.conversations.rate, threading.Event()
    bot.conversations.rate = lambda *args: (rate(*args), rated.set())
    page.get_by_role("button", name="Dislike").click()
    assert rated.wait(60)
    [talk] = bot.list_conversations(LOCAL)
    assert bot.conversation(talk.id, LOCAL)[1][0].rating == "down"


def test_page_shows_error_and_keeps_question(visit):
    page, _ = visit()
    page.locator("#question textarea").fill("?")
    page.keyboard.press("Enter")
    page.locator("#chat .error").wait_for()
    assert "contains no words" in page.locator("#chat .error").inner_text()
    page.wait_for_function("() => document.querySelector('#question textarea').value === '?'")


def test_page_layout_fits_a_narrow_window(visit):
    width = 400
    text = f"# {'Long' * 40}\n\n{FACT}\n\n```\n{'x' * 300}\n```\n"
    page, _ = visit({"a" * 120 + ".md": text}, strictness=0)
    page.set_viewport_size({"width": width, "height": 860})
    ask(page, WHEN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    side, main = (page.locator(f"#{name}").bounding_box() for name in ("side", "main"))
    assert side["y"] >= main["y"] + main["height"]
    box = page.locator("#question").bounding_box()
    assert box["y"] + box["height"] <= 860
