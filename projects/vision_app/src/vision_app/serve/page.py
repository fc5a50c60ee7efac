"""The web page: drop pictures or a PDF, and see what is in them, with the evidence.

    ui.mount(app, build_page(vision), path="/")    # with `seedbed.server.ui`

`build_page` places the components and connects them with the methods of `Handlers`. The HTML of
results is in `page_html.py`. Pictures stay in memory, in a `Shelf` that drops the oldest ones;
uploaded files are deleted as they are read.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from typing import Any, TypeVar

import gradio as gr

from vision_app.classify.classifier import PAGES
from vision_app.files.images import Source
from vision_app.files.pixels import decode
from vision_app.files.samples import Sample, samples
from vision_app.serve import page_html
from vision_app.serve.page_html import Box, Panel, View, waiting
from vision_app.vision import Vision
from seedbed.errors import NotFound, public_message
from seedbed.server import html, ui

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Values = tuple[Any, ...]
TITLE = "Understand images"
DAY = 24 * 3600  # seconds
MAX_FILES = 12  # in the list of one browser tab
SHELF_BYTES = 200_000_000
QUIET: dict[str, Any] = {"show_progress": "hidden"}
# Of the requests during a computation, the last one is computed after it.
LATEST: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}
MODELS: dict[str, Any] = {**LATEST, "concurrency_limit": 2, "concurrency_id": "models"}
MISSING = "This picture is no longer in memory. Drop it again."
# Where the results are below the input, scroll to a new picture.
SHOW_PICTURE = """() => {
  const image = document.querySelector("#picture img");
  if (image && image.src !== window.lastPicture && innerWidth <= 800)
    document.querySelector("#columns")?.scrollIntoView({behavior: "smooth"});
  window.lastPicture = image?.src;
}"""


@dataclass
class Session:
    """What one browser tab has open: names and keys of pictures, and the one that is shown."""

    files: list[tuple[str, str]] = field(default_factory=list)
    current: str | None = None


@dataclass
class Picture:
    """An open picture, its pages to look at, and the boxes of each tab."""

    source: Source
    content: bytes
    views: list[View] = field(default_factory=list)
    boxes: dict[str, Sequence[Box]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the upload and of its pages as pictures, which can be a thousand times more."""
        return len(self.content) + sum(len(view.url) for view in self.views)

    def html(self) -> str:
        """All pages with all boxes."""
        boxes = (box for tab in self.boxes.values() for box in tab)
        return page_html.picture(self.source.name, self.views, boxes)


