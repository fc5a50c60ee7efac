"""The app as one object, shared by the command line, the HTTP API and the page.

    vision = open_vision(Config(), Settings())
    source = vision.open(Path("invoice.png"))
    vision.classify(source)["labels"][0]
    vision.extract(source, "invoice")["fields"]["total"]

An invoice passes through `Vision.open` → `images.open_source` → `Vision.extract` → `Reader.read` →
`extract` → candidates → scores → JSON. Models load at their first use. Results are plain JSON, and
all boxes in them are pixels of the image as it was passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_app.config import Config
from vision_app.images import Source, open_source
from vision_app.ocr.page import Page, Pixels
from seedbed.settings import Settings

if TYPE_CHECKING:
    from vision_app.classify.classifier import Classifier
    from vision_app.ocr.engine import Reader
    from vision_app.search.index import ImageIndex


class Vision:
    """Owns the models and the index; safe to use from many threads; close it when done."""

    def __init__(self, config: Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier of VISION_CLASSIFIER."""
        from vision_app.classify.classifier import load_classifier

        return load_classifier(self.config, self.settings)

    @cached_property
    def reader(self) -> Reader:
        """The OCR engine."""
        from vision_app.ocr.engine import Reader

        return Reader()

    @cached_property
    def index(self) -> ImageIndex:
        """The image index in the data folder, or in Chroma's server."""
        from vision_app.search.index import ImageIndex

        return ImageIndex(self.config, self.classifier, self.reader)

    def open(self, source: Path | bytes, name: str = "") -> Source:
        """Check an image or PDF without decoding it. Raises BadInput or TooLarge."""
        return open_source(source, name=name, config=self.config)

    def read(self, source: Source) -> list[Page]:
        """OCR of all pages."""
        return [self.reader.read(pixels, n) for n, pixels in enumerate(source.pages(), 1)]

    def classify(self, source: Source, k: int = 5) -> dict[str, Any]:
        """{"file", "labels": [{"label", "confidence"}], "sure"} of the first page."""
        [prediction] = self.classifier.classify([source.first()], k)
        return {"file": source.name, **prediction.as_json()}

    def extract(self, source: Source, schema: str | Path = "invoice") -> dict[str, Any]:
        """{"file", "fields", "evidence", "warnings"}; a field that is not on the page is None."""
        from vision_app.extract.extract import extract
        from vision_app.extract.schemas import load_schema

        target = load_schema(schema)
        # ... a vision-language model fills the schema if SEEDBED_MODEL names one
        extraction = extract(self.read(source), target)
        return {"file": source.name, **extraction.as_json(source.warnings)}

    def close(self) -> None:
        """Close the index."""


def open_vision(config: Config, settings: Settings) -> Vision:
    """The app with the configured models, which load at their first use."""
    return Vision(config, settings)


__all__ = ["Page", "Pixels", "Sequence", "Vision", "open_vision"]
