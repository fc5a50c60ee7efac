"""Answers: where they come from, what supports them, and when there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vision_app.answer.answer import UNKNOWN
from vision_app.answer.rules.ask import ask
from vision_app.ocr.page import Page

INVOICE = [
    ("INVOICE", 100, 60, 50),
    ("Invoice number: A-77", 100, 180, 24),
    ("Date: 14 March 2024", 100, 230, 24),
    ("Bill to", 100, 300, 24),
    ("Marlow & Sons", 100, 330, 24),
    ("Subtotal", 100, 500, 24),
    ("100.00", 600, 500, 24),
    ("VAT 19 %", 100, 550, 24),
    ("19.00", 600, 550, 24),
    ("Total", 100, 600, 24),
    ("EUR 119.00", 600, 600, 24),
]


@pytest.fixture
def invoice(make_page: Callable[..., Page]) -> Page:
    return make_page(INVOICE)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the total?", "EUR 119.00"),
        ("How much is the VAT?", "19.00"),
        ("What is the invoice number?", "A-77"),
        ("When was the invoice issued?", "14 March 2024"),
        ("Who is the customer?", "Marlow & Sons"),
    ],
)
def test_answer_is_quoted_from_the_page(invoice: Page, question: str, answer: str) -> None:
    result = ask(question, [invoice])
    assert result.text == answer
    assert not result.abstained
    assert 0.4 < result.confidence <= 1


@pytest.mark.parametrize(
    "question",
    [
        "What is the due date?",
        "What is the order number?",
        "How much is the discount?",
        "Who signed the invoice?",
        "Has the invoice been paid?",
        "What is the phone number?",
        "What colour is the logo?",
        "How many items were ordered?",
        "Is this an invoice?",
        'Does it say "Marlow"?',
        "",
        "?",
    ],
)
def test_question_that_the_page_does_not_answer_is_refused(invoice: Page, question: str) -> None:
    result = ask(question, [invoice])
    assert (result.text, result.abstained, result.boxes) == (UNKNOWN, True, ())
    assert result.text == "I can't tell from this image."


def test_boxes_are_those_of_label_and_value_in_the_input_image(
    make_page: Callable[..., Page],
) -> None:
    page = make_page(INVOICE, turned=180)
    result = ask("What is the total?", [page])
    assert [item.text for item in result.boxes] == ["Total", "EUR 119.00"]
    left, top, _, bottom = result.boxes[1].box
    assert (top, bottom) == (1400 - 624, 1400 - 600)  # the page is upside down
    assert left < 400


def test_labels_with_different_values_are_ambiguous(make_page: Callable[..., Page]) -> None:
    page = make_page([("Phone: 030 1234567", 100, 100, 24), ("Phone: 040 7654321", 100, 200, 24)])
    assert ask("What is the phone number?", [page]).abstained


def test_extracted_fields_are_asked_first(invoice: Page) -> None:
    proof = {"text": "Acme Ltd", "box": (1, 2, 3, 4), "page": 1, "confidence": 0.9}
    extraction = {
        "fields": {"vendor": "Acme Ltd", "due_date": None},
        "evidence": {"vendor": proof, "due_date": None},
    }
    result = ask("Who is the seller?", [invoice], extraction)
    assert result.text == "Acme Ltd"
    assert result.boxes[0].box == (1, 2, 3, 4)
    assert ask("What is the due date?", [invoice], extraction).abstained


def test_extracted_field_agrees_with_the_page_that_adds_the_currency(invoice: Page) -> None:
    def extraction(text: str) -> dict[str, Any]:
        proof = {"text": text, "box": (1, 2, 3, 4), "page": 1, "confidence": 0.9}
        return {"evidence": {"total": proof}}

    result = ask("What is the total?", [invoice], extraction("119.00"))
    assert result.text == "119.00"
    assert ask("What is the total?", [invoice], extraction("9.00")).abstained


def test_number_of_an_invoice_is_not_a_phone_number(invoice: Page) -> None:
    proof = {"text": "INV-2024-0815", "box": (1, 2, 3, 4), "page": 1, "confidence": 0.9}
    extraction = {"evidence": {"invoice_number": proof}}
    assert ask("What is the phone number?", [invoice], extraction).abstained


def test_heads_of_columns_have_their_values_below(make_page: Callable[..., Page]) -> None:
    lines = [
        ("Flight", 100, 100, 22),
        ("OS 397", 100, 126, 28),
        ("Gate", 500, 100, 22),
        ("F12", 500, 126, 28),
    ]
    assert ask("What is the flight number?", [make_page(lines)]).text == "OS 397"
    assert ask("What is the gate?", [make_page(lines)]).text == "F12"
