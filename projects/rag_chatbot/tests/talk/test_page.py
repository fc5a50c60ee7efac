"""The page in a real browser; requests to any other host fail the test."""

import re
import threading

import pytest

from rag_chatbot.answer.answer import MAX_CHARACTERS
from rag_chatbot.chatbot import NO_DOCUMENTS, OPERATOR, Question
from rag_chatbot.talk.api import create_app
from seedbed.models.scripted import ScriptedChatModel
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium

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
        documents_tab(page, len(texts)).wait_for()
        return page, bot

    yield open_page
    injected = [page.evaluate("window.ran") for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert not any(injected) and foreign_urls == [] and errors == []


def documents_tab(page, count):
    return page.get_by_role("tab", name=f"Documents ({count})")


def is_foreign(url):
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def in_sight(locator):
    """Whether the element is in the window and in all parts of the page that scroll."""
    return locator.evaluate(
        """(element) => new Promise((resolve) => new IntersectionObserver(
          ([entry]) => resolve(entry.isIntersecting)).observe(element))"""
    )


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
        assert mark.inner_text() == FACT and in_sight(mark)
        assert popup.value.locator("main").inner_text().startswith("# Harbour")
        popup.value.close()
    page.get_by_text("How this was answered").click()
    how = page.locator("#chat .how").inner_text()
    assert WHEN in how and "retrieve" in how and "Tokens" in how and "port.md" in how


def test_page_shows_beginning_of_each_answer(visit):
    text = "\n\n".join(f"The harbour of Vellin has rule {n}. {'Word ' * 30}" for n in range(9))
    page, _ = visit({"rules.md": text}, strictness=0)
    page.set_viewport_size({"width": 390, "height": 844})
    for number in range(3):
        ask(page, f"Which rule {number} has the harbour of Vellin?")
        question = page.locator("#chat .user-row").nth(number)
        page.wait_for_function(
            """(number) => {
              const row = document.querySelectorAll("#chat .user-row")[number];
              const chat = document.querySelector("#chat").getBoundingClientRect();
              return Math.abs(row.getBoundingClientRect().top - chat.top) < 20;
            }""",
            arg=number,
        )
        assert in_sight(question) and in_sight(page.locator("#chat .answer").nth(number))


def test_page_explains_that_a_cited_document_is_gone(visit):
    page, bot = visit()
    ask(page, WHEN)
    bot.delete_document("default", "port.md", OPERATOR)
    with page.context.expect_page() as popup:
        page.locator("#chat .cite").first.click()
    assert "This document is not available" in popup.value.locator("main").inner_text()


def test_page_lists_conversations_and_continues_them(visit):
    page, bot = visit()
    bot.ask(Question("What is asked by another program?"), caller="local")
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
    sizes = {
        c.title: len(bot.conversations.turns(c.id, "local"))
        for c in bot.conversations.list("local", origin="page")
    }
    assert sizes == {WHEN: 3, "How long is green tea steeped?": 1}


def test_page_deletes_conversation_after_confirmation(visit):
    page, bot = visit()
    ask(page, WHEN)
    delete = page.get_by_role("button", name="Delete conversation")
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog"):
        delete.click()
    assert page.locator("#chat .how").count() == 1
    page.once("dialog", lambda dialog: dialog.accept())
    delete.click()
    page.get_by_text("What would you like to know?").wait_for()
    delete.wait_for(state="hidden")
    assert bot.conversations.list("local") == []


def test_page_keeps_the_tab_that_is_opened_while_it_loads(visit):
    page, _ = visit()
    held = []
    page.route("**/queue/join*", lambda route: held.append(route))
    with page.expect_request("**/queue/join*"):
        page.reload()
    page.get_by_role("tab", name="Documents").click()
    for route in held:
        route.continue_()
    page.unroute("**/queue/join*")
    documents_tab(page, len(TEXTS)).wait_for()
    page.locator("#documents").get_by_role("link", name="tea.md").wait_for()


class HeldList:
    """Conversations whose next list is read at once and returned when released."""

    def __init__(self, conversations):
        self.conversations = conversations
        self.read, self.released = threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self.conversations, name)

    def list(self, *args, **options):
        conversations = self.conversations.list(*args, **options)
        self.read.set()
        assert self.released.wait(60)
        return conversations


def test_page_shows_newest_lists_though_older_ones_come_late(visit):
    page, bot = visit()
    ask(page, WHEN)
    delete = page.get_by_role("button", name="Delete conversation")
    delete.wait_for()
    bot.conversations = held = HeldList(bot.conversations)
    page.once("dialog", lambda dialog: dialog.dismiss())
    delete.click()
    assert held.read.wait(60)
    page.once("dialog", lambda dialog: dialog.accept())
    delete.click()
    page.get_by_text("What would you like to know?").wait_for()
    held.released.set()
    delete.wait_for(state="hidden")
    assert page.locator("#past label").count() == 0


