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

from .sums_by_language import documents

Extract = Callable[..., Extraction]
PAGES = Path(__file__).with_name("other_pages.txt").read_text("utf-8").split("===\n")


@pytest.mark.parametrize(
    ("drawing", "expected"), [pytest.param(*rest, id=name) for name, *rest in documents()]
)
def test_subtotal_and_tax_agree_with_the_total(
    read: Extract, drawing: str, expected: dict[str, Any]
) -> None:
    extraction = read(drawing)
    assert {
        n: extraction.fields[n] for n in expected if extraction.fields[n] not in expected[n]
    } == {}
    assert extraction.fields["document_type"] == "invoice"
    assert extraction.warnings == ()


@pytest.mark.parametrize("page_text", PAGES, ids=lambda text: text.strip()[:20])
def test_page_that_is_not_an_invoice_has_no_fields(read: Extract, page_text: str) -> None:
    extraction = read(page_text)
    assert extraction.fields.pop("document_type") == "other"
    assert set(extraction.fields.values()) == {None}
    assert extraction.evidence == {}
    assert "neither an invoice nor a receipt" in extraction.warnings[0]


FRENCH = """
# Atelier Verrier
Facture n° F2025-041
Total HT   2 400,00 €
TVA non applicable, art. 293 B du CGI
Net à payer   2 400,00 €
"""


def test_article_of_a_law_is_not_a_tax(read: Extract) -> None:
    fields = read(FRENCH).fields
    assert (fields["subtotal"], fields["tax"], fields["total"]) == (2400.0, None, 2400.0)


@pytest.mark.parametrize(
    ("rows", "subtotal", "tax"),
    [
        ("zzgl. 7 % USt. auf 270,00 €   18,90 €\n Gesamtbetrag   288,90 €", 270.0, 18.9),
        ("Total   £17.80\n VAT 20% on 17.80   £2.97", None, 2.97),
        ("TOTAL   23,15 €\n Dont TVA 20%   3,52\n Dont TVA 2,1%   0,04", None, 3.56),
        ("Summe   51,75 €\n 10% MwSt 1,67  20% MwSt 5,56", None, 7.23),
        ("BTW 21%   8,60   1,80\n Totaal   10,40 €", 8.6, 1.8),
        (
            "Base imponible   1.705,60 €\n IVA 21 %   358,18 €\n Recargo de equivalencia 5,2 %"
            "   88,69 €\n Total   2.152,47 €",
            1705.6,
            446.87,
        ),
        ("Net   100.00\n VAT   25.00\n Total   140.00", None, None),
        ("Subtotal   40.50\n Tax   3.14\n Total   43.64\n Tip   8.00\n Total   $51.64", 40.5, 3.14),
    ],
)
def test_tax_is_the_sum_of_its_rates_or_null(
    read: Extract, rows: str, subtotal: float | None, tax: float | None
) -> None:
    extraction = read(f"\n Invoice 4711\n {rows}\n")
    assert (extraction.fields["subtotal"], extraction.fields["tax"]) == (subtotal, tax)
    assert bool(extraction.warnings) == (tax is None)


def test_sum_of_several_rates_shows_all_their_places(read: Extract) -> None:
    evidence = read("\n Invoice 7\n Total   23,15 €\n VAT 20%   3,52\n VAT 2,1%   0,04\n").evidence
    assert evidence["tax"].text == "3,52 0,04"
    box = evidence["tax"].box
    assert box is not None and box[3] - box[1] > 30


@pytest.mark.timeout(60)
def test_page_with_too_many_words_is_left_out(page: Callable[..., Page]) -> None:
    rows = "\n".join(["Total 1.00 VAT 7.00 Net 3.00 Date 03.04.2025"] * 300)
    first, dense = page("Invoice 4711\nTotal  5.00 EUR"), page(rows, 2)
    extraction = extract([first, dense], [], load_schema("invoice"))
    assert extraction.fields["total"] == 5.0
    assert extraction.warnings[0].startswith("page 2 has too many words")
    assert extract([dense], [], load_schema("invoice")).fields["total"] is None


