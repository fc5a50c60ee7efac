"""The layout of the web page: drop pictures or a PDF, and see what is in them, with the evidence.

    ui.mount(app, build_page(vision), path="/")    # with `seedbed.server.ui`

Components are placed and connected here. What an event does is in `page_handlers.py`, and the HTML
of results in `page_html.py`.
"""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import gradio as gr

from vision_app.files.samples import samples
from vision_app.serve import page_html
from vision_app.serve.page_handlers import MAX_FILES, PANELS, Handlers, Session
from vision_app.vision import Vision
from seedbed.server import html

TITLE = "Understand images"
DAY = 24 * 3600  # seconds
READERS = 2  # events that use the models at a time; the models take turns

# Elements with the same `data-mark` are a box on the picture and the words that it belongs to.
# Selecting either one marks both, and scrolls the other into view inside its own frame.
CONNECT_MARKS = """() => document.addEventListener("click", (event) => {
  const source = event.target.closest("[data-mark]");
  if (!source) return;
  const marked = (mark) => document.querySelectorAll(`[data-mark="${CSS.escape(mark)}"]`);
  document.querySelectorAll(".lit").forEach((element) => element.classList.remove("lit"));
  marked(source.dataset.mark).forEach((element) => {
    element.classList.add("lit");
    const frame = element.closest(".frame");
    if (element === source) return;
    if (!frame) return element.scrollIntoView({block: "nearest", behavior: "smooth"});
    const inner = element.getBoundingClientRect(), outer = frame.getBoundingClientRect();
    const top = frame.scrollTop + inner.top - outer.top - (outer.height - inner.height) / 2;
    frame.scrollTo({top, behavior: "smooth"});
  });
})"""

# A remark between a click and the first event from the server.
START = """(...inputs) => {
  document.body.classList.add("opening");
  document.body.dataset.fresh = true;
  return inputs;
}"""
END = """() => document.body.classList.remove("opening")"""
# Where the results are below the input, scroll to a new picture.
SHOW_PICTURE = """() => {
  if (!document.querySelector("#picture img")) return;
  if (document.body.dataset.fresh && innerWidth <= 800)
    document.querySelector("#columns")?.scrollIntoView({behavior: "smooth"});
  delete document.body.dataset.fresh;
}"""


def build_page(vision: Vision) -> gr.Blocks:
    """The page of one app, which `seedbed.server.ui.mount` adds to an application."""
    page: gr.Blocks
    # Uploads are deleted as they are read; `delete_cache` removes what was never read.
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, DAY)) as page:
        widgets = SimpleNamespace(session=gr.State(Session()))
        gr.Markdown(f"# {TITLE}", elem_id="title")
        _add_input(widgets, vision)
        with gr.Row(elem_id="columns", visible=False) as widgets.columns:
            with gr.Column(elem_id="left"):
                widgets.picture = gr.HTML(elem_id="picture")
            with gr.Column(elem_id="right"), gr.Tabs():
                _add_results(widgets)
                _add_questions(widgets, vision)
        _connect(page, widgets, Handlers(vision))
    return page


def sample_css() -> str:
    """Styles that show the samples as thumbnails on their buttons."""
    from PIL import Image

    rules = []
    for sample in samples():
        buffer = io.BytesIO()
        with Image.open(sample.path) as image:
            thumbnail = image.convert("RGB")
        thumbnail.thumbnail((160, 160))
        thumbnail.save(buffer, "JPEG", quality=80)
        url = page_html.data_url(buffer.getvalue())
        # The dark lower edge makes the button's text readable.
        shade = "linear-gradient(transparent 55%, rgb(0 0 0 / 70%))"
        rules.append(f'#sample-{sample.name} {{ background-image: {shade}, url("{url}"); }}')
    return "\n".join(rules)


