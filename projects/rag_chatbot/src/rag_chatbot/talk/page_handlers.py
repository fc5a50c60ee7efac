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
from gradio.components.chatbot import ExampleMessage, Message, MessageDict

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

# Example questions, offered if the collection contains the document that answers them.
EXAMPLES = {
    "concepts/rag.md": "What is hybrid search?",
    "how-to/bigger-model.md": "How do I use a bigger model?",
    "concepts/fine-tuning.md": "When does fine-tuning pay?",
}


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
        # The error below a question that is too long must be in sight.
        bubble = text if len(text) <= MAX_CHARACTERS else f"{text[:200]} …"
        messages = [*messages, {"role": "user", "content": page_html.plain_text(bubble)}]
        ids = [*ids, None, None]
        yield "", [*messages, page_html.message(page_html.WAITING)], ids, conversation
        partial = ""
        try:
            question = Question(text, collection, conversation, origin="page")
            for event in self.chatbot.stream(question, caller=caller_of(request)):
                if isinstance(event, str):
                    partial += event
                    reply = page_html.text(partial)
                else:  # the last event: the whole answer, with its citations
                    ids[-1], conversation = event["id"], event["conversation_id"]
                    reply = page_html.answer(event, collection)
                yield gr.skip(), [*messages, page_html.message(reply)], ids, conversation
        except Exception as error:
            reply = html.error(public_message(error, log))
            yield text, [*messages, page_html.message(reply)], ids, conversation

    def refresh(
        self,
        collection: str,
        conversation: str | None,
        selected: list[str],
        request: gr.Request,
    ) -> tuple[Any, ...]:
        """Reload what other sessions may have changed.

        Returns chat (welcome text and examples), collections, the tab of documents, the selection
        of them, their list, past conversations, and the button that deletes the open one.
        """
        caller = caller_of(request)
        names = self.chatbot.collections(caller)
        if collection not in names:
            collection = names[0] if names else collection
        items = self._documents(collection, caller)
        sources = [item["source"] for item in items]
        selected = [source for source in selected if source in sources]
        examples: list[ExampleMessage] = [
            {"text": text} for source, text in EXAMPLES.items() if source in sources
        ]
        past = self.chatbot.conversations.list(caller, PAST, origin="page")
        is_open = conversation in {item.id for item in past}
        return (
            gr.Chatbot(
                placeholder=page_html.WELCOME if items else page_html.EMPTY, examples=examples
            ),
            gr.Dropdown(names or [collection], value=collection, visible=len(names) > 1),
            gr.Tab(f"Documents ({len(items):,})"),
            gr.Dropdown(sources, value=selected),
            page_html.documents(items, selected, collection),
            gr.Radio(
                [(_label(item), item.id) for item in past],
                value=conversation if is_open else None,
                visible=bool(past),
            ),
            gr.Button(visible=is_open),
        )

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
        return None, page_html.summary(summary)

    def select(self, sources: list[str], collection: str, request: gr.Request) -> str:
        """The list of the selected documents; without a selection that of all."""
        items = self._documents(collection, caller_of(request))
        return page_html.documents(items, sources, collection)

    def delete(self, sources: list[str], collection: str, request: gr.Request) -> str:
        """Delete the selected documents. Returns a note, "" if the user did not confirm."""
        try:
            for source in sources:
                self.chatbot.delete_document(collection, source, caller_of(request))
        except Exception as error:
            return html.error(public_message(error, log))
        return html.hint(f"Deleted {', '.join(sources)}.") if sources else ""

    def new(self) -> tuple[Any, ...]:
        """A new conversation. Returns chat, ids, conversation, note and tabs."""
        return [], [], None, "", gr.Tabs(selected="chat")

    def forget(self, conversation: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Delete the open conversation; None if the user did not confirm. Returns as `new`."""
        if conversation is None:
            return (gr.skip(),) * 5
        with suppress(NotFound):  # another tab has deleted it
            self.chatbot.conversations.delete(conversation, caller_of(request))
        return self.new()

    def reopen(self, conversation: str, request: gr.Request) -> tuple[Any, ...]:
        """Load a past conversation. Returns chat, ids, conversation, note, tabs, collection."""
        caller = caller_of(request)
        try:
            collection = self.chatbot.conversations.find(conversation, caller).collection
            turns = self.chatbot.conversations.turns(conversation, caller)
        except NotFound as error:
            raise gr.Error(str(error), print_exception=False) from None
        messages: Messages = []
        ids: Ids = []
        for turn in turns:
            messages.append({"role": "user", "content": page_html.plain_text(turn.question)})
            messages.append(page_html.message(page_html.answer(turn.answer, collection)))
            ids += [None, turn.id]
        thumbs = [{"up": "Like", "down": "Dislike"}.get(turn.rating or "") for turn in turns]
        chat = gr.Chatbot(messages, feedback_value=thumbs)
        return chat, ids, conversation, "", gr.Tabs(selected="chat"), collection

    def rate(self, ids: Ids, like: gr.LikeData, request: gr.Request) -> None:
        """Store a thumb, or remove it."""
        index = like.index[0] if isinstance(like.index, tuple | list) else like.index
        turn = ids[index] if index < len(ids) else None
        if turn is not None:
            self.chatbot.conversations.rate(turn, caller_of(request), _RATINGS.get(like.liked))

    def _documents(self, collection: str, caller: str) -> list[dict[str, Any]]:
        # A collection that was just deleted must not prevent the page from loading.
        try:
            return self.chatbot.documents(collection, caller)
        except SeedbedError:
            return []


def _label(conversation: Conversation) -> str:
    """Title and time of a conversation, in the time zone of the server."""
    time = datetime.fromisoformat(conversation.updated).astimezone()
    return f"{conversation.title}\n{time:%Y-%m-%d %H:%M}"
