"""Pages from drawings in letters, so that rules are tested without OCR."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from vision_app.config import Config
from vision_app.files.pixels import encode_png
from vision_app.ocr.page import Line, Page, Word
from vision_app.serve.api import create_app
from vision_app.vision import Vision
from seedbed.settings import Settings


def page_of(drawing: str, number: int = 1) -> Page:
    """A page on which each character is 10 x 16 pixels; a line that begins with # is larger.

    Two spaces separate pieces of text.
    """
    lines, top = [], 40.0
    for row in drawing.splitlines():
        width, height = (18, 30) if row.startswith("#") else (10, 16)
        for piece in re.finditer(r"\S+(?: \S+)*", row.replace("#", " ", 1) if width > 10 else row):
            words = []
            for match in re.finditer(r"\S+", piece[0]):
                left = 40 + width * (piece.start() + match.start())
                right = left + width * len(match[0]) - 3
                words.append(Word(match[0], (left, top, right, top + height), 0.99))
            lines.append(Line(tuple(words)))
        top += height + 10
    edge = max((line.box[2] for line in lines), default=0.0)
    return Page(number, int(edge + 40), int(max(top + 40, edge)), tuple(lines))


@pytest.fixture
def page() -> Callable[..., Page]:
    return page_of


class DrawnVision(Vision):
    """The real app, except that OCR reads the same drawing in every picture."""

    drawing = ""

    @property
    def reader(self) -> Any:
        return SimpleNamespace(read=lambda _, number: page_of(self.drawing, number))


@pytest.fixture(scope="session")
def post() -> Iterator[Callable[..., Any]]:
    """post(drawing, schema): the response of `/v1/extract` for a picture with this text."""
    vision = DrawnVision(Config(), Settings())
    picture = encode_png(np.full((40, 60, 3), 128, np.uint8))
    with TestClient(create_app(vision, Settings(api_keys=""))) as client:

        def send(drawing: str, schema: Any = "invoice") -> Any:
            vision.drawing = drawing
            text = schema if isinstance(schema, str) else json.dumps(schema)
            files = {"file": ("a.png", picture)}
            return client.post("/v1/extract", files=files, data={"schema": text})

        yield send