def _add_input(widgets: SimpleNamespace, vision: Vision) -> None:
    with gr.Row(elem_id="input"):
        with gr.Column(elem_id="drop"):
            limit = vision.config.max_file_mb
            gr.HTML(
                html.hint(
                    f"Drop images or PDFs, up to {MAX_FILES} files of {limit} MB each. They are"
                    " kept in memory only."
                )
            )
            widgets.upload = gr.File(
                show_label=False, file_count="multiple", height=110, elem_id="upload"
            )
        with gr.Column(elem_id="samples"):
            gr.HTML(html.hint("Or try one of these:"))
            with gr.Row():
                widgets.samples = [
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
    gr.HTML(html.hint("Opening …"), elem_id="opening")
    widgets.note = gr.HTML(elem_id="note")
    widgets.picker = gr.Radio([], label="Open files", visible=False, elem_id="picker")


def _add_results(widgets: SimpleNamespace) -> None:
    with gr.Tab("What it is", elem_id="overview-tab"):
        widgets.overview = gr.HTML(elem_id="overview")
    with gr.Tab("Text", elem_id="text-tab"):
        widgets.text = gr.HTML(elem_id="text")
    with gr.Tab("Fields", elem_id="fields-tab"):
        widgets.schema = gr.Radio(
            [("Invoice", "invoice"), ("Receipt", "receipt")],
            value="invoice",
            label="Kind of document",
            elem_id="schema",
        )
        widgets.fields = gr.HTML(elem_id="fields")


def _add_questions(widgets: SimpleNamespace, vision: Vision) -> None:
    with gr.Tab("Ask", elem_id="answer-tab"):
        hint = "What is the total?"
        widgets.question, widgets.ask = _box("Ask", hint, "Question about this picture")
        widgets.answer = gr.HTML(elem_id="answer")
    with gr.Tab("Similar", elem_id="similar-tab"):
        hint = "a flower"
        widgets.words, widgets.search = _box("Search", hint, "Search the indexed images")
        widgets.similar = gr.HTML(elem_id="similar")
    with gr.Tab("Why", elem_id="why-tab"):
        with gr.Row(elem_classes="asking"):
            widgets.label = gr.Dropdown([], label="Which pixels speak for", scale=8)
            widgets.explain = gr.Button("Show", variant="primary", scale=1, min_width=90)
        widgets.overlay = gr.HTML(elem_id="overlay")
    with gr.Tab("Find", elem_id="objects-tab"):
        widgets.names, widgets.detect = _box("Find", "cat, bicycle", "Objects to look for")
        widgets.objects = gr.HTML("" if vision.config.detector else page_html.no_detector())


def _box(action: str, placeholder: str, label: str) -> tuple[gr.Textbox, gr.Button]:
    """A text box with its button."""
    with gr.Row(elem_classes="asking"):
        box = gr.Textbox(placeholder=placeholder, label=label, scale=8, max_length=1000)
        button = gr.Button(action, variant="primary", scale=1, min_width=90)
    return box, button


def _connect(page: gr.Blocks, widgets: SimpleNamespace, handlers: Handlers) -> None:
    """Connect each event to its handler: `event(handler, inputs, outputs)`."""
    quiet: dict[str, Any] = {"show_progress": "hidden"}
    models: dict[str, Any] = {"concurrency_limit": READERS, "concurrency_id": "models"}
    panels = [getattr(widgets, name) for name in PANELS]
    shown = [widgets.session, widgets.picker, widgets.note, widgets.columns]
    page.load(None, js=CONNECT_MARKS)
    widgets.picture.change(None, js=SHOW_PICTURE)

    # Open uploads or a sample, or choose another open file; then look at it.
    files = [widgets.upload, widgets.session]
    start: dict[str, Any] = {"js": START, **quiet}
    opening = [widgets.upload.upload(handlers.open_files, files, [widgets.upload, *shown], **start)]
    for button, sample in zip(widgets.samples, samples(), strict=True):
        outputs = [widgets.schema, *shown]
        handler = handlers.sample_opener(sample)
        opening.append(button.click(handler, widgets.session, outputs, **start))
    choice = [widgets.picker, widgets.session]
    opening.append(widgets.picker.input(handlers.select, choice, widgets.session, **quiet))
    for event in opening:
        event.then(None, js=END)
        document = [widgets.session, widgets.schema]
        event.then(handlers.analyze, document, panels, **quiet, **models)

    # Fields of the other kind of document.
    document = [widgets.picker, widgets.schema]
    outputs = [widgets.fields, widgets.picture]
    widgets.schema.input(handlers.extract, document, outputs, **quiet, **models)

    # Questions, objects, search and overlay.
    actions: list[tuple[Any, ...]] = [
        (widgets.question, widgets.ask, handlers.ask, [widgets.answer, widgets.picture]),
        (widgets.names, widgets.detect, handlers.detect, [widgets.objects, widgets.picture]),
        (widgets.words, widgets.search, handlers.search, [widgets.similar]),
    ]
    for box, button, action, outputs in actions:
        triggers = [box.submit, button.click]
        gr.on(triggers, action, [widgets.picker, box], outputs, **quiet, **models)
    label = [widgets.picker, widgets.label]
    widgets.explain.click(handlers.explain, label, widgets.overlay, **models)