def test_page_adds_documents_that_are_uploaded_while_others_are_read(visit, tmp_path):
    page, _ = visit({})
    page.get_by_role("tab", name="Documents").click()
    long, short = tmp_path / "long.md", tmp_path / "short.md"
    long.write_text("\n\n".join(f"The lighthouse number {n} is red." for n in range(20_000)))
    short.write_text(TEXTS["tea.md"])
    upload = page.locator("#upload input[type=file]")
    upload.set_input_files(long)
    page.locator("#upload .progress-text, #upload .eta-bar").first.wait_for()
    upload.set_input_files(short)
    documents_tab(page, 2).wait_for()


def select(page, *names):
    box = page.locator("#selected input")
    for name in names:
        box.fill(name)
        page.get_by_role("option", name=name).click()


def test_page_adds_selects_and_deletes_documents(visit, tmp_path):
    page, bot = visit({})
    page.get_by_text("There are no documents here yet").wait_for()
    page.get_by_role("tab", name="Documents").click()
    new = tmp_path / "a long name with spaces & signs%20.md"
    new.write_text("# Dorn\n\nThe lighthouse of Dorn is red.\n")
    other, third = tmp_path / "tea.md", tmp_path / "port.md"
    other.write_text(TEXTS["tea.md"])
    third.write_text(TEXTS["port.md"])
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"%PDF-1.4 broken")
    page.locator("#upload input[type=file]").set_input_files([new, other, third, bad])
    documents_tab(page, 3).wait_for()
    note = page.locator("#note").inner_text()
    assert "3 added" in note and "bad.pdf: " in note

    rows = page.locator("#documents tbody tr")
    rows.nth(2).wait_for()
    select(page, "a long name")
    rows.nth(1).wait_for(state="detached")
    assert new.name in rows.inner_text() and "markdown" in rows.inner_text()
    link = page.get_by_role("link", name="a long name")
    with page.context.expect_page() as popup:
        link.click()
    assert "The lighthouse of Dorn is red." in popup.value.locator("main").inner_text()

    delete = page.get_by_role("button", name="Delete selected")
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog"):
        delete.click()
    assert len(bot.documents("default", "local")) == 3
    select(page, "tea.md")
    rows.nth(1).wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    delete.click()
    documents_tab(page, 1).wait_for()
    assert [item["source"] for item in bot.documents("default", "local")] == ["port.md"]
    page.get_by_role("link", name="port.md").wait_for()
    select(page, "port.md")
    page.once("dialog", lambda dialog: dialog.accept())
    delete.click()
    page.get_by_text("No documents yet").wait_for()
    assert bot.documents("default", "local") == []


def test_page_keeps_what_is_typed_during_an_answer(visit):
    answering = threading.Event()
    model = ScriptedChatModel(lambda _: FACT if answering.wait(SLOW / 1000) else "")
    page, bot = visit(model=model, mode="write", strictness=0)
    box = page.locator("#question textarea")
    box.fill(WHEN)
    page.keyboard.press("Enter")
    page.get_by_text("Looking for an answer").wait_for()
    assert page.get_by_role("button", name="Like").count() == 0
    page.keyboard.type("How long is green tea steeped?")
    page.keyboard.press("Enter")  # one question is answered at a time, so this one stays
    answering.set()
    page.locator("#chat .how").wait_for()
    assert box.input_value() == "How long is green tea steeped?"
    page.get_by_role("button", name="Ask").click()
    page.locator("#chat .how").nth(1).wait_for()
    [talk] = bot.conversations.list("local")
    turns = bot.conversations.turns(talk.id, "local")
    assert [turn.question for turn in turns] == [WHEN, "How long is green tea steeped?"]


def test_page_returns_question_that_is_too_long(visit):
    page, _ = visit()
    box = page.locator("#question textarea")
    assert f"{MAX_CHARACTERS:,} characters" in box.get_attribute("placeholder")
    question = "word " * 1000
    box.fill(question)
    page.keyboard.press("Enter")
    page.locator("#chat .error").wait_for()
    assert "the limit is 4,000" in page.locator("#chat .error").inner_text()
    page.wait_for_function("() => document.querySelector('#question textarea').value")
    assert box.input_value() == question
    assert page.get_by_role("button", name="Like").count() == 0


class NotedRatings:
    """Conversations that set `rated` when a rating has been stored."""

    def __init__(self, conversations):
        self.conversations = conversations
        self.rated = threading.Event()

    def __getattr__(self, name):
        return getattr(self.conversations, name)

    def rate(self, *args):
        self.conversations.rate(*args)
        self.rated.set()


def test_page_stores_rating(visit):
    page, bot = visit()
    ask(page, WHEN)
    bot.conversations = noted = NotedRatings(bot.conversations)
    page.get_by_role("button", name="Dislike").click()
    assert noted.rated.wait(60)
    [case] = bot.conversations.export(rating=None)
    assert (case["question"], case["rating"]) == (WHEN, "down")


def test_page_switches_collection(visit):
    page, bot = visit()
    bot.create_collection("empty", ["*"], ["*"], OPERATOR)
    page.reload()
    documents_tab(page, 2).wait_for()
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
    page.wait_for_function("() => document.querySelector('#question textarea').value === '?'")
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
    document = popup.value.locator("main").inner_text()
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
