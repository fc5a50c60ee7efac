"""The app as one object, shared by the command line, the HTTP API and the page.

    vision = Vision(Config(), Settings())
    source = vision.open(Path("invoice.png"))
    vision.classify(source)["labels"][0]
    vision.extract(source, "invoice")["fields"]["total"]

Models load at their first use. Results are plain JSON, and all boxes in them are pixels of the
image as it was passed in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from vision_app.config import Config
from vision_app.files.images import Source, open_source
from vision_app.files.pixels import MAX_IMAGES, Pixels, encode_png
from vision_app.ocr.page import Page, as_json
from seedbed.errors import ConfigError
from seedbed.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from vision_app.classify.classifier import Classifier
    from vision_app.extract.extraction import Extractor
    from vision_app.extract.schemas import Schema
    from vision_app.ocr.engine import Reader
    from vision_app.search import ImageIndex

T = TypeVar("T")
Json = dict[str, Any]
MODEL_HINT = "Set SEEDBED_MODEL to one, such as openai:gpt-4o-mini."
SchemaSpec = str | Path | Json
"""`invoice`, `receipt`, the path of a JSON Schema, or a JSON Schema."""


class Vision:
    """Owns the models and the index; safe to use from many threads.

    What was recognized in a `Source` is remembered as long as the source exists, so that a question
    about a document does not read it again.
    """

    def __init__(self, config: Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self._loading = threading.RLock()
        self._models: dict[str, Any] = {}
        self._memory: WeakKeyDictionary[Source, Json] = WeakKeyDictionary()

    @property
    def classifier(self) -> Classifier:
        """The classifier of VISION_CLASSIFIER."""
        from vision_app.classify.classifier import load_classifier

        return self._once("classifier", lambda: load_classifier(self.config, self.settings))

    @property
    def reader(self) -> Reader:
        """The OCR engine."""
        from vision_app.ocr.engine import Reader

        return self._once("reader", Reader)

    @property
    def index(self) -> ImageIndex:
        """The image index in the data folder."""
        from vision_app.search import ImageIndex

        return self._once("index", lambda: ImageIndex(self.config, self.classifier, self.reader))

    @property
    def language_model(self) -> BaseChatModel | None:
        """The model of SEEDBED_MODEL if it may read images; None for models on this machine."""
        from seedbed.models.load import load_chat_model
        from seedbed.models.weights.catalog import find

        spec = self.settings.model
        if find(spec) is not None or spec.startswith("path:"):
            return None
        return self._once("language model", lambda: load_chat_model(spec, settings=self.settings))

    def _once(self, name: str, load: Callable[[], T]) -> T:
        with self._loading:  # two threads must not load a model twice
            if name not in self._models:
                _prepare_openvino()
                self._models[name] = load()
            model: T = self._models[name]
            return model

    def _remember(self, source: Source, what: str, compute: Callable[[], T]) -> T:
        memory = self._memory.setdefault(source, {})
        if what not in memory:
            memory[what] = compute()
        result: T = memory[what]
        return result

    def open(self, source: Path | bytes, name: str = "") -> Source:
        """Check an image or PDF without decoding it. Raises BadInput, NotFound or TooLarge."""
        return open_source(source, name=name, config=self.config)

    def classify(self, source: Source, k: int = 5, pixels: Pixels | None = None) -> Json:
        """{"file", "labels": [{"label", "confidence"}], "sure"} of the first page.

        `pixels` are those of the page, if it is decoded already.
        """
        [result] = self.classifier.classify([source.first() if pixels is None else pixels], k)
        return {"file": source.name, **result}

    def read(self, source: Source) -> list[Page]:
        """The text of all pages: that of digital PDFs if it can be trusted, else by OCR."""
        from vision_app.ocr.embedded_text import to_page

        def read_page(index: int) -> Page:
            text = source.find_words(index)
            if text.get("words"):
                page = to_page(text, index + 1)
            else:
                page = self.reader.read(source.decode(index), index + 1)
            if hidden := text.get("hidden"):
                warning = f"page {index + 1}: {hidden} words that are not visible were left out"
                page = replace(page, warnings=(*page.warnings, warning))
            return page

        def read() -> list[Page]:
            return [read_page(index) for index in range(source.page_count)]

        return self._remember(source, "pages", read)

    def read_json(self, source: Source) -> Json:
        """{"file", "pages", "warnings"}: `read` as plain data."""
        pages = [as_json(page) for page in self.read(source)]
        return {"file": source.name, "pages": pages, "warnings": self.warnings(source)}

    def warnings(self, source: Source) -> list[str]:
        """What was left out of a file, and of the text of its pages."""
        return [*source.warnings, *(text for page in self.read(source) for text in page.warnings)]

    def extract(self, source: Source, schema: SchemaSpec = "invoice") -> Json:
        """{"file", "fields", "evidence", "warnings"}; a field that is not on the page is None.

        The XML of a ZUGFeRD or Factur-X invoice is exact, and needs no OCR.
        With a vision-language model (SEEDBED_MODEL=openai:…) that model fills the schema.
        """

        def run() -> Json:
            if (exact := self.find_exact(source, schema)) is not None:
                return exact
            pages = self.read(source)
            images = _images(source) if self.language_model else []
            extraction = self._extractor(pages, images, self.schema(schema))
            return {"file": source.name, **extraction.as_json(self.warnings(source))}

        return self._remember(source, f"fields of {schema!r}", run)

    def find_exact(self, source: Source, schema: SchemaSpec = "invoice") -> Json | None:
        """The result of `extract` if it is in embedded XML, which no page has to be read for."""
        from vision_app.extract.embedded_xml import read_xml

        def run() -> Json | None:
            target = self.schema(schema)
            xml = source.find_xml() if target.built_in else b""
            embedded = read_xml(xml, target) if xml else None
            if embedded is None:
                return None
            return {"file": source.name, **embedded.as_json(source.warnings)}

        return self._remember(source, f"XML for {schema!r}", run)

    @property
    def _extractor(self) -> Extractor:
        """The vision-language model if there is one, else the rules. Raises ConfigError."""
        if self.language_model is not None:
            from vision_app.extract import by_model

            return partial(by_model.extract, model=self.language_model)
        try:
            from vision_app.extract.rules.extract import extract
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("vision_app."):
                raise
            # The folder `extract/rules` may be deleted.
            raise ConfigError("Fields need a vision-language model.", hint=MODEL_HINT) from None
        return extract

    def schema(self, schema: SchemaSpec) -> Schema:
        """The parsed schema. Raises ConfigError or NotFound."""
        from vision_app.extract.schemas import load_schema, parse_schema

        return parse_schema(schema) if isinstance(schema, dict) else load_schema(schema)

    def ask(self, source: Source, question: str) -> Json:
        """{"file", "question", "answer", "evidence", "confidence", "abstained"}.

        Raises ConfigError without a vision-language model.
        """
        from vision_app.answer import ask

        if self.language_model is None:
            raise ConfigError("Questions need a vision-language model.", hint=MODEL_HINT)
        answer = ask(self.language_model, question, _images(source), self.read(source))
        return {"file": source.name, "question": question, **answer}

    def explain(self, source: Source, label: str | None = None) -> Json:
        """{"label", "confidence", "png"}: the first page with the pixels that speak for a class.

        `label` is a class of the classifier; None for the most likely one.
        """
        from vision_app.classify.explain import explain, overlay

        pixels = source.first()
        label, confidence, relevance = explain(self.classifier, pixels, label)
        png = encode_png(overlay(pixels, relevance))
        return {"label": label, "confidence": confidence, "png": png}


def _images(source: Source) -> list[Pixels]:
    """The pages that a vision-language model is sent."""
    return list(islice(source.pages(), MAX_IMAGES))


def _prepare_openvino() -> None:
    # OpenVINO 2026.4 deadlocks if the first two inferences of a process begin in two threads, in
    # a table of types that it fills on first use.
    import openvino

    openvino.Type.u8.to_dtype()
