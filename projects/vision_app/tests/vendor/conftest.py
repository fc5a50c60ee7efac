"""The app with a vision-language model behind a strict vendor server; its OCR reads one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vision_app.config import Config
from vision_app.files.pixels import encode_png
from vision_app.ocr.page import Line, Page, Word
from vision_app.serve.api import create_app
from vision_app.vision import Vision
from seedbed.settings import Settings, load
from seedbed.testing.launch import serve_app
from seedbed.testing.vendor.script import Item
from seedbed.testing.vendor.server import launch_vendor

WORDS = [("Bygg", 0), ("AB", 50), ("6250.00", 200), ("SEK", 300)]
PICTURE = encode_png(np.full((40, 400, 3), 255, np.uint8))


class OnePage(Vision):
    """The real app, but for OCR, which sees the same line in every picture."""

    @property
    def reader(self) -> Any:
        words = tuple(Word(text, (x, 0, x + 40, 16), 0.99) for text, x in WORDS)
        return SimpleNamespace(read=lambda *_: Page(1, 400, 40, (Line(words),)))


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Sequence[Item]], Any]]:
    """Serve the app with these replies: launch(replies).url, .vendor, .vision, .picture."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    with ExitStack() as stack:

        def launch_app(replies: Sequence[Item]) -> Any:
            vendor = stack.enter_context(launch_vendor(replies))
            settings = load(
                Settings, model="openai:gpt-4o-mini", base_url=f"{vendor.url}/v1", model_timeout=5
            )
            vision = OnePage(Config(), settings)
            url = stack.enter_context(serve_app(create_app(vision, Settings(api_keys=""))))
            return SimpleNamespace(url=url, vendor=vendor, vision=vision, picture=PICTURE)

        yield launch_app
