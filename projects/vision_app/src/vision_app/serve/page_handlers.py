"""Event handlers of the web page: one method of `Handlers` for each event.

    handlers = Handlers(vision)
    upload.upload(handlers.open_files, inputs, outputs)     # `page.py` does this for all of them

The page is laid out and connected in `page.py`; its HTML is built in `page_html.py`. Pictures stay
in memory, in a `Shelf` that drops the oldest ones; uploaded files are deleted as they are read.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from vision_app.answer.describe import is_document
from vision_app.files.images import Source
from vision_app.files.samples import Sample
from vision_app.ocr.page import Page
from vision_app.serve import page_html
from vision_app.serve.annotate import preview
from vision_app.serve.page_html import Box, View
from vision_app.vision import Vision
from seedbed.errors import NotFound, public_message
from seedbed.models.images import decode
from seedbed.server import html

log = logging.getLogger(__name__)
Result = TypeVar("Result")
PANELS = (
    "picture",
    "overview",
    "text",
    "fields",
    "answer",
    "objects",
    "similar",
    "label",
    "overlay",
)
"""Components that show results, in the order in which the handlers return their values."""
MAX_FILES = 12  # in the list of one browser tab
SHELF_BYTES = 200_000_000
HITS = 12
PAGE_SIDE = 1000  # pixels of the longer side of a page among several
MISSING = "This picture is no longer in memory. Drop it again."


@dataclass
class Session:
    """What one browser tab has open: names and keys of pictures, and the one that is shown."""

    files: list[tuple[str, str]] = field(default_factory=list)
    current: str | None = None


@dataclass
class Picture:
    """An open picture, and what has been found out about it."""

    source: Source
    content: bytes
    views: list[View] = field(default_factory=list)
    labels: dict[str, Any] | None = None
    pages: list[Page] | None = None
    extractions: dict[str, dict[str, Any]] = field(default_factory=dict)
    boxes: dict[str, list[Box]] = field(default_factory=dict)  # by tab

    def html(self) -> str:
        """All pages with all boxes."""
        boxes = [box for layer in self.boxes.values() for box in layer]
        return page_html.picture(self.source.name, self.views, boxes)


class Shelf:
    """The open pictures of all visitors, by a random key; the oldest are dropped above a size."""

    def __init__(self, max_bytes: int = SHELF_BYTES) -> None:
        self.max_bytes = max_bytes
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, picture: Picture) -> str:
        """The key of the picture, which only the visitor's session knows."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._pictures[key] = picture
            while len(self._pictures) > 1 and self._size() > self.max_bytes:
                self._pictures.popitem(last=False)
        return key

    def get(self, key: str | None) -> Picture:
        """Raises NotFound for a picture that was dropped."""
        with self._lock:
            if key is None or key not in self._pictures:
                raise NotFound(MISSING)
            self._pictures.move_to_end(key)
            return self._pictures[key]

    def _size(self) -> int:
        return sum(len(picture.content) for picture in self._pictures.values())


