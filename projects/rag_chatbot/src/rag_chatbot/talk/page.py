"""The layout of the web page: chat, documents and past conversations.

    ui.mount(app, build_page(chatbot), path="/")    # with `seedbed.server.ui`

Components are placed and connected here. What a button does is in `page_handlers.py`, and the HTML
of answers and of the list of documents in `page_html.py`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr

from rag_chatbot.answer.answer import MAX_CHARACTERS
from rag_chatbot.chatbot import Chatbot
from rag_chatbot.talk import page_html
from rag_chatbot.talk.page_handlers import Handlers
from seedbed.server import html

TITLE = "Ask your documents"
FORMATS = "Markdown, text, HTML, PDF, Word, Excel, PowerPoint, e-mail, CSV, JSON or source code"
DAY = 24 * 3600  # seconds

# JavaScript of the page. Each function gets the values of an event's inputs, and returns those that
# are sent to its handler.

# Scroll a new question to the top of the chat, so that its answer is read from the beginning.
SHOW_QUESTION = """() => requestAnimationFrame(() => {
  const chat = document.querySelector("#chat .panel-wrap");
  const questions = chat?.querySelectorAll(".user-row") ?? [];
  const last = questions[questions.length - 1];
  const shown = last ? questions.length + last.textContent : "";
  if (last && chat.dataset.shown !== shown)
    chat.scrollTop += last.getBoundingClientRect().top - chat.getBoundingClientRect().top;
  if (chat) chat.dataset.shown = shown;
})"""
# The selected documents; none if the user does not confirm.
CONFIRM_DOCUMENTS = """(sources, collection) => [
  sources.length && confirm(`Delete ${sources.join(", ")}?`) ? sources : [], collection]"""
CONFIRM_CONVERSATION = """(past) =>
  past && confirm("Delete this conversation and the ratings of its answers?") ? past : null"""


def build_page(chatbot: Chatbot) -> gr.Blocks:
    """The page of one chatbot, which `seedbed.server.ui.mount` adds to an application."""
    page: gr.Blocks
    # Uploads are deleted as they are read; `delete_cache` removes what was never read.
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, DAY)) as page:
        # Values that the browser session keeps between events, then the components by name.
        widgets = SimpleNamespace(
            conversation=gr.State(None),
            ids=gr.State([]),
        )
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="main"):
                gr.Markdown(f"# {TITLE}")
                with gr.Tabs(selected="chat") as widgets.tabs:
                    with gr.Tab("Chat", id="chat"):
                        _add_chat(widgets)
                    with gr.Tab("Documents", id="documents") as widgets.documents_tab:
                        _add_documents(widgets, chatbot)
            with gr.Column(elem_id="side"):
                _add_side(widgets)
        _connect(page, widgets, Handlers(chatbot))
    return page


def _add_side(widgets: SimpleNamespace) -> None:
    widgets.new = gr.Button("New conversation", size="md")
    widgets.collection = gr.Dropdown(
        ["default"], value="default", label="Collection", visible=False
    )
    widgets.past = gr.Radio(
        [], label="Past conversations", value=None, visible=False, elem_id="past"
    )
    widgets.forget = gr.Button("Delete conversation", size="sm", variant="stop", visible=False)


def _add_chat(widgets: SimpleNamespace) -> None:
    widgets.chat = gr.Chatbot(
        show_label=False,
        height=None,
        buttons=[],
        layout="panel",
        autoscroll=False,  # SHOW_QUESTION scrolls
        placeholder=page_html.WELCOME,
        latex_delimiters=[],
        elem_id="chat",
    )
    widgets.box = gr.Textbox(
        value="",
        placeholder=f"Ask, up to {MAX_CHARACTERS:,} characters",
        show_label=False,
        submit_btn="Ask",
        autofocus=True,
        max_lines=4,
        elem_id="question",
    )


def _add_documents(widgets: SimpleNamespace, chatbot: Chatbot) -> None:
    limit = chatbot.config.max_file_mb
    gr.HTML(html.hint(f"Add {FORMATS}, up to {limit} MB each."))
    widgets.upload = gr.File(show_label=False, file_count="multiple", height=120, elem_id="upload")
    widgets.note = gr.HTML(elem_id="note")
    with gr.Row(elem_id="selection-row"):
        widgets.selected = gr.Dropdown(
            [],
            multiselect=True,
            label="Find and select",
            scale=8,
            min_width=260,
            elem_id="selected",
        )
        widgets.delete = gr.Button(
            "Delete selected", size="md", variant="stop", scale=1, min_width=170
        )
    widgets.documents = gr.HTML(elem_id="documents")


def _connect(page: gr.Blocks, widgets: SimpleNamespace, handlers: Handlers) -> None:
    """Connect each event to its handler: `event(handler, inputs, outputs)`."""
    quiet: dict[str, Any] = {"show_progress": "hidden"}
    selection = [widgets.collection, widgets.conversation, widgets.selected]
    lists = [
        *(widgets.chat, widgets.collection, widgets.documents_tab, widgets.selected),
        *(widgets.documents, widgets.past, widgets.forget),
    ]
    transcript = [widgets.chat, widgets.ids, widgets.conversation, widgets.note, widgets.tabs]

    def then_refresh(event: Any) -> None:
        # One after another, and the last always: an event may follow while the lists are loading.
        options = {"trigger_mode": "always_last", "concurrency_id": "refresh", **quiet}
        event.then(handlers.refresh, selection, lists, **options)

    # Load the lists, and again after every event that may change them.
    page.load(handlers.refresh, selection, lists, **quiet)

    # Ask what is in the box, or one of the example questions. What is typed during an answer stays.
    inputs = [widgets.box, widgets.chat, widgets.ids, widgets.collection, widgets.conversation]
    outputs = [widgets.box, widgets.chat, widgets.ids, widgets.conversation]
    example = widgets.chat.example_select(_example_text, None, widgets.box, **quiet)
    for trigger in (widgets.box.submit, example.then):
        then_refresh(trigger(handlers.ask, inputs, outputs, trigger_mode="once", **quiet))
    widgets.chat.change(None, js=SHOW_QUESTION)

    # Start a new conversation; continue or delete a past one.
    triggers = [widgets.new.click, widgets.collection.input]
    then_refresh(gr.on(triggers, handlers.new, None, transcript, **quiet))
    reopen = {"trigger_mode": "always_last", **quiet}
    conversation = [*transcript, widgets.collection]
    then_refresh(widgets.past.input(handlers.reopen, widgets.past, conversation, **reopen))
    then_refresh(
        widgets.forget.click(
            handlers.forget,
            widgets.past,
            transcript,
            js=CONFIRM_CONVERSATION,
            trigger_mode="multiple",  # a click right after a cancelled one must not be lost
        )
    )

    # Add, select and delete documents.
    upload = [widgets.upload, widgets.collection]
    uploaded = [widgets.upload, widgets.note]
    then_refresh(widgets.upload.upload(handlers.upload, upload, uploaded, trigger_mode="multiple"))
    selected = [widgets.selected, widgets.collection]
    widgets.selected.change(handlers.select, selected, widgets.documents, **quiet)
    delete = widgets.delete.click
    then_refresh(
        delete(
            handlers.delete, selected, widgets.note, js=CONFIRM_DOCUMENTS, trigger_mode="multiple"
        )
    )

    widgets.chat.like(handlers.rate, widgets.ids, None, trigger_mode="multiple", **quiet)


def _example_text(selection: gr.SelectData) -> str:
    return str(selection.value["text"])
