"""`Vision` with models whose results are known, so that API and page are tested without any."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vision_app.config import Config
from vision_app.extract.extraction import Evidence, Extraction
from vision_app.files.images import Source
from vision_app.files.pixels import Pixels, encode_png
from vision_app.ocr.page import Line, Page, Word
from vision_app.vision import Vision
from seedbed.settings import Settings, load
from seedbed.testing.launch import serve_app

PLACES = {
    "vendor": Evidence("Northwind Ltd", (5, 5, 33, 15), 1, 0.9),
    "total": Evidence("12.50", (20, 20, 33, 30), 1, 0.9),
}
VALUES = {"vendor": "Northwind Ltd", "total": 12.5}


class FakeVision(Vision):
    """Every picture is an invoice of two lines, unless it is darker than 100: then it has none.

    The models wait until they are `released`, and the reader raises the `failure`.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config, load(Settings))
        self.failure: Exception | None = None
        self.entered, self.released = threading.Event(), threading.Event()
        self.released.set()

    @property
    def classifier(self) -> Any:
        """Labels an image by its gray value."""

        def classify(images: list[Pixels], k: int) -> list[dict[str, Any]]:
            self._wait()
            gray = int(images[0][0, 0, 0])
            labels = [(f"gray {gray}", 0.8), *((name, 0.01) for name in ("pot", "vase", "bee"))]
            ranking = [{"label": name, "confidence": share} for name, share in labels[:k]]
            return [{"labels": ranking, "sure": gray >= 100}]

        return SimpleNamespace(classify=classify)

    @property
    def reader(self) -> Any:
        def read(pixels: Pixels, number: int) -> Page:
            self._wait()
            if self.failure:
                raise self.failure
            lines = []
            for y, row in enumerate((("Northwind", "Ltd"), ("Total", "12.50", "<b>EUR</b>"))):
                boxes = [(5 + 15 * x, 5 + 15 * y, 18 + 15 * x, 15 + 15 * y) for x in range(3)]
                words = (Word(text, box, 0.9) for text, box in zip(row, boxes, strict=False))
                lines.append(Line(tuple(words)))
            height, width = pixels.shape[:2]
            return Page(number, width, height, tuple(lines) if np.mean(pixels) >= 100 else ())

        return SimpleNamespace(read=read)

    @property
    def _extractor(self) -> Any:
        def extract(_pages: Any, _images: Any, schema: Any) -> Extraction:
            names = [field.name for field in schema.fields]
            places = {name: place for name, place in PLACES.items() if name in names}
            return Extraction({name: VALUES.get(name) for name in names}, places)

        return extract

    def _wait(self) -> None:
        self.entered.set()
        assert self.released.wait(30)

    def ask(self, source: Source, question: str) -> dict[str, Any]:
        if "total" not in question:
            return {"file": source.name, "answer": "I can't tell from this image.", "evidence": []}
        evidence = [PLACES["total"].as_json()]
        return {"file": source.name, "answer": "The total is 12.50.", "evidence": evidence}

    def explain(self, source: Source, label: str | None = None) -> Any:
        return {"label": label or "pot", "confidence": 0.8, "png": encode_png(source.first())}


@pytest.fixture(scope="session")
def make_vision() -> Callable[..., FakeVision]:
    return lambda **settings: FakeVision(load(Config, **{"max_file_mb": 1, **settings}))


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    """Serves apps from threads of this process; returns each one's address."""
    with ExitStack() as running:
        yield lambda app: running.enter_context(serve_app(app))
