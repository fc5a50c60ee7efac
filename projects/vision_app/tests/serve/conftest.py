"""A stand-in for `Vision` with known results, so that API and page are tested without models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from vision_app.config import Config
from vision_app.files.images import Source, open_source
from vision_app.files.pixels import Pixels, encode_png
from vision_app.ocr.page import Line, Page, Word, as_json
from seedbed.settings import load
from seedbed.testing.launch import serve_app

LABELS = ("pot", "vase", "daisy", "bee", "lakeside", "palace")


class FakeClassifier:
    """Labels an image by its gray value, while it is `released`."""

    def __init__(self) -> None:
        self.released, self.entered = threading.Event(), threading.Event()
        self.released.set()

    def classify(self, images: list[Pixels], k: int = 5) -> list[dict[str, Any]]:
        self.entered.set()
        assert self.released.wait(30)
        others = [{"label": name, "confidence": 0.01} for name in LABELS[: k - 1]]
        grays = [int(image[0, 0, 0]) for image in images]
        return [
            {"labels": [{"label": f"gray {x}", "confidence": 0.8}, *others], "sure": x >= 100}
            for x in grays
        ]


class FakeVision:
    """Every picture is an invoice of two lines, unless it is darker than 100: then it has none."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.classifier = FakeClassifier()
        self.failure: Exception | None = None
        self.language_model: Any = None
        self.entered, self.released = threading.Event(), threading.Event()
        self.released.set()

    def open(self, source: Any, name: str = "") -> Source:
        return open_source(source, name=name, config=self.config)

    def _read_page(self, pixels: Pixels, number: int = 1) -> Page:
        self.entered.set()
        assert self.released.wait(30)
        if self.failure:
            raise self.failure
        height, width = pixels.shape[:2]
        rows = (("Northwind", "Ltd"), ("Total", "12.50", "<b>EUR</b>"))
        lines = tuple(
            Line(
                tuple(
                    Word(text, (5 + 15 * x, 5 + 15 * y, 18 + 15 * x, 15 + 15 * y), 0.9)
                    for x, text in enumerate(row)
                )
            )
            for y, row in enumerate(rows)
        )
        return Page(number, width, height, lines if pixels.mean() >= 100 else ())

    def read(self, source: Source) -> list[Page]:
        return [self._read_page(pixels, n) for n, pixels in enumerate(source.pages(), 1)]

    def read_json(self, source: Source) -> dict[str, Any]:
        pages = [as_json(page) for page in self.read(source)]
        return {"file": source.name, "pages": pages, "warnings": source.warnings}

    def classify(self, source: Source, k: int = 5, pixels: Pixels | None = None) -> dict[str, Any]:
        [result] = self.classifier.classify([source.first() if pixels is None else pixels], k)
        return {"file": source.name, **result}

    def schema(self, schema: Any) -> Any:
        return schema

    def extract(self, source: Source, schema: Any = "invoice") -> dict[str, Any]:
        text = self.read(source)[0].text
        evidence = {
            "vendor": _evidence("Northwind Ltd", (5, 5, 33, 15)),
            "total": _evidence("12.50", (20, 20, 33, 30)),
        }
        names = (
            schema.get("properties", ())
            if isinstance(schema, dict)
            else ("vendor", "date", "total")
        )
        values = {"vendor": "Northwind Ltd", "total": 12.5} if text else {}
        return {
            "file": source.name,
            "fields": {name: values.get(name) for name in names},
            "evidence": {name: evidence[name] for name in names if name in values},
            "warnings": list(source.warnings),
        }

    def find_exact(self, *_: Any) -> None:
        return None

    def ask(self, source: Source, question: str) -> dict[str, Any]:
        if "total" not in question:
            return {"file": source.name, "answer": "I can't tell from this image.", "evidence": []}
        item = _evidence("12.50", (20, 20, 33, 30))
        return {"file": source.name, "answer": "The total is 12.50.", "evidence": [item]}

    def explain(self, source: Source, label: str | None = None) -> Any:
        return {"label": label or "pot", "confidence": 0.8, "png": encode_png(source.first())}


def _evidence(text: str, box: tuple[float, ...]) -> dict[str, Any]:
    return {"text": text, "box": list(box), "page": 1, "confidence": 0.9}


@pytest.fixture(scope="session")
def make_vision() -> Callable[..., FakeVision]:
    return lambda **settings: FakeVision(load(Config, **{"max_file_mb": 1, **settings}))


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    """Serves apps from threads of this process; returns each one's address."""
    with ExitStack() as running:
        yield lambda app: running.enter_context(serve_app(app))
