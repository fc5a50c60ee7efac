"""Twenty documents through the vendor's API and ours: every field, with its box on the page.

The replies were written by hand: this proves the path, not a model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from vision_app.config import Config
from vision_app.vision import Vision
from seedbed.settings import Settings, load
from seedbed.testing.vendor.script import Reply
from seedbed.testing.vendor.server import launch_vendor

from .documents import Document, read_documents

DOCUMENTS = {document.name: document for document in read_documents()}
each = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
DPI = 170
Send = Callable[..., Any]


def good(document: Document, **changes: Any) -> str:
    return json.dumps(document.reply | changes, ensure_ascii=False)


def check_boxes(document: Document, evidence: dict[str, Any]) -> None:
    """Each printed field has a box that is where it is printed."""
    for name, (page, place) in document.places().items():
        expected = [DPI / 72 * x for x in place]
        box, slack = evidence[name]["box"], 10
        assert evidence[name]["page"] == page, name
        assert box, f"{name} has no box"
        assert all(abs(a - b) < slack for a, b in zip(box, expected, strict=True)), (
            f"{name}: {box} instead of {expected}"
        )


@each
def test_good_reply_fills_every_field_with_its_box(send: Send, document: Document) -> None:
    # 1. The schema with its hints and the pages reach the model.
    result = send(document, [good(document)])
    assert not send.vendor.problems  # type: ignore[attr-defined]
    [call] = send.vendor.calls  # type: ignore[attr-defined]
    content = call.body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text"] + ["image_url"] * len(document.pages)
    form = call.body["response_format"]["json_schema"]
    assert form["schema"]["required"] == list(document.fields)
    for name, data in document.parsed_schema.json["properties"].items():
        sent = form["schema"]["properties"][name]["description"]
        hints = [data.get("description") or data.get("title") or name.replace("_", " ")]
        hints += [*data.get("x-labels", []), *filter(None, data.get("enum", []))]
        hints += [data[key] for key in ("format", "pattern") if key in data]
        assert all(hint in sent for hint in hints), sent
    # 2. Its values arrive, each with its box.
    assert result["fields"] == document.reply
    assert result["warnings"] == []
    check_boxes(document, result["evidence"])
    confidences = {name: result["evidence"][name]["confidence"] for name in document.places()}
    assert all(value > 0.85 for value in confidences.values()), confidences


def test_claude_fills_every_field_too(
    monkeypatch: pytest.MonkeyPatch, make_pdf: Callable[..., bytes]
) -> None:
    pytest.importorskip("langchain_anthropic")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    document = DOCUMENTS["paper"]
    with launch_vendor([Reply(tool_calls=[("Invoice", document.reply)])]) as vendor:
        settings = load(Settings, model="anthropic:claude-haiku-4-5", base_url=vendor.url)
        vision = Vision(Config(), settings)
        result = vision.extract(vision.open(document.pdf(make_pdf), "a.pdf"))
        assert not vendor.problems
    assert result["fields"] == document.reply and result["warnings"] == []
    check_boxes(document, result["evidence"])


MEDIOCRE: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # name: (document, what the reply says instead, what the fields are)
    "pounds": ("paper", {"total": "£666.00", "subtotal": "GBP 555.00"}, {}),
    "German": ("rates", {"total": "295,78 €", "tax": "41,78"}, {}),
    "thousands with a space": ("exempt", {"total": "2 400,00 €"}, {}),
    "thousands with a point": ("withheld", {"total": "1.060,00 EUR", "subtotal": "1.000"}, {}),
    "thousands with an apostrophe": ("swiss", {"total": "CHF 5'815.75"}, {}),
    "negative in brackets": ("credit", {"total": "(89.00)"}, {}),
    "yen with a comma": ("yen", {"total": "¥1,430"}, {}),
    "long date": ("paper", {"date": "14 March 2026", "due_date": "April 13th, 2026"}, {}),
    "American date": ("diner", {"date": "11/12/25", "time": "7:42 PM"}, {}),
    "French date": ("exempt", {"date": "le 2 octobre 2025"}, {}),
    "German date": ("rates", {"date": "03.09.2025"}, {}),
    "date with a time": ("hotel", {"date": "2025-08-12T00:00:00"}, {}),
    "symbol": ("deposit", {"currency": "£"}, {}),
    "other spelling of a value": ("delivery", {"shift": "nacht"}, {}),
    "texts": ("contract", {"pets": "yes", "smoking": "No", "rent": "$1,150.00"}, {}),
    "number as text": ("lab", {"cells": "312", "glucose": "5.4"}, {}),
    "kind of document": ("quote", {"document_type": "Quote"}, {}),
    "extra fields": ("kronor", {"note": "Paid in time.", "vat_id": None}, {}),
}


@pytest.mark.parametrize(("name", "changes", "fields"), MEDIOCRE.values(), ids=MEDIOCRE)
def test_value_as_it_is_printed_is_understood(
    send: Send, name: str, changes: dict[str, Any], fields: dict[str, Any]
) -> None:
    document = DOCUMENTS[name]
    result = send(document, [good(document, **changes)])
    assert result["fields"] == document.reply | fields
    assert result["warnings"] == []
    check_boxes(document, result["evidence"])
    assert len(send.vendor.calls) == 1  # type: ignore[attr-defined]


WARNED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    # name: (document, what the reply says instead, what the fields are, the warning)
    "wrong total": ("kronor", {"total": 6520}, {"total": 6520}, "is not subtotal"),
    "invented number": (
        *("exempt", {"invoice_number": "F2025-042"}, {"invoice_number": "F2025-042"}),
        "OCR did not read F2025-042",
    ),
    "value of an empty page": ("empty", {"total": 12}, {"total": 12}, "OCR did not read 12"),
    "not a date": ("paper", {"date": "soon"}, {"date": None}, "'soon' is not a date"),
    "not an amount": ("paper", {"total": "a lot"}, {"total": None}, "'a lot' is not an amount"),
    "two amounts": ("paper", {"tax": "111 of 666"}, {"tax": None}, "is not an amount"),
    "not finite": ("paper", {"total": "Infinity"}, {"total": None}, "'Infinity' is not an amount"),
    "outside the enum": ("delivery", {"shift": "Spät"}, {"shift": None}, "not one of: Früh, Nacht"),
    "not the pattern": ("delivery", {"plate": "12"}, {"plate": None}, "'12' is not a text"),
    "not a whole number": ("lab", {"cells": 3.5}, {"cells": None}, "'3.5' is not an integer"),
    "incomplete position": (
        *("pages", {"line_items": [{"description": "Slides"}, None]}, {"line_items": None}),
        "2 of 2 line items left out",
    ),
    "positions that do not add up": (
        "pages",
        {"line_items": [{"description": "A", "amount": 1.5}, {"description": "B", "amount": 7}]},
        {
            "line_items": [
                {"description": "A", "quantity": None, "unit_price": None, "amount": 1.5},
                {"description": "B", "quantity": None, "unit_price": None, "amount": 7.0},
            ]
        },
        "line items add up to 8.50",
    ),
}


@pytest.mark.parametrize(("name", "changes", "fields", "warning"), WARNED.values(), ids=WARNED)
def test_value_in_doubt_is_returned_with_a_warning(
    send: Send, name: str, changes: dict[str, Any], fields: dict[str, Any], warning: str
) -> None:
    document = DOCUMENTS[name]
    result = send(document, [good(document, **changes)])
    assert result["fields"] == document.reply | fields
    assert any(warning in text for text in result["warnings"]), result["warnings"]
    for field, value in fields.items():
        evidence = result["evidence"].get(field)
        assert evidence is None or evidence["confidence"] <= 0.5, (field, value)


REPAIRED = {
    "prose": "Sure! Here are the fields you asked for.",
    "another object": '{"answer": "Halden Paper & Print"}',
    "positions as a text": json.dumps({"line_items": "none"}),
    "a position as a text": json.dumps({"line_items": ["Toner"]}),
    "an object as a value": json.dumps({"total": {"amount": 666}}),
}


@pytest.mark.parametrize("reply", REPAIRED.values(), ids=REPAIRED)
def test_reply_without_the_fields_is_asked_for_once_more(send: Send, reply: str) -> None:
    document = DOCUMENTS["paper"]
    result = send(document, [reply, good(document)])
    assert result["fields"] == document.reply and result["warnings"] == []
    [_, second] = send.vendor.calls  # type: ignore[attr-defined]
    assert "cannot be used" in second.body["messages"][-1]["content"]