class Shelf:
    """The open pictures of all visitors, by a random key; the oldest are dropped above a size."""

    def __init__(self, max_bytes: int = SHELF_BYTES) -> None:
        self.max_bytes = max_bytes
        self._pictures: dict[str, Picture] = {}  # the least recently used first
        self._lock = threading.Lock()

    def add(self, picture: Picture) -> str:
        """The key of the picture, which is only in the visitor's session."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._pictures[key] = picture
            size = sum(other.size for other in self._pictures.values())
            while len(self._pictures) > 1 and size > self.max_bytes:
                size -= self._pictures.pop(next(iter(self._pictures))).size
        return key

    def get(self, key: str | None) -> Picture:
        """Raises NotFound for a picture that was dropped."""
        with self._lock:
            if key is None or key not in self._pictures:
                raise NotFound(MISSING)
            self._pictures[key] = self._pictures.pop(key)
            return self._pictures[key]


class Handlers:
    """Each method returns new values for the components that `build_page` connects it to."""

    def __init__(self, vision: Vision) -> None:
        self.vision = vision
        self.shelf = Shelf()

    def open_files(self, files: list[str] | None, session: Session) -> Values:
        """Open uploads. Returns the emptied upload area, then as `open`."""
        return None, *self.open(ui.take_uploads(files), session)

    def open_sample(self, sample: Sample, session: Session) -> Values:
        """Returns the kind of document, then as `open`."""
        return sample.schema, *self.open([(sample.path.name, sample.path.read_bytes())], session)

    def open(self, contents: Sequence[tuple[str, bytes]], session: Session) -> Values:
        """Returns the session, the list of its pictures, a note, and the row of results."""
        fresh, problems = [], []
        for name, content in contents[:MAX_FILES]:
            key, problem = attempt(partial(self._key, name, content, session))
            fresh += [(name, key)] if key else []
            problems.append(problem)
        if len(contents) > MAX_FILES:
            problems.append(html.hint(f"Only the first {MAX_FILES} files were opened."))
        session.files = [*fresh, *(item for item in session.files if item not in fresh)][:MAX_FILES]
        session.current = fresh[0][1] if fresh else session.current
        picker = gr.Radio(session.files, value=session.current, visible=len(session.files) > 1)
        return session, picker, "".join(problems), gr.Row(visible=bool(session.files))

    def _key(self, name: str, content: bytes, session: Session) -> str:
        for other, key in session.files:  # the same file again: its results are there
            with suppress(NotFound):
                if other == name and self.shelf.get(key).content == content:
                    return key
        return self.shelf.add(Picture(self.vision.open(content, name), content))

    def select(self, key: str, session: Session) -> Session:
        """Show another open picture."""
        session.current = key
        return session

    def analyze(self, session: Session, schema: str) -> Iterator[dict[str, Any]]:
        """Look at the current picture. Yields values of panels by name, as soon as they are there.

        Stops when another picture becomes the current one, whose results must not be overwritten.
        """
        key = session.current
        for values in self._analyze(key, schema) if key else ():
            if session.current != key:
                yield {}  # Gradio repeats the last values at the end
                return
            yield values

    def _analyze(self, key: str, schema: str) -> Iterator[dict[str, Any]]:
        panels = ("overview", "text", "fields")
        empty = {"picture": waiting("Opening …"), "label": self._choices(None)}
        yield dict.fromkeys(panels, waiting("…")) | empty
        # 1. Show the picture itself.
        picture, problem = attempt(lambda: self._open_pages(key))
        if picture is None:
            yield dict.fromkeys(panels, "") | {"picture": problem}
            return
        source, wait = picture.source, waiting("Reading the text …")
        yield {"picture": picture.html(), "overview": waiting("Looking at the picture …")}
        # 2. Classify it, which takes a moment only.
        labels, problem = attempt(lambda: self.vision.classify(source))
        overview = page_html.overview(labels, source.warnings) + problem
        if labels and labels["labels"][0]["label"] in PAGES:
            overview = waiting("Looks like a document, reading …")
        choices = self._choices(labels)
        yield {"overview": overview, "label": choices, "text": wait, "fields": wait}
        # 3. Read the text, and the fields from it.
        text = self._panel(picture, "text", lambda: page_html.text(self.vision.read(source)))
        yield {"text": text, "picture": picture.html()}
        fields = self._panel(picture, "fields", lambda: self._fields(source, schema))
        yield {"fields": fields, "picture": picture.html()}
        # 4. Describe it.
        content, problem = attempt(lambda: self._overview(source, schema, labels))
        yield {"overview": content or overview + problem}

    def _open_pages(self, key: str) -> Picture:
        picture = self.shelf.get(key)
        side = 1400 if picture.source.page_count == 1 else 1000
        picture.views = picture.views or [
            View(page_html.data_url(pixels, side), pixels.shape[1], pixels.shape[0])
            for pixels in picture.source.pages()
        ]
        return picture

    def _choices(self, labels: Mapping[str, Any] | None) -> Any:
        """The classes that can be explained: the likely ones first, then all others."""
        if labels is None:
            return gr.Dropdown([], value=None)
        likely = [item["label"] for item in labels["labels"]]
        others = sorted(set(self.vision.classifier.labels) - set(likely))
        return gr.Dropdown([*likely, *others], value=likely[0])

    def _overview(self, source: Source, schema: str, labels: Mapping[str, Any] | None) -> str:
        is_text = any(len(page.lines) > 4 for page in self.vision.read(source))
        facts = self.vision.extract(source, schema)["fields"] if is_text else None
        return page_html.overview(labels, source.warnings, facts)

    def _fields(self, source: Source, schema: str) -> Panel:
        if not any(page.lines for page in self.vision.read(source)):
            return Panel(html.hint("There is no text in this picture, so it has no fields."))
        return page_html.fields(self.vision.extract(source, schema))

    def _panel(self, picture: Picture, tab: str, work: Callable[[], Panel]) -> str:
        """The HTML of a result or of its error. Its boxes replace those of the tab."""
        panel, problem = attempt(work)
        picture.boxes[tab] = panel.boxes if panel else ()
        return panel.html if panel else problem

    # Each of these yields the HTML of its tab, and the picture with the boxes.

    def extract(self, session: Session, schema: str) -> Iterator[Values]:
        """The fields of another kind of document."""
        yield from self._answer(session, "fields", lambda source: self._fields(source, schema))

    def ask(self, session: Session, question: str) -> Iterator[Values]:
        """Answer a question."""

        def answer(source: Source) -> Panel:
            if not question.strip():
                return Panel(html.hint("Type a question first."))
            return page_html.answer(question, self.vision.ask(source, question))

        yield from self._answer(session, "answer", answer)

    def explain(self, session: Session, label: str | None) -> Iterator[Values]:
        """The picture with the pixels that speak for a class."""

        def explain(source: Source) -> Panel:
            result = self.vision.explain(source, label or None)
            return page_html.overlay(result, decode(result["png"]))

        yield from self._answer(session, "overlay", explain)

    def _answer(
        self, session: Session, tab: str, work: Callable[[Source], Panel]
    ) -> Iterator[Values]:
        key = session.current
        picture, problem = attempt(lambda: self.shelf.get(key))
        if picture is None:
            yield problem, gr.skip()
            return
        yield waiting("Working on it …"), picture.html()
        content = self._panel(picture, tab, lambda: work(picture.source))
        is_current = session.current == key
        yield (content, picture.html()) if is_current else (gr.skip(), gr.skip())


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
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, DAY)) as page:
        session = gr.State(Session())
        gr.Markdown(f"# {TITLE}", elem_id="title")
        with gr.Row(elem_id="input"):
            upload, buttons = _add_input(vision.config.max_file_mb)
        note = gr.HTML(elem_id="note")
        picker = gr.Radio([], label="Open files", visible=False, elem_id="picker")
        with gr.Row(elem_id="columns", visible=False) as columns:
            with gr.Column(elem_id="left"):
                picture = gr.HTML(elem_id="picture")
            with gr.Column(elem_id="right"), gr.Tabs():
                schema, panels = _add_tabs(handlers, session, picture)

        # Open uploads or a sample, or choose another open file; then look at it.
        opened = [session, picker, note, columns]
        files = [upload, session]
        every = {"trigger_mode": "multiple", **QUIET}  # also files that come while others open
        events = [upload.upload(handlers.open_files, files, [upload, *opened], **every)]
        for button, sample in zip(buttons, samples(), strict=True):
            handler = partial(handlers.open_sample, sample)
            events.append(button.click(handler, session, [schema, *opened], **QUIET))
        events.append(picker.input(handlers.select, [picker, session], session, **LATEST))

        def analyze(session: Session, schema: str) -> Iterator[Values]:
            for values in handlers.analyze(session, schema):
                yield tuple(values.get(name, gr.skip()) for name in panels)

        answers = [panels.pop(name) for name in ("answer", "overlay")]
        for event in events:
            event.then(lambda: ("", ""), None, answers, **QUIET)
            event.then(analyze, [session, schema], list(panels.values()), **MODELS)
        page.load(None, js=resources.files(__package__).joinpath("page.js").read_text("utf-8"))
        picture.change(None, js=SHOW_PICTURE)
    return page


def _add_input(max_mb: int) -> tuple[gr.File, list[gr.Button]]:
    with gr.Column(elem_id="drop"):
        limit = f"up to {MAX_FILES} files of {max_mb} MB each"
        gr.HTML(html.hint(f"Drop images or PDFs, {limit}. They are kept in memory only."))
        upload = gr.File(show_label=False, file_count="multiple", height=110, elem_id="upload")
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


def _add_tabs(
    handlers: Handlers, session: gr.State, picture: gr.HTML
) -> tuple[gr.Radio, dict[str, Any]]:
    """The kind of document, and the components that show results by name."""
    panels: dict[str, Any] = {"picture": picture}

    def ask(name: str, action: str, question: Any, handler: Callable[..., Any]) -> None:
        """A question with its button, and the panel of the answer."""
        with gr.Row(elem_classes="asking"):
            question.render()
            button = gr.Button(action, variant="primary", scale=1, min_width=90)
        panels[name] = gr.HTML(elem_id=name)
        triggers = [button.click, *([question.submit] if hasattr(question, "submit") else [])]
        gr.on(triggers, handler, [session, question], [panels[name], picture], **MODELS)

    with gr.Tab("What it is", elem_id="overview-tab"):
        panels["overview"] = gr.HTML(elem_id="overview")
    with gr.Tab("Text", elem_id="text-tab"):
        panels["text"] = gr.HTML(elem_id="text")
    with gr.Tab("Fields", elem_id="fields-tab"):
        kinds = [("Invoice", "invoice"), ("Receipt", "receipt")]
        schema = gr.Radio(kinds, value="invoice", label="Kind of document", elem_id="schema")
        panels["fields"] = gr.HTML(elem_id="fields")
        outputs = [panels["fields"], picture]
        schema.input(handlers.extract, [session, schema], outputs, **MODELS)
    with gr.Tab("Ask", elem_id="answer-tab"):
        ask(
            "answer", "Ask", _box("Question about this picture", "What is the total?"), handlers.ask
        )
    with gr.Tab("Why", elem_id="why-tab"):
        panels["label"] = gr.Dropdown([], label="Which pixels speak for", scale=8, render=False)
        ask("overlay", "Show", panels["label"], handlers.explain)
    return schema, panels


def _box(label: str, placeholder: str) -> gr.Textbox:
    return gr.Textbox(label=label, placeholder=placeholder, scale=8, max_length=1000, render=False)


def sample_css() -> str:
    """Styles that show the samples as thumbnails on their buttons."""
    # The dark lower edge makes the button's text readable.
    shade = "linear-gradient(transparent 55%, rgb(0 0 0 / 70%))"
    return "\n".join(
        f'#sample-{sample.name} {{ background-image: {shade}, url("{url}"); }}'
        for sample in samples()
        if (url := page_html.data_url(decode(sample.path.read_bytes()), 160))
    )
