"""The chat page: ask, open the passages, add documents, look back.

`build_page` lays it out and connects it; `Handlers` does what the buttons say, through `Chatbot`.
What documents, models and users wrote is made inert in `render` before it reaches the browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr

from rag_chatbot import render
from rag_chatbot.chatbot import Chatbot, Question
from seedbed.errors import SeedbedError
from seedbed.service import caller_of

Messages = list[dict[str, Any]]

EXAMPLES = [
    "What is hybrid search?",
    "How do I use a bigger model?",
    "When does fine-tuning pay?",
]
WELCOME = """### What would you like to know?
Answers quote the documents and link to the passage they come from."""


class Handlers:
    """What happens on the page; each method returns new values for the components it is wired to."""

    def __init__(self, chatbot: Chatbot) -> None:
        self.chatbot = chatbot

    def ask(
        self, question: str, messages: Messages, ids: list[str | None], *chosen: Any,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Stream an answer into the chat. Yields chat, box, ids, conversation, details."""
        rest = (gr.skip(), gr.skip())
        if not question.strip():
            yield messages, "", ids, *rest
            return
        messages = [*messages, {"role": "user", "content": render.plain_text(question)}]
        ids = [*ids, None, None]
        yield [*messages, render.message(render.WAITING)], "", ids, *rest
        asked, text = Question(question, *chosen), ""
        try:
            for event in self.chatbot.stream(asked, caller=caller_of(request)):
                if isinstance(event, str):
                    text += event
                    yield [*messages, render.message(render.text(text))], "", ids, *rest
                else:
                    shown = render.message(render.answer(event, asked.collection))
                    ids[-1] = event["id"]
                    how = render.details(event)
                    yield [*messages, shown], "", ids, event["conversation_id"], how
        except SeedbedError as error:
            failed = render.message(render.error(str(error)))
            yield [*messages, failed], question, ids, *rest

    def refresh(self, collection: str, request: gr.Request) -> tuple[Any, ...]:
        """Yield the choices of the side bar: collections, documents, past conversations."""
        caller = caller_of(request)
        names = self.chatbot.collections(caller)
        if collection not in names:
            collection = names[0] if names else collection
        return (
            gr.Dropdown(names or [collection], value=collection),
            self._documents(collection, caller),
            self._past(caller),
        )

    def upload(
        self, files: list[str] | None, collection: str, request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio injects it by this default)
    ) -> tuple[Any, ...]:
        """Read uploaded files. Returns the emptied drop zone, a note and the documents."""
        caller = caller_of(request)
        uploads = [(Path(file).name, Path(file).read_bytes()) for file in files or []]
        try:
            summary = self.chatbot.upload(
                uploads, collection, caller,
                progress=lambda done, total, name: progress((done, total), desc=name),
            )
        except SeedbedError as error:
            return None, render.error(str(error)), gr.skip()
        return None, render.summary(summary), self._documents(collection, caller)

    def delete(
        self, source: str | None, collection: str, request: gr.Request
    ) -> tuple[Any, ...]:
        """Forget the chosen document. Returns a note and the documents that are left."""
        if not source:
            return render.hint("Choose the document to delete first."), gr.skip()
        caller = caller_of(request)
        try:
            self.chatbot.delete_document(collection, source, caller)
        except SeedbedError as error:
            return render.error(str(error)), gr.skip()
        return render.hint(f"Deleted {source}."), self._documents(collection, caller)

    def reopen(self, conversation: str, request: gr.Request) -> tuple[Any, ...]:
        """Show a past conversation. Returns chat, ids, conversation, collection, details."""
        caller = caller_of(request)
        found = self.chatbot.conversations.find(conversation, caller)
        messages: Messages = []
        ids: list[str | None] = []
        how = render.NOTHING_YET
        for turn in self.chatbot.conversations.turns(conversation, caller):
            messages.append({"role": "user", "content": render.plain_text(turn.question)})
            messages.append(render.message(render.answer(turn.answer, found.collection)))
            ids += [None, turn.id]
            how = render.details(turn.answer)
        return messages, ids, conversation, found.collection, how

    def rate(
        self, ids: list[str | None], liked: gr.LikeData, request: gr.Request
    ) -> tuple[Any, ...]:
        """Keep a thumb. Returns the rating (for a comment on it) and shows the comment's row."""
        at = liked.index[0] if isinstance(liked.index, tuple | list) else liked.index
        turn = ids[at] if at < len(ids) else None
        if turn is None or liked.liked == "":
            return None, gr.Row(visible=False)
        rating = "up" if liked.liked in (True, "Like") else "down"
        self.chatbot.conversations.rate(turn, caller_of(request), rating)
        return (turn, rating), gr.Row(visible=True)

    def comment(
        self, rated: tuple[str, Any] | None, comment: str, request: gr.Request
    ) -> tuple[Any, ...]:
        """Add a comment to the last rating. Empties and hides the comment's row."""
        if rated and comment.strip():
            turn, rating = rated
            self.chatbot.conversations.rate(turn, caller_of(request), rating, comment.strip())
            gr.Info("Thank you: your comment is kept with the answer.")
        return "", gr.Row(visible=False)

    def _documents(self, collection: str, caller: str) -> Any:
        try:
            names = [item["source"] for item in self.chatbot.documents(collection, caller)]
        except SeedbedError:
            names = []
        label = f"{len(names)} document{'' if len(names) == 1 else 's'} in this collection"
        return gr.Dropdown(names, value=None, label=label)

    def _past(self, caller: str) -> Any:
        past = self.chatbot.conversations.list(caller)
        return gr.Dropdown([(item.title, item.id) for item in past], value=None)


