"""Event handlers of the web page: one method of `Handlers` for each button.

    handlers = Handlers(chatbot)
    send.click(handlers.ask, inputs, outputs)     # `page.py` does this for all of them

The page is laid out and connected in `page.py`. Text of documents, models and users is escaped in
`page_html.py` before it reaches the browser.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.chatbot import ExampleMessage, Message, MessageDict

from rag_chatbot.chatbot import Chatbot, Question
from rag_chatbot.conversation import Rating
from rag_chatbot.talk import page_html
from seedbed.errors import NotFound, SeedbedError, public_message
from seedbed.server import html
from seedbed.server.service import caller_of

log = logging.getLogger(__name__)
_RATINGS: dict[str | bool, Rating] = {"Like": "up", True: "up", "Dislike": "down", False: "down"}
Messages = list[MessageDict | Message]
Ids = list[str | None]  # one per chat message: the turn of an answer, None for a question

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
        k: int,
        mode: str,
        strictness: float,
        model: str,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Stream an answer into the chat.

        Yields chat, question box, ids and conversation. After an error the question returns to its
        box, so that it can be corrected.
        """
        if not text.strip():
            yield messages, "", ids, conversation
            return
        messages = [*messages, {"role": "user", "content": page_html.plain_text(text)}]
        ids = [*ids, None, None]
        yield [*messages, page_html.message(page_html.WAITING)], "", ids, conversation
        partial = ""
        try:
            question = Question(text, collection, conversation, k, mode, strictness, model)
            for event in self.chatbot.stream(question, caller=caller_of(request)):
                if isinstance(event, str):
                    partial += event
                    reply = page_html.text(partial)
                else:  # the last event: the whole answer, with its citations
                    ids[-1], conversation = event["id"], event["conversation_id"]
                    reply = page_html.answer(event, collection)
                yield [*messages, page_html.message(reply)], "", ids, conversation
        except Exception as error:
            reply = html.error(public_message(error, log))
            yield [*messages, page_html.message(reply)], text, ids, conversation

    def refresh(
        self, collection: str, conversation: str | None, request: gr.Request
    ) -> tuple[Any, ...]:
        """Reload what other sessions may have changed.

        Returns chat (welcome text and examples), collections, documents and past conversations.
        """
        caller = caller_of(request)
        names = self.chatbot.collections(caller)
        if collection not in names:
            collection = names[0] if names else collection
        sources = self._sources(collection, caller)
        examples: list[ExampleMessage] = [
            {"text": text} for source, text in EXAMPLES.items() if source in sources
        ]
        return (
            gr.Chatbot(
                placeholder=page_html.WELCOME if sources else page_html.EMPTY, examples=examples
            ),
            gr.Dropdown(names or [collection], value=collection),
            _document_list(sources),
            self._conversation_list(caller, conversation),
        )

    def upload(
        self,
        files: list[str] | None,
        collection: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio injects it by this default)
    ) -> tuple[Any, ...]:
        """Add uploaded files to the collection. Returns the emptied upload area and a note."""
        uploads = [(Path(file).name, Path(file).read_bytes()) for file in files or []]
        try:
            summary = self.chatbot.upload(
                uploads,
                collection,
                caller_of(request),
                progress=lambda done, total, name: progress((done, total), desc=name),
            )
        except Exception as error:
            return None, html.error(public_message(error, log))
        return None, page_html.summary(summary)

    def select_document(self, source: str | None, collection: str) -> tuple[Any, ...]:
        """Enable the buttons Open and Delete for a document, or disable them. Returns both."""
        if not source:
            return gr.Button(link=None, interactive=False), gr.Button(interactive=False)
        link = page_html.view_link({"source": source, "start": 0, "end": 0}, collection)
        return gr.Button(link=link, interactive=True), gr.Button(interactive=True)

    def delete(self, source: str | None, collection: str, request: gr.Request) -> str:
        """Delete a document. `source` is None if the user did not confirm. Returns a note."""
        if not source:
            return ""
        try:
            self.chatbot.delete_document(collection, source, caller_of(request))
        except Exception as error:
            return html.error(public_message(error, log))
        return html.hint(f"Deleted {source}.")

    def reopen(self, conversation: str, request: gr.Request) -> tuple[Any, ...]:
        """Load a past conversation. Returns chat, ids, conversation and collection."""
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
        return gr.Chatbot(messages, feedback_value=thumbs), ids, conversation, collection

    def rate(self, ids: Ids, like: gr.LikeData, request: gr.Request) -> tuple[Any, ...]:
        """Store a thumb, or remove it. Returns (turn, rating) and the row for a comment."""
        index = like.index[0] if isinstance(like.index, tuple | list) else like.index
        turn = ids[index] if index < len(ids) else None
        if turn is None:
            return None, gr.Row(visible=False)
        rating = _RATINGS.get(like.liked)
        self.chatbot.conversations.rate(turn, caller_of(request), rating)
        return (turn, rating), gr.Row(visible=rating is not None)

    def comment(
        self, last_rating: tuple[str, Any] | None, comment: str, request: gr.Request
    ) -> tuple[Any, ...]:
        """Add a comment to the last rating. Returns the emptied box and its row, hidden."""
        if last_rating and comment.strip():
            turn, rating = last_rating
            self.chatbot.conversations.rate(turn, caller_of(request), rating, comment.strip())
            gr.Info("Thank you. Your comment was saved with the answer.")
        return "", gr.Row(visible=False)

    def _sources(self, collection: str, caller: str) -> list[str]:
        # A collection that was just deleted must not prevent the page from loading.
        try:
            return [item["source"] for item in self.chatbot.documents(collection, caller)]
        except SeedbedError:
            return []

    def _conversation_list(self, caller: str, conversation: str | None) -> Any:
        choices = [(item.title, item.id) for item in self.chatbot.conversations.list(caller)]
        exists = conversation in {identifier for _, identifier in choices}
        return gr.Radio(choices, value=conversation if exists else None, visible=bool(choices))


def _document_list(sources: list[str]) -> Any:
    label = f"{len(sources)} document{'' if len(sources) == 1 else 's'} in this collection"
    return gr.Dropdown(sources, value=None, label=label if sources else "No documents yet")