class Handlers:
    """Each method returns new values for the components that `page.py` connects it to."""

    def __init__(self, vision: Vision) -> None:
        self.vision = vision
        self.shelf = Shelf()

    def open_files(self, files: list[str] | None, session: Session) -> tuple[Any, ...]:
        """Open uploads. Returns the emptied upload area, then as `_open`."""
        return None, *self._open([_take(Path(file)) for file in files or []], session)

    def sample_opener(self, sample: Sample) -> Callable[..., tuple[Any, ...]]:
        """A handler that opens one sample. It returns the kind of document, then as `_open`."""

        def open_sample(session: Session) -> tuple[Any, ...]:
            content = (sample.path.name, sample.path.read_bytes())
            return sample.schema, *self._open([content], session)

        return open_sample

    def _open(self, contents: Sequence[tuple[str, bytes]], session: Session) -> tuple[Any, ...]:
        """Returns the session, the list of its pictures, a note, and the row of results."""
        fresh, problems = [], []
        for name, content in contents[:MAX_FILES]:
            try:
                fresh.append((name, self._key(name, content, session)))
            except Exception as error:
                problems.append(html.error(public_message(error, log)))
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

    def analyze(self, session: Session, schema: str) -> Iterator[tuple[Any, ...]]:
        """Look at the current picture step by step. Yields values for all PANELS.

        Stops when another picture becomes the current one, whose results must not be overwritten.
        """
        key = session.current
        steps = self._steps(key, schema) if key else iter([panels()])
        for values in steps:
            if session.current != key:
                return
            yield values

    def _steps(self, key: str, schema: str) -> Iterator[tuple[Any, ...]]:
        try:
            picture = self.shelf.get(key)
            yield panels(
                picture=page_html.waiting(f"Opening {picture.source.name} …"),
                **dict.fromkeys(("overview", "text", "fields", "similar"), page_html.waiting("…")),
                objects="" if self.vision.config.detector else page_html.no_detector(),
                **dict.fromkeys(("answer", "overlay"), ""),
            )
            # 1. Show the picture itself.
            if not picture.views:
                picture.views = _views(picture.source)
        except Exception as error:
            problem = html.error(public_message(error, log))
            yield panels(picture=problem, overview="", text="", fields="", similar="")
            return
        yield panels(picture=picture.html(), overview=page_html.waiting("Looking at the picture …"))
        # 2. Classify it, which takes a moment only.
        labels, problem = attempt(lambda: self._labels(picture))
        warnings = picture.source.warnings
        yield panels(
            overview=problem or page_html.overview(labels, "", warnings),
            label=self._choices(labels),
            text=page_html.waiting("Reading the text …"),
            fields=page_html.waiting("Reading the text …"),
        )
        # 3. Read the text, and the fields from it.
        text, problem = attempt(lambda: self._read(picture))
        yield panels(picture=picture.html(), text=problem or text)
        yield panels(fields=self._extract(picture, schema), picture=picture.html())
        # 4. Describe it, and search for similar ones.
        caption, problem = attempt(lambda: self.vision.describe(picture.source)["description"])
        is_text = is_document(picture.pages or [])
        facts = picture.extractions.get(schema, {}).get("fields", {}) if is_text else {}
        content = page_html.overview(labels, caption or "", warnings, facts, is_document=is_text)
        yield panels(overview=content + problem)
        yield panels(similar=self._search(picture.source))

    def extract(self, key: str | None, schema: str) -> tuple[str, Any]:
        """The fields of another kind of document. Returns fields and picture."""
        picture, problem = attempt(lambda: self.shelf.get(key))
        if picture is None:
            return problem, gr.skip()
        return self._extract(picture, schema), picture.html()

    def ask(self, key: str | None, question: str) -> Iterator[tuple[Any, ...]]:
        """Answer a question. Yields answer and picture."""
        if not question.strip():
            yield html.hint("Type a question first."), gr.skip()
            return
        yield page_html.waiting("Looking for the answer …"), gr.skip()

        def answer() -> tuple[str, str]:
            picture = self.shelf.get(key)
            result = self.vision.ask(picture.source, question)
            picture.boxes["answer"] = page_html.answer_boxes(result)
            return page_html.answer(question, result), picture.html()

        results, problem = attempt(answer)
        yield results or (problem, gr.skip())

    def detect(self, key: str | None, names: str) -> Iterator[tuple[Any, ...]]:
        """Find objects by name, separated by commas. Yields objects and picture."""
        labels = [name.strip() for name in names.split(",") if name.strip()]
        if not labels:
            yield html.hint("Type what to look for first."), gr.skip()
            return
        yield page_html.waiting("Looking for objects …"), gr.skip()

        def detect() -> tuple[str, str]:
            picture = self.shelf.get(key)
            result = self.vision.detect(picture.source, labels)
            picture.boxes["objects"] = page_html.detection_boxes(result)
            return page_html.detections(result), picture.html()

        results, problem = attempt(detect)
        yield results or (problem, gr.skip())

    def search(self, key: str | None, words: str) -> Iterator[str]:
        """Images that match the words, or without words, images like the open one."""
        yield page_html.waiting("Searching …")
        query, problem = attempt(lambda: words.strip() or self.shelf.get(key).source)
        yield problem if query is None else self._search(query)

    def explain(
        self,
        key: str | None,
        label: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio injects it by this default)
    ) -> str:
        """The picture with the pixels that speak for a class."""

        def explain() -> str:
            report = _Report(progress)
            result = self.vision.explain(self.shelf.get(key).source, label or None, report)
            return page_html.overlay(result, preview(decode(result["png"])))

        content, problem = attempt(explain)
        return content or problem

    def _labels(self, picture: Picture) -> dict[str, Any]:
        if picture.labels is None:
            picture.labels = self.vision.classify(picture.source)
        return picture.labels

    def _choices(self, labels: dict[str, Any] | None) -> Any:
        """The classes that can be explained: the likely ones first, then all others."""
        likely = [item["label"] for item in labels["labels"]] if labels else []
        others = sorted(set(self.vision.classifier.labels) - set(likely)) if labels else []
        return gr.Dropdown([*likely, *others], value=likely[0] if likely else None)

    def _read(self, picture: Picture) -> str:
        if picture.pages is None:
            picture.pages = self.vision.read(picture.source)
            picture.boxes["text"] = page_html.text_boxes(picture.pages)
        return page_html.text(picture.pages)

    def _extract(self, picture: Picture, schema: str) -> str:
        def extract() -> str:
            if picture.pages is not None and not any(page.lines for page in picture.pages):
                return html.hint("There is no text in this picture, so it has no fields.")
            if schema not in picture.extractions:
                picture.extractions[schema] = self.vision.extract(picture.source, schema)
            extraction = picture.extractions[schema]
            picture.boxes["fields"] = page_html.field_boxes(extraction)
            return page_html.fields(extraction)

        content, problem = attempt(extract)
        return content or problem

    def _search(self, query: Source | str) -> str:
        def search() -> str:
            hits = self.vision.search(query, HITS)
            thumbnails = [self.vision.index.thumbnail(hit["file"]) for hit in hits]
            return page_html.gallery(hits, thumbnails)

        content, problem = attempt(search)
        return content or problem


