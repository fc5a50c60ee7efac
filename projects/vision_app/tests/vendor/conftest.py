"""The app with a vision-language model behind a strict vendor server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

from vision_app.config import Config
from vision_app.files.pixels import encode_png
from vision_app.ocr.page import Line, Page, Word
from vision_app.serve.api import create_app
from vision_app.vision import Vision
from seedbed.settings import Settings, load
from seedbed.testing.launch import serve_app
from seedbed.testing.vendor.script import Item, Replies, Script
from seedbed.testing.vendor.server import launch_vendor

MODEL = "openai:gpt-4o-mini"
WORDS = [("Bygg", 0), ("AB", 50), ("6250.00", 200), ("SEK", 300)]
PICTURE = encode_png(np.full((40, 400, 3), 255, np.uint8))


class OnePage(Vision):
    """The real app, but for OCR, which sees the same line in every picture."""

    @property
    def reader(self) -> Any:
        words = tuple(Word(text, (x, 0, x + 40, 16), 0.99) for text, x in WORDS)
        return SimpleNamespace(read=lambda *_: Page(1, 400, 40, (Line(words),)))


class Sender:
    """Posts documents to the real app; the replies of its vendor change with each."""

    def __init__(self, stack: ExitStack, make_pdf: Callable[..., bytes]) -> None:
        self._make_pdf = make_pdf
        self._script = Script([])
        self.vendor = stack.enter_context(launch_vendor(lambda body: self._script.take(body)))
        settings = load(Settings, model=MODEL, base_url=f"{self.vendor.url}/v1")
        app = create_app(Vision(Config(), settings), Settings(api_keys=""))
        self._url = stack.enter_context(serve_app(app))

    def __call__(self, document: Any, replies: Sequence[Item]) -> Any:
        """The fields of a document as JSON."""
        self._script, self.vendor.calls = Script(replies), []
        response = httpx.post(
            f"{self._url}/v1/extract",
            files={"file": (document.name, document.pdf(self._make_pdf))},
            data={"schema": document.form},
            timeout=120,
        )
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture(scope="session")
def send(make_pdf: Callable[..., bytes]) -> Iterator[Sender]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "test-key")
        yield Sender(stack, make_pdf)


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Serve the app with these replies: launch(replies).url, .vendor, .vision, .picture.

    The model is asked once: that it is asked again after some faults is up to `seedbed`.
    """
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    with ExitStack() as stack:

        def launch_app(replies: Replies, timeout: float = 30) -> Any:
            vendor = stack.enter_context(launch_vendor(replies))
            url = f"{vendor.url}/v1"
            settings = load(Settings, model=MODEL, base_url=url, model_timeout=timeout)
            vision = OnePage(Config(), settings)
            model: Any = vision.language_model
            model.attempts = 1
            url = stack.enter_context(serve_app(create_app(vision, Settings(api_keys=""))))
            return SimpleNamespace(url=url, vendor=vendor, vision=vision, picture=PICTURE)

        yield launch_app
