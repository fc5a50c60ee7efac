"""The layout of the web page: chat, documents and past conversations.

    ui.mount(app, build_page(chatbot), path="/")    # with `seedbed.server.ui`

Components are placed and connected here. What a button does is in `page_handlers.py`, and the HTML
of answers and of the list of documents in `page_html.py`.
"""

from __future__ import annotations

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
QUIET: dict[str, Any] = {"show_progress": "hidden"}


def build_page(chatbot: Chatbot) -> gr.Blocks:
    """The page of one chatbot, which `seedbed.server.ui.mount` adds to an application."""
    handlers = Handlers(chatbot)
    page: gr.Blocks
    # Uploads are deleted as they are read; `delete_cache` removes what was never read.
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, DAY)) as page:
        conversation, ids = gr.State(None), gr.State([])  # of the browser session
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="main"):
                gr.Markdown(f"# {TITLE}")
                with gr.Tabs(selected="chat") as tabs:
                    with gr.Tab("Chat", id="chat"):
                        chat, box = _add_chat()
                    with gr.Tab("Documents", id="documents") as documents_tab:
                        upload, note, name, delete, documents = _add_documents(chatbot)
            with gr.Column(elem_id="side"):
                new = gr.Button("New conversation", size="md")
                collection = gr.Dropdown(
                    ["default"], value="default", label="Collection", visible=False
                )
                past = gr.Radio(
                    [], label="Past conversations", value=None, visible=False, elem_id="past"
                )
                forget = gr.Button("Delete conversation", size="sm", variant="stop", visible=False)

        # 1. Load the documents, and again after what may change them; the same for conversations.
        listed = [chat, collection, documents_tab, name, documents]
        listed_past = [past, forget]

        def then_list_documents(event: Any) -> Any:
            return event.then(handlers.list_documents, collection, listed, **QUIET)

        def then_list_past(event: Any) -> Any:
            return event.then(handlers.list_past, conversation, listed_past, **QUIET)

        page.load(handlers.list_documents, collection, listed, **QUIET)
        page.load(handlers.list_past, conversation, listed_past, **QUIET)

        # 2. Ask what is in the box. What is typed during an answer stays.
        then_list_past(
            box.submit(
                handlers.ask,
                [box, chat, ids, collection, conversation],
                [box, chat, ids, conversation],
                trigger_mode="once",
                **QUIET,
            )
        )
        chat.like(handlers.rate, ids, None, trigger_mode="multiple", **QUIET)

        # 3. Start a conversation; continue or delete a past one.
        transcript = [chat, ids, conversation, note, tabs]
        then_list_past(new.click(handlers.new, None, transcript, **QUIET))
        switched = collection.input(handlers.new, None, transcript, **QUIET)
        then_list_past(then_list_documents(switched))
        then_list_past(past.input(handlers.reopen, past, [*transcript, collection], **QUIET))
        then_list_past(forget.click(handlers.forget, past, transcript, **QUIET))

        # 4. Add and delete documents.
        uploaded = upload.upload(
            handlers.upload, [upload, collection], [upload, note], trigger_mode="multiple"
        )
        then_list_documents(uploaded)
        then_list_documents(delete.click(handlers.delete, [name, collection], note))
    return page


def _add_chat() -> tuple[gr.Chatbot, gr.Textbox]:
    chat = gr.Chatbot(
        show_label=False,
        height=None,
        buttons=[],
        layout="panel",
        placeholder=page_html.WELCOME,
        latex_delimiters=[],
        elem_id="chat",
    )
    box = gr.Textbox(
        value="",
        placeholder=f"Ask, up to {MAX_CHARACTERS:,} characters",
        show_label=False,
        submit_btn="Ask",
        autofocus=True,
        max_lines=4,
        elem_id="question",
    )
    return chat, box


def _add_documents(chatbot: Chatbot) -> tuple[gr.File, gr.HTML, gr.Dropdown, gr.Button, gr.HTML]:
    gr.HTML(html.hint(f"Add {FORMATS}, up to {chatbot.config.max_file_mb} MB each."))
    upload = gr.File(show_label=False, file_count="multiple", height=120, elem_id="upload")
    note = gr.HTML(elem_id="note")
    with gr.Row(elem_id="selection-row"):
        name = gr.Dropdown([], label="Find a document", scale=8, min_width=260, elem_id="selected")
        delete = gr.Button("Delete it", size="md", variant="stop", scale=1, min_width=170)
    return upload, note, name, delete, gr.HTML(elem_id="documents")
