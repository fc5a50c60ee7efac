"""Null instead of a guess: what contradicts the sums, has no label, or is not on an invoice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_app.extract.extraction import Extraction
from vision_app.extract.rules.extract import extract
from vision_app.extract.schemas import load_schema, parse_schema
from vision_app.ocr.page import Page

Extract = Callable[..., Extraction]
PAGES = Path(__file__).with_name("other_pages.txt").read_text("utf-8").split("===\n")


@pytest.mark.parametrize("page_text", PAGES, ids=lambda text: text.strip()[:20])
def test_page_that_is_not_an_invoice_is_another_page(read: Extract, page_text: str) -> None:
    extraction = read(page_text)
    assert extraction.fields["document_type"] == "other"
    assert extraction.evidence["document_type"].confidence == 0.5
    assert "document_type: no title says so" in extraction.warnings
    values = {name for name, value in extraction.fields.items() if value is not None}
    assert values == extraction.evidence.keys()


@pytest.mark.parametrize(
    ("rows", "subtotal", "tax"),
    [
        ("Net   100.00\n VAT   25.00\n Total   125.00", 100.0, 25.0),
        ("Subtotal   40.50\n Tax   3.14\n Total   43.64\n Tip   8.00\n Total   $51.64", 40.5, 3.14),
        ("Net   100.00\n VAT   25.00\n Total   140.00", None, None),
        ("TOTAL   23,15 €\n Dont TVA 20%   3,52\n Dont TVA 2,1%   0,04", None, None),
        ("Total   £17.80\n VAT 20%   £17.80   £2.97", None, None),
    ],
)
def test_subtotal_and_tax_agree_with_the_total_or_are_null(
    read: Extract, rows: str, subtotal: float | None, tax: float | None
) -> None:
    extraction = read(f"\n Invoice 4711\n {rows}\n")
    assert (extraction.fields["subtotal"], extraction.fields["tax"]) == (subtotal, tax)
    assert any("do not agree" in text for text in extraction.warnings) == (tax is None)


@pytest.mark.timeout(60)
def test_page_with_too_many_words_is_left_out(page: Callable[..., Page]) -> None:
    rows = "\n".join(["Total 1.00 VAT 7.00 Net 3.00 Date 03.04.2025"] * 300)
    first, dense = page("Invoice 4711\nTotal  5.00 EUR"), page(rows, 2)
    extraction = extract([first, dense], [], load_schema("invoice"))
    assert extraction.fields["total"] == 5.0
    assert extraction.warnings[0].startswith("page 2 has too many words")
    assert extract([dense], [], load_schema("invoice")).fields["total"] is None


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Pro forma invoice 17", "pro_forma"),
        ("Devis n° 17", "quote"),
        ("Gutschrift 17", "credit_note"),
        ("Lieferschein 17", "other"),
    ],
)
def test_title_tells_the_type_of_document(read: Extract, title: str, kind: str) -> None:
    drawing = (
        f"# Nordhaus GmbH\n\n{title}\n\nChair      100.00\nTax 19 %    19.00\nTotal    119.00 EUR"
    )
    assert read(drawing).fields["document_type"] == kind


@pytest.mark.parametrize(
    ("drawing", "vendor"),
    [
        (
            """
 Sprzedawca:                           Kraków, dnia 2025-10-24
 Księgarnia Pod Żółwiem sp. z o.o.
 ul. Świętego Tomasza 20
 31-027 Kraków

 Nabywca:
 Zofia Lewandowska
 ul. Długa 4

 Faktura nr 17/2025
 Razem   45,00 zł
""",
            "Księgarnia Pod Żółwiem sp. z o.o.",
        ),
        (
            "\n FOXGLOVE GROCERS\n 14 High Street\n Tea   2.00\n Milk   3.00\n Total   £5.00\n",
            "FOXGLOVE GROCERS",
        ),
    ],
)
def test_vendor_is_found_by_its_form_and_place(read: Extract, drawing: str, vendor: str) -> None:
    assert read(drawing).fields["vendor"] == vendor


def test_weights_are_not_amounts(read: Extract) -> None:
    rows = "Receipt 17\n Apples  842.00 kg\n @ £2.40/kg   £2.02\n Total   £2.02"
    assert read(f"\n {rows}\n", "receipt").fields["total"] == 2.02


def test_schema_with_many_fields_reads_fewer_words(page: Callable[..., Page]) -> None:
    drawing = page(("Date  01/02/2023  " * 4 + "\n") * 60)

    def warnings(count: int) -> tuple[str, ...]:
        names = {f"day_{n}": {"type": "string", "format": "date"} for n in range(count)}
        return extract([drawing], [], parse_schema({"properties": names})).warnings

    assert warnings(1) == ()
    [warning] = warnings(200)
    assert warning.startswith("page 1 has too many words")


@pytest.mark.timeout(90)
def test_long_line_of_brackets_takes_no_cubic_time(read: Extract) -> None:
    assert read("# Invoice\n" + "(1" * 2000).fields["vendor"] is None


def test_reading_that_could_be_two_has_a_warning(read: Extract) -> None:
    extraction = read("# Corner Cafe\n Invoice no. 4711\n Date  12/03/2018\n Total  $5.00\n")
    assert extraction.warnings[0] == "date: 12/03/2018 may also be 2018-03-12"
    assert "currency: $ may also be CAD, AUD, NZD" in extraction.warnings
    names = ("date", "currency")
    assert max(extraction.evidence[name].confidence for name in names) < 0.9


def test_dollar_sign_on_a_page_of_another_country_is_not_a_currency(read: Extract) -> None:
    drawing = "# RESTORAN ALI SDN BHD\n 50450 Kuala Lumpur\n Total  $5.00\n"
    assert read(drawing, "receipt").fields["currency"] is None


def test_number_and_date_are_those_of_one_line_without_its_code_in_brackets(read: Extract) -> None:
    rows = "# Handelsrechnung (380) Nr. 471102 vom 4.3.2025\n Bestellung vom 1.3.2025\n"
    fields = read(f"{rows} Total  5.00 EUR\n").fields
    assert (fields["invoice_number"], fields["date"]) == ("471102", "2025-03-04")


def test_vendor_that_is_on_the_page_once_is_never_nearly_certain(read: Extract) -> None:
    once = "# Nordhaus GmbH\n 4 High Street\n Invoice no. 17\n Total  5.00 EUR\n"
    for longer in ("", "\n Nordhaus GmbH Rentals, IBAN DE12 3456 7890\n"):
        assert read(f"{once}{longer}").evidence["vendor"].confidence < 0.85
    again = read(f"{once}\n Nordhaus GmbH, IBAN DE12 3456 7890\n")
    assert again.evidence["vendor"].confidence > 0.9


def test_receipt_rounded_for_cash_has_the_rounded_total(post: Callable[..., Any]) -> None:
    rows = "Serv. Charge (3%)  0.65\n GST payable (6%)  1.31\n Total (Inclusive of GST)  23.26"
    drawing = f"# KEDAI ALI\n 2018-04-09\n {rows}\n Rounding Adj  -0.01\n TOTAL  RM 23.25\n"
    fields = post(drawing, "receipt").json()["fields"]
    assert (fields["total"], fields["tax"]) == (23.25, None)
