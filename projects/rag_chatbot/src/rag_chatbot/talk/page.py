"""The web page: chat, documents and past conversations.

    ui.mount(app, build_page(chatbot), path="/")    # with `seedbed.server.ui`

`build_page` places and connects the components; `Handlers` has a method for each button. The HTML
of answers and of the list of documents is in `page_html.py`, which escapes all text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import gradio as gr
from gradio.components.chatbot import Message, MessageDict

from rag_chatbot.answer.answer import MAX_CHARACTERS
from rag_chatbot.chatbot import Chatbot, Question
from rag_chatbot.conversation import Conversation, Rating
from rag_chatbot.talk import page_html
from seedbed.errors import NotFound, public_message
from seedbed.server import html, ui
from seedbed.server.service import caller_of

log = logging.getLogger(__name__)
TITLE = "Ask your documents"
FORMATS = "Markdown, text, HTML, PDF, Word, Excel, PowerPoint, e-mail, CSV, JSON or source code"
DAY = 24 * 3600  # seconds
PAST = 200  # past conversations that are listed
QUIET: dict[str, Any] = {"show_progress": "hidden"}
_RATINGS: dict[str | bool, Rating] = {"Like": "up", True: "up", "Dislike": "down", False: "down"}
Messages = list[MessageDict | Message]
Ids = list[str | None]  # one per chat message: the turn of an answer, None for a question


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
                collection = gr.Dropdown(["default"], label="Collection", visible=False)
                past = gr.Radio([], label="Past conversations", visible=False, elem_id="past")
                forget = gr.Button("Delete conversation", size="sm", variant="stop", visible=False)

        # 1. Load the documents, and again after what may change them; the same for conversations.
        listed = [collection, documents_tab, name, documents]
        listed_past = [past, forget]

        def list_documents(event: Any) -> Any:
            return event(handlers.list_documents, collection, listed, **QUIET)

        def list_past(event: Any) -> Any:
            return event(handlers.list_past, conversation, listed_past, **QUIET)

        list_documents(page.load)
        list_past(page.load)

        # 2. Ask what is in the box. What is typed during an answer stays.
        outputs = [box, chat, ids, conversation]
        inputs = [box, chat, ids, collection, conversation]
        answered = box.submit(handlers.ask, inputs, outputs, trigger_mode="once", **QUIET)
        list_past(answered.then)
        chat.like(handlers.rate, ids, None, trigger_mode="multiple", **QUIET)

        # 3. Start a conversation; continue or delete a past one.
        transcript = [chat, ids, conversation, note, tabs]
        list_past(new.click(handlers.new, None, transcript, **QUIET).then)
        switched = collection.input(handlers.new, None, transcript, **QUIET)
        list_past(list_documents(switched.then).then)
        list_past(past.input(handlers.reopen, past, [*transcript, collection], **QUIET).then)
        list_past(forget.click(handlers.forget, past, transcript, **QUIET).then)

        # 4. Add and delete documents.
        files = [upload, collection]
        uploaded = upload.upload(handlers.upload, files, [upload, note], trigger_mode="multiple")
        list_documents(uploaded.then)
        list_documents(delete.click(handlers.delete, [name, collection], note).then)
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


class Handlers:
    """Each method returns new values for the components that `page.py` connects it to.

    Gradio passes `request` because of its annotation; it identifies the caller.
    """

    def __init__(self, chatbot: Chatbot) -> None:
        self.chatbot = chatbot

    def ask(
        self,
        text: str,
        messages: Messages,
        ids: Ids,
        collection: str,
        conversation: str | None,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Stream an answer into the chat.

        Yields the box (emptied, or with the question that was refused), chat, ids, conversation.
        """
        if not text.strip():
            yield "", messages, ids, conversation
            return
        # A question that is too long is shortened, so that the error below it is visible.
        bubble = text if len(text) <= MAX_CHARACTERS else f"{text[:200]} …"
        messages = [*messages, {"role": "user", "content": page_html.plain_text(bubble)}]
        ids = [*ids, None, None]
        reply = page_html.WAITING
        yield "", [*messages, page_html.message(reply)], ids, conversation
        partial = ""
        try:
            question = Question(text, collection, conversation)
            for event in self.chatbot.stream(question, caller=caller_of(request)):
                if isinstance(event, dict):  # the last one: the whole answer, with its citations
                    ids[-1], conversation = event["id"], event["conversation_id"]
                    reply = page_html.answer(event, collection)
                elif event:
                    partial += event
                    reply = page_html.text(partial)
                # Also while there is no new text: Gradio then notices that the page was closed.
                yield gr.skip(), [*messages, page_html.message(reply)], ids, conversation
        except Exception as error:
            reply = html.error(public_message(error, log))
            yield text, [*messages, page_html.message(reply)], ids, conversation

    def list_documents(self, collection: str, request: gr.Request) -> tuple[Any, ...]:
        """Returns the collections; tab, names and list of the documents."""
        caller = caller_of(request)
        names = self.chatbot.collections(caller)
        if collection not in names:
            collection = names[0] if names else collection
        items = self.chatbot.documents(collection, caller) if names else []
        return (
            gr.Dropdown(names or [collection], value=collection, visible=len(names) > 1),
            gr.Tab(f"Documents ({len(items):,})"),
            gr.Dropdown([item["source"] for item in items], value=None),
            page_html.documents(items, collection),
        )

    def list_past(self, conversation: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Returns the past conversations, and the button that deletes the open one."""
        past = self.chatbot.list_conversations(caller_of(request), PAST)
        is_open = conversation in {item.id for item in past}
        choices = [(_label(item), item.id) for item in past]
        value = conversation if is_open else None
        return gr.Radio(choices, value=value, visible=bool(past)), gr.Button(visible=is_open)

    def upload(
        self, files: list[str] | None, collection: str, request: gr.Request
    ) -> tuple[Any, ...]:
        """Add uploaded files to the collection. Returns the emptied upload area and a note."""
        try:
            uploads = ui.take_uploads(files)
            summary = self.chatbot.upload(uploads, collection, caller_of(request))
        except Exception as error:
            return None, html.error(public_message(error, log))
        return None, page_html.summary(summary.as_json())

    def delete(self, source: str | None, collection: str, request: gr.Request) -> str:
        """Delete the document of this name. Returns a note."""
        if not source:
            return html.hint("Find the document first.")
        try:
            self.chatbot.delete_document(collection, source, caller_of(request))
        except Exception as error:
            return html.error(public_message(error, log))
        return html.hint(f"Deleted {source}.")

    def new(self) -> tuple[Any, ...]:
        """A new conversation. Returns chat, ids, conversation, note and tabs."""
        return [], [], None, "", gr.Tabs(selected="chat")

    def forget(self, conversation: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Delete the open conversation. Returns the same as `new`."""
        with suppress(NotFound):  # another tab has deleted it
            self.chatbot.conversations.delete(conversation or "", caller_of(request).name)
        return self.new()

    def reopen(self, conversation: str, request: gr.Request) -> tuple[Any, ...]:
        """Load a past conversation. Returns chat, ids, conversation, note, tabs, collection."""
        try:
            about, turns = self.chatbot.conversation(conversation, caller_of(request))
        except NotFound as error:
            raise gr.Error(str(error), print_exception=False) from None
        messages: Messages = []
        ids: Ids = []
        for turn in turns:
            messages.append({"role": "user", "content": page_html.plain_text(turn.question)})
            messages.append(page_html.message(page_html.answer(turn.answer, about.collection)))
            ids += [None, turn.id]
        thumbs = [{"up": "Like", "down": "Dislike"}.get(turn.rating or "") for turn in turns]
        chat = gr.Chatbot(messages, feedback_value=thumbs)
        return chat, ids, conversation, "", gr.Tabs(selected="chat"), about.collection

    def rate(self, ids: Ids, like: gr.LikeData, request: gr.Request) -> None:
        """Store a thumb, or remove it."""
        index = like.index[0] if isinstance(like.index, tuple | list) else like.index
        if turn := ids[index]:
            self.chatbot.conversations.rate(turn, caller_of(request).name, _RATINGS.get(like.liked))


def _label(conversation: Conversation) -> str:
    """Title and time of a conversation, in the time zone of the server."""
    time = datetime.fromisoformat(conversation.updated).astimezone()
    return f"{conversation.title}\n{time:%Y-%m-%d %H:%M}"
