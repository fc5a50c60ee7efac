"""The web page: drop a picture or a PDF, and see what is in it, with the evidence.

    ui.mount(app, build_page(vision), path="/")    # with `seedbed.server.ui`

`build_page` places the components and connects them with the methods of `Handlers`. The HTML of
results is in `page_html.py`. An upload is deleted as it is read; the open file of each browser tab
stays in memory for an hour.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from vision_app.files.images import Source
from vision_app.files.pixels import Pixels, decode
from vision_app.files.samples import Sample, samples
from vision_app.serve import page_html
from vision_app.serve.page_html import waiting
from vision_app.vision import Vision
from seedbed.errors import NotFound, public_message
from seedbed.server import html, ui

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Values = tuple[Any, ...]
Json = dict[str, Any]
TITLE = "Understand images"
HOUR = 3600  # seconds
MISSING = "This picture is no longer in memory. Drop it again."
QUIET: dict[str, Any] = {"show_progress": "hidden"}
# Of the requests during a computation, the last one is computed after it.
MODELS: dict[str, Any] = {
    "trigger_mode": "always_last",
    "concurrency_limit": 2,
    "concurrency_id": "models",
}


@dataclass(eq=False)
class Session:
    """The file that one browser tab shows."""

    source: Source | None = None


class Handlers:
    """Each method returns new values for the components that `build_page` connects it to."""

    def __init__(self, vision: Vision) -> None:
        self.vision = vision

    def open_upload(self, file: str, session: Session) -> Values:
        """Open an upload. Returns the emptied upload area, then as `open_sample`."""
        [(name, content)] = ui.take_uploads([file])
        return None, *self._open(content, name, session)

    def open_sample(self, sample: Sample, session: Session) -> Values:
        """Returns the kind of document, the session, an error as HTML, and the row of results."""
        return sample.schema, *self._open(sample.path, sample.path.name, session)

    def _open(self, file: Path | bytes, name: str, session: Session) -> Values:
        session.source, problem = attempt(partial(self.vision.open, file, name))
        return session, problem, gr.Row(visible=not problem)

    def analyze(self, session: Session, schema: str) -> Iterator[dict[str, Any]]:
        """Look at the open file. Yields values of components by name, as soon as they are there.

        Stops when another file is opened, whose results must not be overwritten.
        """
        source = session.source
        for values in self._analyze(session, source, schema) if source else ():
            if session.source is not source:
                break
            yield values
        yield {}  # Gradio repeats the last values at the end

    def _analyze(self, session: Session, source: Source, schema: str) -> Iterator[dict[str, Any]]:
        empty = dict.fromkeys(("text", "fields", "answer", "overlay"), "")
        labels = {"labels": None, "label": gr.Dropdown([], value=None)}
        tabs = gr.Tabs(selected="fields")
        yield {"picture": waiting("Opening …"), "json": None, "tabs": tabs, **empty, **labels}
        # 1. Show the picture itself.
        first, problem = attempt(source.first)
        if first is None:
            yield {"picture": problem}
            return
        picture, problem = attempt(partial(_show, source, first))
        wait = waiting("Reading the text …")
        yield {"picture": picture or problem, "text": wait, "fields": wait}
        # 2. Classify it, which takes a moment only.
        result, problem = attempt(partial(self.vision.classify, source, pixels=first))
        del first  # up to 150 MB
        yield _labels(result) if result else {"overlay": problem}
        # 3. Read the text, and the fields from it.
        pages, problem = attempt(partial(self.vision.read, source))
        if pages is None:
            yield {"text": problem, "fields": problem}
            return
        yield {"text": page_html.text(pages)}
        if any(page.lines for page in pages):
            yield dict(zip(("fields", "json"), self.extract(session, schema), strict=True))
        else:
            nothing = html.hint("There is no text in this picture, so it has no fields.")
            yield {"fields": nothing, "tabs": gr.Tabs(selected="labels")}

    def extract(self, session: Session, schema: str) -> Values:
        """The fields as HTML, and as JSON."""
        work = partial(self.vision.extract, schema=schema)
        return self._answer(session, work, page_html.fields)

    def ask(self, session: Session, question: str) -> Any:
        """The answer to a question as HTML."""
        if not question.strip():
            return html.hint("Type a question first.")
        work, to_html = partial(self.vision.ask, question=question), page_html.answer
        return self._answer(session, work, partial(to_html, question))[0]

    def explain(self, session: Session, label: str | None) -> Any:
        """The picture with the pixels that speak for a class, as HTML."""
        work = partial(self.vision.explain, label=label or None)
        return self._answer(session, work, page_html.overlay)[0]

    def _answer(
        self, session: Session, work: Callable[[Source], Json], to_html: Callable[[Json], str]
    ) -> Values:
        """A result as HTML, and itself; nothing new if another file was opened meanwhile."""
        source = session.source

        def run() -> Values:
            if source is None:
                raise NotFound(MISSING)
            result = work(source)
            return to_html(result), result

        values, problem = attempt(run)
        is_current = session.source is source
        return (values or (problem, None)) if is_current else (gr.skip(), gr.skip())


def _show(source: Source, first: Pixels) -> str:
    """The pages as HTML; the first one is decoded already."""
    others = (source.decode(number) for number in range(1, source.page_count))
    side = 1400 if source.page_count == 1 else 1000
    return page_html.picture(source.name, chain([first], others), side)


def _labels(result: Json) -> dict[str, Any]:
    """Components with the labels of the classifier, and which of them can be explained."""
    shares = {item["label"]: item["confidence"] for item in result["labels"]}
    sure = result["sure"]
    title = "Looks like" if sure else "Not sure: no label is likely enough to rely on"
    return {
        "labels": gr.Label(shares, label=title, show_heading=sure),
        "label": gr.Dropdown(list(shares), value=next(iter(shares))),
    }


def attempt(work: Callable[[], Result]) -> tuple[Result | None, str]:
    """The result of `work` and no text, or None and its error as HTML.

    >>> attempt(lambda: 1)
    (1, '')
    """
    try:
        return work(), ""
    except Exception as error:
        return None, html.error(public_message(error, log))


def build_page(vision: Vision) -> gr.Blocks:
    """The page of one app, which `seedbed.server.ui.mount` adds to an application."""
    page: gr.Blocks
    handlers = Handlers(vision)
    # Uploads are deleted as they are read; `delete_cache` removes what was never read.
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(HOUR, 24 * HOUR)) as page:
        session = gr.State(Session(), time_to_live=HOUR)
        gr.Markdown(f"# {TITLE}", elem_id="title")
        with gr.Row(elem_id="input"):
            upload, buttons = _add_input(vision.config.max_file_mb)
        note = gr.HTML(elem_id="note")
        with gr.Row(elem_id="columns", visible=False) as columns:
            with gr.Column(elem_id="left"):
                picture = gr.HTML(elem_id="picture")
            with gr.Column(elem_id="right"), gr.Tabs() as tabs:
                schema, results = _add_tabs(handlers, session)

        # Open an upload or a sample, then look at it.
        opened = [session, note, columns]
        inputs = [upload, session]
        events = [upload.upload(handlers.open_upload, inputs, [upload, *opened], **QUIET)]
        for button, sample in zip(buttons, samples(), strict=True):
            handler = partial(handlers.open_sample, sample)
            events.append(button.click(handler, session, [schema, *opened], **QUIET))
        panels = {"picture": picture, "tabs": tabs, **results}

        def analyze(session: Session, schema: str) -> Iterator[Values]:
            for values in handlers.analyze(session, schema):
                yield tuple(values.get(name, gr.skip()) for name in panels)

        for event in events:
            event.then(analyze, [session, schema], list(panels.values()), **QUIET, **MODELS)
        page.load(None, js=resources.files(__package__).joinpath("page.js").read_text("utf-8"))
    return page


def _add_input(max_mb: int) -> tuple[gr.File, list[gr.Button]]:
    with gr.Column(elem_id="drop"):
        gr.HTML(html.hint(f"Drop an image or a PDF, up to {max_mb} MB. It is kept in memory only."))
        upload = gr.File(show_label=False, height=110, elem_id="upload")
    with gr.Column(elem_id="samples"):
        gr.HTML(html.hint("Or try one of these:"))
        with gr.Row():
            buttons = [
                gr.Button(
                    sample.name.capitalize(),
                    elem_id=f"sample-{sample.name}",
                    elem_classes="sample",
                    min_width=80,
                )
                for sample in samples()
            ]
        credits = [f"{item.name}: {item.credit}" for item in samples() if item.credit]
        gr.HTML(html.hint(f"Photos: {'; '.join(credits)}" if credits else ""))
    return upload, buttons


def _add_tabs(handlers: Handlers, session: gr.State) -> tuple[gr.Radio, dict[str, Any]]:
    """The kind of document, and the components that show results, by name."""
    results: dict[str, Any] = {}
    with gr.Tab("Fields", id="fields", elem_id="fields-tab"):
        kinds = [("Invoice", "invoice"), ("Receipt", "receipt")]
        schema = gr.Radio(kinds, value="invoice", label="Kind of document", elem_id="schema")
        results["fields"] = gr.HTML(elem_id="fields")
        with gr.Accordion("JSON", open=False):
            results["json"] = gr.JSON(show_label=False)
        outputs = list(results.values())
        schema.input(handlers.extract, [session, schema], outputs, **MODELS)
    with gr.Tab("Text", elem_id="text-tab"):
        results["text"] = gr.HTML(elem_id="text")
    with gr.Tab("Ask", elem_id="answer-tab"):
        with gr.Row(elem_classes="asking"):
            question = gr.Textbox(
                label="Question about this picture",
                placeholder="What is the total?",
                scale=8,
                max_length=1000,
            )
            ask = gr.Button("Ask", variant="primary", scale=1, min_width=90)
        results["answer"] = gr.HTML(elem_id="answer")
        triggers = [ask.click, question.submit]
        gr.on(triggers, handlers.ask, [session, question], results["answer"], **MODELS)
    with gr.Tab("What it is", id="labels", elem_id="labels-tab"):
        results["labels"] = gr.Label(elem_id="labels")
        with gr.Row(elem_classes="asking"):
            results["label"] = gr.Dropdown([], label="Which pixels speak for", scale=8)
            why = gr.Button("Show", variant="primary", scale=1, min_width=90)
        results["overlay"] = gr.HTML(elem_id="overlay")
        why.click(handlers.explain, [session, results["label"]], results["overlay"], **MODELS)
    return schema, results


def sample_css() -> str:
    """Styles that show the samples as thumbnails on their buttons."""
    # The dark lower edge makes the button's text readable.
    shade = "linear-gradient(transparent 55%, rgb(0 0 0 / 70%))"
    return "\n".join(
        f'#sample-{sample.name} {{ background-image: {shade}, url("{url}"); }}'
        for sample in samples()
        if (url := page_html.data_url(decode(sample.path.read_bytes()), 160))
    )
