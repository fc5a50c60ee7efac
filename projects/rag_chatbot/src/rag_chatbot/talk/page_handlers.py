"""Event handlers of the web page: one method of `Handlers` for each button.

    handlers = Handlers(chatbot)
    send.click(handlers.ask, inputs, outputs)     # `page.py` does this for all of them

The page is laid out and connected in `page.py`. Text of documents, models and users is escaped in
`page_html.py` before it reaches the browser.
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
from seedbed.errors import NotFound, SeedbedError, public_message
from seedbed.server import html, ui
from seedbed.server.service import caller_of

log = logging.getLogger(__name__)
_RATINGS: dict[str | bool, Rating] = {"Like": "up", True: "up", "Dislike": "down", False: "down"}
Messages = list[MessageDict | Message]
Ids = list[str | None]  # one per chat message: the turn of an answer, None for a question

PAST = 200  # past conversations that are listed


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
                # Also while the model is awaited: Gradio then notices that the page was closed.
                yield gr.skip(), [*messages, page_html.message(reply)], ids, conversation
        except Exception as error:
            reply = html.error(public_message(error, log))
            yield text, [*messages, page_html.message(reply)], ids, conversation

    def list_documents(self, collection: str, request: gr.Request) -> tuple[Any, ...]:
        """Returns chat (welcome text), collections, tab, names and list of the documents."""
        caller = caller_of(request)
        names = self.chatbot.collections(caller)
        if collection not in names:
            collection = names[0] if names else collection
        try:  # a collection that was just deleted must not prevent the page from loading
            items = self.chatbot.documents(collection, caller)
        except SeedbedError:
            items = []
        return (
            gr.Chatbot(placeholder=page_html.WELCOME if items else page_html.EMPTY),
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
        self,
        files: list[str] | None,
        collection: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio injects it by this default)
    ) -> tuple[Any, ...]:
        """Add uploaded files to the collection. Returns the emptied upload area and a note."""
        try:
            summary = self.chatbot.upload(
                ui.take_uploads(files),
                collection,
                caller_of(request),
                progress=lambda done, total, name: progress((done, total), desc=name),
            )
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
        """Delete the open conversation. Returns as `new`."""
        with suppress(NotFound):  # another tab has deleted it
            self.chatbot.conversations.delete(conversation or "", caller_of(request))
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
        turn = ids[index] if index < len(ids) else None
        if turn is not None:
            self.chatbot.conversations.rate(turn, caller_of(request), _RATINGS.get(like.liked))


def _label(conversation: Conversation) -> str:
    """Title and time of a conversation, in the time zone of the server."""
    time = datetime.fromisoformat(conversation.updated).astimezone()
    return f"{conversation.title}\n{time:%Y-%m-%d %H:%M}"
