"""The edition of one file: fields by regular expressions or a model, text by OCR."""

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from seedbed.testing.launch import import_file
from seedbed.testing.vendor.server import launch_vendor

nano = import_file(Path(__file__).parents[1] / "nano.py")
TEXT = (
    "Otte Handels KG  Hamburg\nRechnung Nr. R-2024/117\nDatum 3.4.2024\n"
    "Zwischensumme 1.000,00\nGesamtbetrag  1.190,00 EUR"
)
FIELDS = {
    "vendor": "Otte Handels KG",
    "invoice_number": "R-2024/117",
    "date": "2024-04-03",
    "total": "1190.00",
    "currency": "EUR",
}


def test_fields_are_found_by_regular_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_MODEL", "smollm2")
    assert nano.extract(TEXT).model_dump() == FIELDS
    assert not any(nano.extract("").model_dump().values())


def test_date_exists_in_the_calendar() -> None:
    dates = {
        "Date 12/31/2025": "2025-12-31",
        "Date 31/12/2025": "2025-12-31",
        "Date 31.02.2025": None,
        "Date 2025-13-01, paid 2025-12-01": "2025-12-01",
    }
    assert {text: nano.find_fields(text).date for text in dates} == dates


def test_total_is_the_largest_one() -> None:
    text = "Total 1,234.50\nTotal paid 0.00\nTotal due 34.50"
    assert nano.find_fields(text).total == "1234.50"


def test_value_that_is_not_in_the_text_is_dropped() -> None:
    kept = {"total": "1.190,00", "vendor": "otte handels kg"}
    assert nano.checked(nano.Invoice(**FIELDS | kept), TEXT).model_dump() == FIELDS | kept
    dropped = {
        "total": ["119.00", "11.90", "much"],
        "date": ["1999-01-01"],
        "currency": ["JPY"],
        "vendor": ["Otte Hand"],
        "invoice_number": ["R-2024/11"],
    }
    for field, values in dropped.items():
        for value in values:
            invoice = nano.checked(nano.Invoice(**FIELDS | {field: value}), TEXT)
            assert invoice.model_dump() == FIELDS | {field: None}, value


def test_reply_of_a_model_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = json.dumps({**FIELDS, "total": "1234.56"})
    with launch_vendor([reply]) as vendor:
        monkeypatch.setenv("SEEDBED_MODEL", "openai:gpt-4o-mini")
        monkeypatch.setenv("SEEDBED_BASE_URL", f"{vendor.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        assert nano.extract(TEXT).model_dump() == {**FIELDS, "total": None}
        assert not vendor.problems


@pytest.mark.slow
def test_rows_of_a_picture_are_read_in_order(tmp_path: Path) -> None:
    picture = Image.new("RGB", (900, 400), "white")
    font, draw = ImageFont.load_default(36), ImageDraw.Draw(picture)
    for row, (left, right) in enumerate(
        [("Otte Handels KG", ""), ("Date", "2024-04-03"), ("TOTAL", "1190.00 EUR")]
    ):
        draw.text((40, 40 + 110 * row), left, "black", font)
        draw.text((520, 42 + 110 * row), right, "black", font)
    picture.save(tmp_path / "page.png")
    fields, text = nano.look(tmp_path / "page.png")
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "Otte Handels KG", "Date 2024-04-03", "TOTAL 1190.00 EUR",
    ]  # fmt: skip
    assert (fields["total"], fields["currency"], fields["date"]) == ("1190.00", "EUR", "2024-04-03")
    assert nano.read_text(Image.new("RGB", (64, 64), "white")) == ""
