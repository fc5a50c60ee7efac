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

CONFIRM = """(source, collection) =>
  [source && confirm(`Delete ${source} from this collection?`) ? source : null, collection]"""


def build_page(chatbot: Chatbot) -> gr.Blocks:
    """The page of one chatbot, which `seedbed.server.ui.mount` adds to an application."""
    page: gr.Blocks
    with gr.Blocks(title="rag_chatbot", analytics_enabled=False) as page:
        at = SimpleNamespace(conversation=gr.State(None), ids=gr.State([]), rated=gr.State(None))
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="side"):
                _side(at, chatbot)
            with gr.Column(elem_id="main"):
                _main(at)
        _connect(page, at, Handlers(chatbot))
    return page


def _side(at: SimpleNamespace, chatbot: Chatbot) -> None:
    at.new = gr.Button("New conversation", size="md")
    at.past = gr.Radio([], label="Past conversations", value=None, visible=False, elem_id="past")
    at.collection = gr.Dropdown(["default"], value="default", label="Collection")
    with gr.Accordion("Documents", open=True):
        at.upload = gr.File(show_label=False, file_count="multiple", height=96, elem_id="upload")
        at.note = gr.HTML(elem_id="note")
        at.documents = gr.Dropdown([], label="No documents yet", value=None, elem_id="documents")
        with gr.Row():
            at.open = gr.Button("Open", size="sm", interactive=False, min_width=80)
            at.delete = gr.Button(
                "Delete", size="sm", variant="stop", interactive=False, min_width=80
            )
    with gr.Accordion("Settings", open=False):
        at.k = gr.Slider(1, 20, chatbot.config.k, step=1, label="Passages to answer from")
        at.strictness = gr.Slider(
            0,
            1,
            chatbot.config.strictness,
            step=0.05,
            label="Strictness",
            info="Evidence an answer needs: 0 always answers, 1 never does",
        )
        at.mode = gr.Radio(
            ["auto", "quote", "write"],
            value=chatbot.config.mode,
            label="How to answer",
            info="quote: sentences of the documents. write: the model's own, each checked. "
            "auto: write if the model is large enough",
        )
        at.model = gr.Dropdown(list(chatbot.models), value=chatbot.models[0], label="Model")


def _main(at: SimpleNamespace) -> None:
    gr.Markdown("# Ask your documents")
    at.chat = gr.Chatbot(
        show_label=False,
        height=None,
        buttons=[],
        layout="panel",
        placeholder=page_html.WELCOME,
        latex_delimiters=[],
        elem_id="chat",
    )
    with gr.Row(visible=False) as at.comment_row:
        at.comment = gr.Textbox(
            placeholder="What was right or wrong? (optional)",
            show_label=False,
            container=False,
            scale=8,
            max_length=2000,
            elem_id="comment",
        )
        at.comment_send = gr.Button("Send", scale=1, min_width=90)
    with gr.Row(elem_id="question-row"):
        at.box = gr.Textbox(
            placeholder="Ask a question about the documents",
            show_label=False,
            container=False,
            scale=8,
            autofocus=True,
            max_lines=4,
            max_length=4000,
            elem_id="question",
        )
        at.send = gr.Button("Ask", variant="primary", scale=1, min_width=90)


def _connect(page: gr.Blocks, at: SimpleNamespace, do: Handlers) -> None:
    there = [at.collection, at.conversation]
    shown = [at.chat, at.collection, at.documents, at.past]

    def then_refresh(event: Any) -> None:
        event.then(do.refresh, there, shown, show_progress="hidden")

    page.load(do.refresh, there, shown, show_progress="hidden")
    inputs = [
        *(at.box, at.chat, at.ids, at.collection, at.conversation),
        *(at.k, at.mode, at.strictness, at.model),
    ]
    answered = [at.chat, at.box, at.ids, at.conversation]
    asked = gr.on([at.box.submit, at.send.click], do.ask, inputs, answered, show_progress="hidden")
    then_refresh(asked)
    example = at.chat.example_select(_example, None, at.box, show_progress="hidden")
    then_refresh(example.then(do.ask, inputs, answered, show_progress="hidden"))

    fresh = [at.chat, at.ids, at.conversation]
    gr.on(
        [at.new.click, at.collection.input],
        lambda: ([], [], None),
        None,
        fresh,
        show_progress="hidden",
    ).then(do.refresh, there, shown, show_progress="hidden")
    then_refresh(at.past.input(do.reopen, at.past, [*fresh, at.collection], show_progress="hidden"))
    then_refresh(at.upload.upload(do.upload, [at.upload, at.collection], [at.upload, at.note]))
    at.documents.change(
        do.choose, [at.documents, at.collection], [at.open, at.delete], show_progress="hidden"
    )
    then_refresh(at.delete.click(do.delete, [at.documents, at.collection], at.note, js=CONFIRM))
    at.chat.like(do.rate, at.ids, [at.rated, at.comment_row], show_progress="hidden")
    gr.on(
        [at.comment.submit, at.comment_send.click],
        do.comment,
        [at.rated, at.comment],
        [at.comment, at.comment_row],
        show_progress="hidden",
    )


def _example(chosen: gr.SelectData) -> str:
    return str(chosen.value["text"])
