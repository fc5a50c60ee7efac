"""Fields of drawings in letters, by rules."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vision_app.extract.extraction import Extraction
from vision_app.extract.rules.extract import extract
from vision_app.extract.schemas import load_schema
from vision_app.ocr.page import Page

Extract = Callable[..., Extraction]


@pytest.fixture
def read(page: Callable[..., Page]) -> Extract:
    """The fields of a drawing: read(text, "receipt").fields."""

    def read_drawing(drawing: str, schema: str = "invoice") -> Extraction:
        return extract([page(drawing)], [], load_schema(schema))

    return read_drawing
