"""A vision-language model fills the schema, and OCR confirms its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vision_app.extract.schemas import load_schema
from vision_app.extract.vlm import MAX_IMAGES, extract_with_model
from vision_app.ocr.page import Page
from seedbed.models.scripted import ScriptedChatModel

DRAWING = """
 Bygg AB
 Fakturadatum  11 april 2024
 Att betala    6 250,00 kr
"""
REPLY: dict[str, Any] = {
    "vendor": "Bygg AB",
    "invoice_number": None,
    "date": "2024-04-11",
    "due_date": None,
    "order_number": None,
    "customer": None,
    "subtotal": None,
    "tax": None,
    "total": 6250,
    "currency": "SEK",
    "line_items": None,
}
IMAGE = np.full((20, 30, 3), 255, np.uint8)


@pytest.fixture
def ask(page: Callable[..., Page]) -> Callable[..., Any]:
    def extract_reply(images: int = 1, **changes: Any) -> Any:
        model = ScriptedChatModel([REPLY | changes])
        schema = load_schema("invoice")
        return extract_with_model([IMAGE] * images, [page(DRAWING)], schema, model), model

    return extract_reply


def test_model_sees_images_and_fills_the_schema(ask: Callable[..., Any]) -> None:
    extraction, model = ask()
    [call] = model.calls
    assert [part["type"] for part in call.messages[0].content] == ["text", "image"]
    assert call.schema["required"] == list(extraction.fields)
    assert extraction.fields["total"] == 6250.0
    assert extraction.evidence["total"].text == "6 250,00"
    assert extraction.evidence["date"].text == "11 april 2024"
    assert extraction.evidence["total"].box is not None


def test_value_that_ocr_cannot_find_has_a_warning_and_no_box(ask: Callable[..., Any]) -> None:
    extraction, _ = ask(invoice_number="20417")
    assert extraction.evidence["invoice_number"].box is None
    assert "invoice_number: OCR did not read 20417 on the page" in extraction.warnings
    confidence = {name: found.confidence for name, found in extraction.evidence.items()}
    assert confidence["invoice_number"] < confidence["total"]


def test_value_of_the_model_is_normalized(ask: Callable[..., Any]) -> None:
    extraction, _ = ask(date="11 april 2024", currency="kr")
    assert (extraction.fields["date"], extraction.fields["currency"]) == ("2024-04-11", "SEK")
    extraction, _ = ask(date="soon")
    assert extraction.fields["date"] is None
    assert "date: the model's 'soon' is not a date" in extraction.warnings


def test_only_the_first_pages_are_sent(ask: Callable[..., Any]) -> None:
    extraction, model = ask(images=MAX_IMAGES + 1)
    assert len(model.calls[0].messages[0].content) == 1 + MAX_IMAGES
    assert any("first 8 of 9 pages" in warning for warning in extraction.warnings)
