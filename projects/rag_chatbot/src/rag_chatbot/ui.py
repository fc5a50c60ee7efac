"""The chat page: ask, open the passages, add documents, look back.

`build_page` lays it out and connects it; `Handlers` does what the buttons say, through `Chatbot`.
What documents, models and users wrote is made inert in `render` before it reaches the browser.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.resources import files as resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr

from rag_chatbot import render
from rag_chatbot.chatbot import Chatbot, Question
from seedbed.errors import NotFound, SeedbedError
from seedbed.service import caller_of

log = logging.getLogger(__name__)
Messages = list[dict[str, Any]]
Ids = list[str | None]

# Shown where the document that answers it is in the collection.
EXAMPLES = {
    "concepts/rag.md": "What is hybrid search?",
    "how-to/bigger-model.md": "How do I use a bigger model?",
    "concepts/fine-tuning.md": "When does fine-tuning pay?",
}
CONFIRM = """(source, collection) =>
  [source && confirm(`Delete ${source} from this collection?`) ? source : null, collection]"""


class Handlers:
    """What happens on the page; each method returns new values for the components it is wired to.

    Gradio passes `request` by its annotation.
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
        """Stream an answer into the chat. Yields chat, box, ids, conversation."""
        if not text.strip():
            yield messages, "", ids, conversation
            return
        messages = [*messages, {"role": "user", "content": render.plain_text(text)}]
        ids = [*ids, None, None]
        yield [*messages, render.message(render.WAITING)], "", ids, conversation
        said = ""
        try:
            asked = Question(text, collection, conversation, k, mode, strictness, model)
            for event in self.chatbot.stream(asked, caller=caller_of(request)):
                if isinstance(event, str):
                    said += event
                    yield [*messages, render.message(render.text(said))], "", ids, conversation
                else:
                    ids[-1], conversation = event["id"], event["conversation_id"]
                    shown = render.message(render.answer(event, collection))
                    yield [*messages, shown], "", ids, conversation
        except Exception as error:
            failed = render.message(render.error(_reason(error)))
            yield [*messages, failed], text, ids, conversation

    def refresh(
        self, collection: str, conversation: str | None, request: gr.Request
    ) -> tuple[Any, ...]:
        """Returns the chat's welcome, and what there is: collections, documents, conversations."""
        caller = caller_of(request)
        names = self.chatbot.collections(caller)
        if collection not in names:
            collection = names[0] if names else collection
        sources = self._sources(collection, caller)
        examples = [{"text": text} for source, text in EXAMPLES.items() if source in sources]
        return (
            gr.Chatbot(placeholder=render.WELCOME if sources else render.EMPTY, examples=examples),
            gr.Dropdown(names or [collection], value=collection),
            _documents(sources),
            self._past(caller, conversation),
        )

    def upload(
        self,
        files: list[str] | None,
        collection: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio injects it by this default)
    ) -> tuple[Any, ...]:
        """Read uploaded files. Returns the emptied drop zone and a note."""
        uploads = [(Path(file).name, Path(file).read_bytes()) for file in files or []]
        try:
            summary = self.chatbot.upload(
                uploads,
                collection,
                caller_of(request),
                progress=lambda done, total, name: progress((done, total), desc=name),
            )
        except Exception as error:
            return None, render.error(_reason(error))
        return None, render.summary(summary)

    def choose(self, source: str | None, collection: str) -> tuple[Any, ...]:
        """Returns the buttons for the chosen document."""
        link = render.view_link({"source": source, "start": 0, "end": 0}, collection)
        chosen = bool(source)
        return gr.Button(link=link if chosen else None, interactive=chosen), gr.Button(
            interactive=chosen
        )

    def delete(self, source: str | None, collection: str, request: gr.Request) -> str:
        """Forget the chosen document, unless the person thought better of it. Returns a note."""
        if not source:
            return ""
        try:
            self.chatbot.delete_document(collection, source, caller_of(request))
        except Exception as error:
            return render.error(_reason(error))
        return render.hint(f"Deleted {source}.")

    def reopen(self, conversation: str, request: gr.Request) -> tuple[Any, ...]:
        """Show a past conversation. Returns chat, ids, conversation, collection."""
        caller = caller_of(request)
        try:
            found = self.chatbot.conversations.find(conversation, caller)
            turns = self.chatbot.conversations.turns(conversation, caller)
        except NotFound as error:
            raise gr.Error(str(error), print_exception=False) from None
        messages: Messages = []
        ids: Ids = []
        for turn in turns:
            messages.append({"role": "user", "content": render.plain_text(turn.question)})
            messages.append(render.message(render.answer(turn.answer, found.collection)))
            ids += [None, turn.id]
        thumbs = [{"up": "Like", "down": "Dislike"}.get(turn.rating or "") for turn in turns]
        return gr.Chatbot(messages, feedback_value=thumbs), ids, conversation, found.collection

    def rate(self, ids: Ids, liked: gr.LikeData, request: gr.Request) -> tuple[Any, ...]:
        """Keep a thumb, or take it back. Returns what was rated and the row for a comment on it."""
        at = liked.index[0] if isinstance(liked.index, tuple | list) else liked.index
        turn = ids[at] if at < len(ids) else None
        if turn is None:
            return None, gr.Row(visible=False)
        rating = {"Like": "up", True: "up", "Dislike": "down", False: "down"}.get(liked.liked)
        self.chatbot.conversations.rate(turn, caller_of(request), rating)
        return (turn, rating), gr.Row(visible=rating is not None)

    def comment(
        self, rated: tuple[str, Any] | None, comment: str, request: gr.Request
    ) -> tuple[Any, ...]:
        """Add a comment to the last rating. Empties and hides the comment's row."""
        if rated and comment.strip():
            turn, rating = rated
            self.chatbot.conversations.rate(turn, caller_of(request), rating, comment.strip())
            gr.Info("Thank you: your comment is kept with the answer.")
        return "", gr.Row(visible=False)

    def _sources(self, collection: str, caller: str) -> list[str]:
        try:
            return [item["source"] for item in self.chatbot.documents(collection, caller)]
        except SeedbedError:
            return []

    def _past(self, caller: str, conversation: str | None) -> Any:
        past = [(item.title, item.id) for item in self.chatbot.conversations.list(caller)]
        known = conversation in {identifier for _, identifier in past}
        return gr.Radio(past, value=conversation if known else None, visible=bool(past))


