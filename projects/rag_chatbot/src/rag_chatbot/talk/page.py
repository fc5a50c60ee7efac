"""The layout of the web page: chat, documents, past conversations and settings.

    ui.mount(app, build_page(chatbot), path="/")    # with `seedbed.server.ui`

Components are placed and connected here. What a button does is in `page_handlers.py`, and the HTML
of answers in `page_html.py`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr

from rag_chatbot.chatbot import Chatbot
from rag_chatbot.talk import page_html
from rag_chatbot.talk.page_handlers import Handlers

# JavaScript that asks before a document is deleted; without consent the handler gets null.
CONFIRM = """(source, collection) =>
  [source && confirm(`Delete ${source} from this collection?`) ? source : null, collection]"""


def build_page(chatbot: Chatbot) -> gr.Blocks:
    """The page of one chatbot, which `seedbed.server.ui.mount` adds to an application."""
    page: gr.Blocks
    with gr.Blocks(title="rag_chatbot", analytics_enabled=False) as page:
        # Values that the browser session keeps between events, then the components by name.
        widgets = SimpleNamespace(
            conversation=gr.State(None), ids=gr.State([]), last_rating=gr.State(None)
        )
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="side"):
                _add_side(widgets, chatbot)
            with gr.Column(elem_id="main"):
                _add_main(widgets)
        _connect(page, widgets, Handlers(chatbot))
    return page


def _add_side(widgets: SimpleNamespace, chatbot: Chatbot) -> None:
    widgets.new = gr.Button("New conversation", size="md")
    widgets.past = gr.Radio(
        [], label="Past conversations", value=None, visible=False, elem_id="past"
    )
    widgets.collection = gr.Dropdown(["default"], value="default", label="Collection")
    with gr.Accordion("Documents", open=True):
        widgets.upload = gr.File(
            show_label=False, file_count="multiple", height=96, elem_id="upload"
        )
        widgets.note = gr.HTML(elem_id="note")
        widgets.documents = gr.Dropdown(
            [], label="No documents yet", value=None, elem_id="documents"
        )
        with gr.Row():
            widgets.open = gr.Button("Open", size="sm", interactive=False, min_width=80)
            widgets.delete = gr.Button(
                "Delete", size="sm", variant="stop", interactive=False, min_width=80
            )
    with gr.Accordion("Settings", open=False):
        widgets.k = gr.Slider(1, 20, chatbot.config.k, step=1, label="Passages to answer from")
        widgets.strictness = gr.Slider(
            0,
            1,
            chatbot.config.strictness,
            step=0.05,
            label="Strictness",
            info="Evidence an answer needs: 0 always answers, 1 never does",
        )
        widgets.mode = gr.Radio(
            ["auto", "quote", "write"],
            value=chatbot.config.mode,
            label="How to answer",
            info="quote: sentences of the documents. write: the model's own, each checked. "
            "auto: write if the model is large enough",
        )
        widgets.model = gr.Dropdown(list(chatbot.models), value=chatbot.models[0], label="Model")


def _add_main(widgets: SimpleNamespace) -> None:
    gr.Markdown("# Ask your documents")
    widgets.chat = gr.Chatbot(
        show_label=False,
        height=None,
        buttons=[],
        layout="panel",
        placeholder=page_html.WELCOME,
        latex_delimiters=[],
        elem_id="chat",
    )
    with gr.Row(visible=False) as widgets.comment_row:
        widgets.comment = gr.Textbox(
            placeholder="What was right or wrong? (optional)",
            show_label=False,
            container=False,
            scale=8,
            max_length=2000,
            elem_id="comment",
        )
        widgets.comment_send = gr.Button("Send", scale=1, min_width=90)
    with gr.Row(elem_id="question-row"):
        widgets.box = gr.Textbox(
            placeholder="Ask a question about the documents",
            show_label=False,
            container=False,
            scale=8,
            autofocus=True,
            max_lines=4,
            max_length=4000,
            elem_id="question",
        )
        widgets.send = gr.Button("Ask", variant="primary", scale=1, min_width=90)


def _connect(page: gr.Blocks, widgets: SimpleNamespace, handlers: Handlers) -> None:
    """Connect each event to its handler: `event(handler, inputs, outputs)`."""
    quiet: dict[str, Any] = {"show_progress": "hidden"}
    selection = [widgets.collection, widgets.conversation]
    lists = [widgets.chat, widgets.collection, widgets.documents, widgets.past]

    def then_refresh(event: Any) -> None:
        event.then(handlers.refresh, selection, lists, **quiet)

    # Load the lists with the page, and again after every event that may change them.
    page.load(handlers.refresh, selection, lists, **quiet)

    # Ask: by Enter, by the button, or by one of the example questions.
    inputs = [
        *(widgets.box, widgets.chat, widgets.ids, widgets.collection, widgets.conversation),
        *(widgets.k, widgets.mode, widgets.strictness, widgets.model),
    ]
    outputs = [widgets.chat, widgets.box, widgets.ids, widgets.conversation]
    triggers = [widgets.box.submit, widgets.send.click]
    then_refresh(gr.on(triggers, handlers.ask, inputs, outputs, **quiet))
    example = widgets.chat.example_select(_example_text, None, widgets.box, **quiet)
    then_refresh(example.then(handlers.ask, inputs, outputs, **quiet))

    # Start a new conversation, or continue a past one.
    transcript = [widgets.chat, widgets.ids, widgets.conversation]
    triggers = [widgets.new.click, widgets.collection.input]
    then_refresh(gr.on(triggers, lambda: ([], [], None), None, transcript, **quiet))
    outputs = [*transcript, widgets.collection]
    then_refresh(widgets.past.input(handlers.reopen, widgets.past, outputs, **quiet))

    # Add, open and delete documents.
    upload = [widgets.upload, widgets.collection]
    then_refresh(widgets.upload.upload(handlers.upload, upload, [widgets.upload, widgets.note]))
    document = [widgets.documents, widgets.collection]
    buttons = [widgets.open, widgets.delete]
    widgets.documents.change(handlers.select_document, document, buttons, **quiet)
    then_refresh(widgets.delete.click(handlers.delete, document, widgets.note, js=CONFIRM))

    # Rate an answer, then comment on it.
    rating = [widgets.last_rating, widgets.comment_row]
    widgets.chat.like(handlers.rate, widgets.ids, rating, **quiet)
    triggers = [widgets.comment.submit, widgets.comment_send.click]
    comment = [widgets.last_rating, widgets.comment]
    comment_box = [widgets.comment, widgets.comment_row]
    gr.on(triggers, handlers.comment, comment, comment_box, **quiet)


def _example_text(selection: gr.SelectData) -> str:
    return str(selection.value["text"])
