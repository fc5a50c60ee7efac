"""A vision-language model fills the schema, and OCR confirms its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vision_app.extract.by_model import extract
from vision_app.extract.schemas import load_schema, parse_schema
from vision_app.files.pixels import MAX_IMAGES
from vision_app.ocr.page import Page
from seedbed.models.scripted import ScriptedChatModel

DRAWING = """
 Bygg AB
 Fakturadatum  11 april 2024
 Att betala    6 250,00 kr
"""
EMPTY = dict.fromkeys(field.name for field in load_schema("invoice").fields)
REPLY = EMPTY | {"vendor": "Bygg AB", "date": "2024-04-11", "total": 6250, "currency": "SEK"}
IMAGE = np.full((20, 30, 3), 255, np.uint8)


@pytest.fixture
def ask(page: Callable[..., Page]) -> Callable[..., Any]:
    def extract_reply(images: int = 1, **changes: Any) -> Any:
        model = ScriptedChatModel([REPLY | changes])
        schema = load_schema("invoice")
        pages = [page(DRAWING, number) for number in range(1, images + 1)]
        return extract(pages, [IMAGE] * images, schema, model=model), model

    return extract_reply


def test_only_the_first_pages_are_sent(ask: Callable[..., Any]) -> None:
    extraction, model = ask(images=MAX_IMAGES + 1)
    assert len(model.calls[0].messages[0].content) == 1 + MAX_IMAGES
    assert any("first 8 of 9 pages" in warning for warning in extraction.warnings)


def test_currency_is_a_code_or_a_symbol_of_one_currency(ask: Callable[..., Any]) -> None:
    assert ask(currency="sek")[0].fields["currency"] == "SEK"
    extraction, _ = ask(currency="kr")  # of which the page does not tell the country
    assert extraction.fields["currency"] is None
    assert "currency: the model's 'kr' is not a currency" in extraction.warnings


def test_dates_of_birth_are_dates(ask: Callable[..., Any]) -> None:
    assert ask(date="1949-07-04")[0].fields["date"] == "1949-07-04"


def test_sums_are_checked_unless_a_printed_amount_explains_them(
    ask: Callable[..., Any], page: Callable[..., Page]
) -> None:
    values = {"subtotal": 5000, "tax": 1250, "total": 5250}
    extraction, _ = ask(**values)
    assert "total 5250.00 is not subtotal 5000.00 + tax 1250.00" in extraction.warnings
    schema, model = load_schema("invoice"), ScriptedChatModel([REPLY | values])
    pages = [page(DRAWING + " Less deposit  1 000,00 kr\n")]
    assert "is not subtotal" not in " ".join(extract(pages, [IMAGE], schema, model=model).warnings)


def test_total_is_shown_where_it_is_last(page: Callable[..., Page]) -> None:
    pages = [page(" Hammer  6 250,00\n Att betala  6 250,00 kr\n")]
    schema, model = load_schema("invoice"), ScriptedChatModel([REPLY])
    found = extract(pages, [IMAGE], schema, model=model).evidence["total"]
    assert found.box is not None and found.box[1] > 60


@pytest.mark.parametrize(
    ("value", "row"),
    [
        ("71", "Invoice 4711"),
        ("CME", "ACME Ltd"),
        ("DE12 6805 0101", "IBAN DE12 6805 0101 0001 2345"),
        ("0815", "INV-2024-0815"),
        ("24", "No. 2024/24/7"),
        ("Kuhn", "Kuhnert GmbH"),
    ],
)
def test_part_of_a_word_or_number_counts_as_unread(
    page: Callable[..., Page], value: str, row: str
) -> None:
    model = ScriptedChatModel([{"policy": value}])
    schema = parse_schema({"properties": {"policy": {"type": "string"}}})
    extraction = extract([page(f" {row}\n")], [IMAGE], schema, model=model)
    assert extraction.evidence["policy"].box is None
    assert extraction.evidence["policy"].confidence == 0.5
    assert extraction.warnings == (f"policy: OCR did not read {value} on the page",)


@pytest.mark.parametrize("value", ["N/A", "null", "none", "-"])
def test_word_for_nothing_is_null(ask: Callable[..., Any], value: str) -> None:
    extraction, _ = ask(vendor=value, invoice_number=value)
    assert (extraction.fields["vendor"], extraction.fields["invoice_number"]) == (None, None)