def build_page(chatbot: Chatbot) -> gr.Blocks:
    """The page of one chatbot, to be mounted by `seedbed.ui`."""
    with gr.Blocks(title="rag_chatbot", analytics_enabled=False) as page:
        at = SimpleNamespace(
            conversation=gr.State(None), ids=gr.State([]), rated=gr.State(None)
        )
        with gr.Sidebar(width=330):
            _side_bar(at, chatbot)
        _main(at)
        _connect(page, at, Handlers(chatbot))
    return page


def _side_bar(at: SimpleNamespace, chatbot: Chatbot) -> None:
    at.collection = gr.Dropdown(["default"], value="default", label="Collection")
    at.past = gr.Dropdown([], label="Past conversations", value=None)
    at.new = gr.Button("New conversation", size="sm")
    with gr.Accordion("Documents", open=True):
        at.upload = gr.File(label="Add documents", file_count="multiple", height=130)
        at.note = gr.HTML()
        at.documents = gr.Dropdown([], label="In this collection", value=None)
        at.delete = gr.Button("Delete this document", size="sm", variant="stop")
    with gr.Accordion("Settings", open=False):
        at.k = gr.Slider(1, 20, chatbot.config.k, step=1, label="Passages to answer from")
        at.strictness = gr.Slider(
            0, 1, chatbot.config.strictness, step=0.05, label="Strictness",
            info="0 always answers, 1 only when very sure",
        )
        at.mode = gr.Radio(
            ["auto", "quote", "write"], value="auto", label="How to answer",
            info="quote: sentences from the documents; write: the model's own, checked",
        )
        at.model = gr.Dropdown(
            list(chatbot.models), value=chatbot.models[0], label="Model")


def _main(at: SimpleNamespace) -> None:
    gr.Markdown("# Ask your documents")
    at.chat = gr.Chatbot(
        show_label=False, height="58vh", buttons=["copy"], layout="panel", placeholder=WELCOME,
        elem_id="chat",
    )
    with gr.Row(visible=False) as at.comment_row:
        at.comment = gr.Textbox(
            placeholder="What was right or wrong about it? (optional)", show_label=False,
            scale=8, max_length=2000, elem_id="comment",
        )
        at.comment_send = gr.Button("Send comment", scale=1, min_width=120)
    with gr.Row():
        at.box = gr.Textbox(
            placeholder="Ask a question about the documents", show_label=False, scale=8,
            autofocus=True, max_length=4000, elem_id="question",
        )
        at.send = gr.Button("Ask", variant="primary", scale=1, min_width=90)
    gr.Examples(EXAMPLES, at.box, label="For example")
    with gr.Accordion("How this was answered", open=False):
        at.details = gr.HTML(render.NOTHING_YET)


def _connect(page: gr.Blocks, at: SimpleNamespace, do: Handlers) -> None:
    side = [at.collection, at.documents, at.past]
    page.load(do.refresh, at.collection, side, show_progress="hidden")

    inputs = [at.box, at.chat, at.ids, at.collection, at.conversation, at.k, at.mode,
              at.strictness, at.model]  # fmt: skip
    outputs = [at.chat, at.box, at.ids, at.conversation, at.details]
    asked = gr.on(
        [at.box.submit, at.send.click], do.ask, inputs, outputs, show_progress="hidden"
    )
    asked.then(do.refresh, at.collection, side, show_progress="hidden")

    fresh = [at.chat, at.ids, at.conversation, at.details]

    def start() -> tuple[Any, ...]:
        return [], [], None, render.NOTHING_YET

    at.new.click(start, None, fresh, show_progress="hidden")
    at.collection.input(start, None, fresh, show_progress="hidden").then(
        do.refresh, at.collection, side, show_progress="hidden"
    )
    at.past.input(
        do.reopen, at.past, [at.chat, at.ids, at.conversation, at.collection, at.details]
    )
    at.upload.upload(
        do.upload, [at.upload, at.collection], [at.upload, at.note, at.documents]
    )
    at.delete.click(do.delete, [at.documents, at.collection], [at.note, at.documents])
    at.chat.like(do.rate, at.ids, [at.rated, at.comment_row], show_progress="hidden")
    gr.on(
        [at.comment.submit, at.comment_send.click], do.comment, [at.rated, at.comment],
        [at.comment, at.comment_row], show_progress="hidden",
    )