def _documents(sources: list[str]) -> Any:
    label = f"{len(sources)} document{'' if len(sources) == 1 else 's'} in this collection"
    return gr.Dropdown(sources, value=None, label=label if sources else "No documents yet")


def _reason(error: Exception) -> str:
    if isinstance(error, SeedbedError):
        return str(error)
    log.exception("the page could not do something")
    return "Something failed on our side; it is logged."


def build_page(chatbot: Chatbot) -> gr.Blocks:
    """The page of one chatbot, to be mounted by `seedbed.ui`."""
    with gr.Blocks(title="rag_chatbot", analytics_enabled=False) as page:
        at = SimpleNamespace(conversation=gr.State(None), ids=gr.State([]), rated=gr.State(None))
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="side"):
                _side(at, chatbot)
            with gr.Column(elem_id="main"):
                _main(at)
        _connect(page, at, Handlers(chatbot))
    return page


def styles() -> str:
    """The page's own styles, beside the common ones."""
    return resources("rag_chatbot").joinpath("page.css").read_text("utf-8")


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
            info="0 always answers, 1 only when very sure",
        )
        at.mode = gr.Radio(
            ["auto", "quote", "write"],
            value=chatbot.config.mode,
            label="How to answer",
            info="quote: sentences of the documents. write: the model's own, each one checked. "
            "auto: what suits the model",
        )
        at.model = gr.Dropdown(list(chatbot.models), value=chatbot.models[0], label="Model")


def _main(at: SimpleNamespace) -> None:
    gr.Markdown("# Ask your documents")
    at.chat = gr.Chatbot(
        show_label=False,
        height=None,
        buttons=[],
        layout="panel",
        placeholder=render.WELCOME,
        latex_delimiters=[],
        elem_id="chat",
    )
    with gr.Row(visible=False) as at.comment_row:
        at.comment = gr.Textbox(
            placeholder="What was right or wrong about it? (optional)",
            show_label=False,
            container=False,
            scale=8,
            max_length=2000,
            elem_id="comment",
        )
        at.comment_send = gr.Button("Send comment", scale=1, min_width=140)
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
    inputs = [at.box, at.chat, at.ids, at.collection, at.conversation, at.k, at.mode,
              at.strictness, at.model]  # fmt: skip
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