def panels(**values: Any) -> tuple[Any, ...]:
    """Values for all PANELS; those that are left out do not change."""
    return tuple(values.get(name, gr.skip()) for name in PANELS)


def attempt(work: Callable[[], Result]) -> tuple[Result | None, str]:
    """The result of `work` and no text, or None and its error as HTML.

    >>> attempt(lambda: 1)
    (1, '')
    """
    try:
        return work(), ""
    except Exception as error:
        return None, html.error(public_message(error, log))


class _Report:
    """Progress of a long computation as `seedbed.cli.Progress`, shown by Gradio."""

    def __init__(self, progress: gr.Progress) -> None:
        self.progress = progress

    def __call__(self, done: int, total: int | None, text: str = "", *, now: bool = False) -> None:  # noqa: ARG002
        self.progress((done, total), desc=text or None)

    def print(self, line: str) -> None:
        log.info(line)


def _views(source: Source) -> list[View]:
    side = 1400 if source.page_count == 1 else PAGE_SIDE
    return [
        View(preview(pixels, side), pixels.shape[1], pixels.shape[0]) for pixels in source.pages()
    ]


def _take(file: Path) -> tuple[str, bytes]:
    """Name and content of an uploaded file, which is deleted."""
    try:
        return file.name, file.read_bytes()
    finally:
        file.unlink(missing_ok=True)