CREDIT = """
# Kestrel Optics Pty Ltd ABN 53 004 085 616
14 High Street

{title} no.        CN-00385      Date           09 Jan 2026
Against invoice    INV-20931     Invoice date   15 Dec 2025

Lens               -120.00
Total              -120.00 AUD
"""


def test_credit_note_has_its_own_number_and_date(read: Extract) -> None:
    fields = read(CREDIT.format(title="Credit note")).fields
    assert fields["document_type"] == "credit_note"
    assert (fields["date"], fields["invoice_number"]) == ("2026-01-09", "CN-00385")
    assert (fields["order_number"], fields["vendor"]) == (None, "Kestrel Optics Pty Ltd")


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Pro forma invoice 17", "pro_forma"),
        ("Angebot 2025-17", "quote"),
        ("Devis n° 17", "quote"),
        ("Invoice 17", "invoice"),
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
    ("rows", "customer"),
    [
        ("For 1 June 2025 - 31 August 2025", None),
        ("valid for 30 days", None),
        (
            "Cliente\n Reformas Íñiguez Hnos. S.A.\n NIF A31 000 000\n Pamplona",
            "Reformas Íñiguez Hnos. S.A.",
        ),
        ("Billed to\n Rederij van der Meer B.V.\n Waalhaven Z.z. 19", "Rederij van der Meer B.V."),
        ("Nabywca:\n Zofia Lewandowska\n ul. Długa 4", "Zofia Lewandowska"),
        ("Customer: Anna Svensson", "Anna Svensson"),
    ],
)
def test_customer_is_the_name_next_to_a_label(
    read: Extract, rows: str, customer: str | None
) -> None:
    assert (
        read(f"\n # Nordhaus GmbH\n\n Invoice 17\n\n {rows}\n\n Total  5.00 EUR").fields["customer"]
        == customer
    )


@pytest.mark.parametrize(
    ("row", "method"),
    [("Betaald met PIN   13,65", None), ("Betaalwijze: PIN", "PIN"), ("CASH   13.65", None)],
)
def test_means_of_payment_needs_a_label(read: Extract, row: str, method: str | None) -> None:
    drawing = f"\n # Bakkerij Zon\n Kassabon 17\n Totaal   13,65\n {row}\n"
    assert read(drawing, "receipt").fields["payment_method"] == method


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
            "\n Hoshino Translations K.K.\n 2-4 Marunouchi\n Invoice 17\n Total   5.00 EUR\n",
            "Hoshino Translations K.K.",
        ),
        (
            "\n FOXGLOVE GROCERS\n 14 High Street\n Tea   2.00\n Milk   3.00\n Total   £5.00\n",
            "FOXGLOVE GROCERS",
        ),
    ],
)
def test_vendor_is_found_by_its_form_and_place(read: Extract, drawing: str, vendor: str) -> None:
    assert read(drawing).fields["vendor"] == vendor


POSITIONS = """
 Receipt 17
 Apples  0.842 kg
 @ £2.40/kg                  £2.02
 Handrail and 14 spindles    1    240.00    240.00
 Atlas geograficzny    2    10.00    20.00
 Tea Earl Grey 250 g                3.00
 Total                       £265.02
"""


def test_weights_are_not_amounts_and_descriptions_are_whole(read: Extract) -> None:
    items = read(POSITIONS, "receipt").fields["line_items"]
    assert [(item["description"], item["amount"]) for item in items][-3:] == [
        ("Handrail and 14 spindles", 240.0),
        ("Atlas geograficzny", 20.0),
        ("Tea Earl Grey 250 g", 3.0),
    ]
    assert max(item["amount"] for item in items) == 240.0


def test_rates_below_the_total_are_added_up(read: Extract) -> None:
    extraction = read("""
# Hofladen Brunner GmbH

# Rechnung
Rechnungsnummer  2025-118

Honig            7 %      184,07
Kaffee           19 %      84,58
Käse             7 %      130,02
Lieferung        19 %      17,75

                 Gesamtbetrag brutto  457,85 €

Steuersatz       Netto      USt.      Brutto
7 %             314,09     21,99      336,08
19 %            102,33     19,44      121,77
""")
    names = ("total", "tax", "subtotal")
    assert [extraction.fields[name] for name in names] == [457.85, 41.43, 416.42]


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
