"""Fields of whole documents, drawn in letters: what is read, and with which evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vision_app.extract.extraction import Extraction
from vision_app.extract.rules.extract import extract
from vision_app.extract.schemas import load_schema, parse_schema
from vision_app.ocr.page import Page

Extract = Callable[..., Extraction]

FIELDS = ("vendor", "invoice_number", "date", "total", "currency")

DOCUMENTS = {
    "customer alone, without a letterhead": (
        """
Mrs J Okafor
27 Larch Close
Leeds LS8 4QT

Invoice 2981
14 March 2024

Power flush of system     340.00
Total                    £340.00
""",
        (None, "2981", "2024-03-14", 340.0, "GBP"),
    ),
    "shop above the legal name of its company, number before a date": (
        """
# KONDITOREI ADLER
Adler Backwaren GmbH
Hauptstraße 5
1070 Wien

Honorarnote
Nummer 5855, vom 02.02.2025

Torte                 40,00
Lieferung             8,00
Gesamtbetrag          48,00 EUR
""",
        ("KONDITOREI ADLER", "5855", "2025-02-02", 48.0, "EUR"),
    ),
    "labels above values in a grid": (
        """
# Nordlys Keramikk AS
Havnegata 4
5003 Bergen

Fakturanr.      Fakturadato     Forfallsdato    Kundenr.
20881           04.03.2024      18.03.2024      771

Beskrivelse             Antall    Beløp
Vaser                   4         1 200,00
Frakt                   1         150,00

Netto           MVA 25 %        Å betale
1 350,00        337,50          1 687,50 kr
Org.nr. NO 987 654 321 MVA
""",
        ("Nordlys Keramikk AS", "20881", "2024-03-04", 1687.5, "NOK"),
    ),
    "facture numbered in the title, paid in part": (
        """
# Atelier Verrier
12 rue des Lilas
44000 Nantes

Facture N°12                       Nantes, le 7 mai 2024

Vitrail                            900,00
Pose                               100,00
Total H.T.                         1 000,00
T.V.A. 20 %                        200,00
Total T.T.C.                       1 200,00
Acompte reçu                       -400,00
Solde restant à régler             800,00 €
""",
        ("Atelier Verrier", "12", "2024-05-07", 800.0, "EUR"),
    ),
    "table of taxes with totals": (
        """
# Bottega del Sole S.r.l.
Via Roma 3, 50123 Firenze

Documento n. 118/A      Data documento 12/02/2024

Vino                    100,00
Pane                    20,00

Aliquota      Imponibile      Imposta      Totale
22%           100,00          22,00        122,00
4%            20,00           0,80         20,80
Totali        120,00          22,80        142,80

Totale documento        142,80 €
""",
        ("Bottega del Sole S.r.l.", "118/A", "2024-02-12", 142.8, "EUR"),
    ),
    "value above label": (
        """
# Orbit Labs Pty Ltd
1 Science Rd, Perth WA 6000
ABN 99 888 777 666

Tax invoice
Invoice number
OL-5521
Invoice date
17/05/2024
Amount due
$1,320.00
Due date
31/05/2024

Analysis          $1,200.00
GST               $120.00
""",
        ("Orbit Labs Pty Ltd", "OL-5521", "2024-05-17", 1320.0, "AUD"),
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_layout_is_read(read: Extract, name: str) -> None:
    drawing, expected = DOCUMENTS[name]
    fields = read(drawing).fields
    assert tuple(fields[name] for name in FIELDS) == expected


SWEDISH = """
 Bygg & Snickeri i Lund AB                     FAKTURA
 Storgatan 4                                   Fakturanr      20417
 222 23 Lund                                   Fakturadatum   2024-04-11
                                               Förfallodatum  2024-05-11
 Netto                              5 000,00
 Moms 25%                           1 250,00
 Att betala                         6 250,00 kr
"""


@pytest.mark.parametrize(
    ("drawing", "field"),
    [
        ("Lager Nord AB\n Datum: 2024-03-12\n Skruv M6    100", "total"),
        (
            "Wagner Ltd\n Looked over:  30/11/2024\n Due:  03/01/2025\n Total  5.00",
            "date",
        ),
        (
            "Meyer\n Rechnung\n Kundennummer: 4471   Auftragsnummer: A-17\n Summe  5,00",
            "invoice_number",
        ),
        ("RECEIPT\n 12 High Street\n 2024-05-01\n Total  5.00", "vendor"),
        ("RECEIPT\n# EUR\n 12 High Street\n Total  5.00", "vendor"),
        ("RECEIPT\n# shop@nordhaus.example\n Total  5.00", "vendor"),
        ("Jo's Bar\n Subtotal  5.00\n Cash  10.00\n Change  5.00", "total"),
    ],
)
def test_field_that_is_not_on_the_page_is_null(read: Extract, drawing: str, field: str) -> None:
    extraction = read(f" {drawing}")
    assert extraction.fields[field] is None
    assert field not in extraction.evidence


@pytest.mark.parametrize(
    ("rows", "total"),
    [
        ("Total  1,000.00\n Deposit paid  -200.00\n Balance due  800.00", 800.0),
        ("Total  1,000.00\n Amount paid  1,000.00\n Balance due  0.00", 1000.0),
        ("Gesamtbetrag  -59,90\n inkl. MwSt.  -9,56", -59.9),
        ("Net     Tax    Gross\n 100.00  19.00  119.00", 119.0),
        ("Total Sales (Excluding GST)  106.08\n Total Sales (Inclusive of GST)  112.45", 112.45),
    ],
)
def test_total_is_what_is_due_or_else_the_gross_amount(
    read: Extract, rows: str, total: float
) -> None:
    assert read(f"# Invoice\n {rows}").fields["total"] == total


def test_evidence_has_words_page_and_box_in_the_input_image(page: Callable[..., Page]) -> None:
    upright = page(SWEDISH, 2)
    turned = Page(
        2,
        upright.width,
        upright.height,
        upright.lines,
        180,
        0.0,
        ((-1.0, 0.0, upright.width), (0.0, -1.0, upright.height)),
    )
    found = extract([turned], [], load_schema("invoice")).evidence["total"]
    here = extract([upright], [], load_schema("invoice")).evidence["total"]
    assert (found.text, found.page) == ("6 250,00", 2)
    assert found.box is not None and here.box is not None
    assert found.box[0] == pytest.approx(upright.width - here.box[2])
    assert found.confidence > 0.9


def test_total_on_the_last_page_wins(page: Callable[..., Page]) -> None:
    pages = [page("# Invoice\n Total  10.00\n carried forward", 1), page(" Total  25.00", 2)]
    assert extract(pages, [], load_schema("invoice")).fields["total"] == 25.0


def test_fields_of_an_invoice_are_found(read: Extract) -> None:
    fields = read(SWEDISH).fields
    assert (fields["vendor"], fields["invoice_number"]) == ("Bygg & Snickeri i Lund AB", "20417")
    assert (fields["date"], fields["due_date"]) == ("2024-04-11", "2024-05-11")
    assert (fields["subtotal"], fields["tax"], fields["total"]) == (5000.0, 1250.0, 6250.0)


def test_blank_document_has_only_null_fields() -> None:
    extraction = extract([Page(1, 100, 100, ())], [], load_schema("invoice"))
    assert set(extraction.fields.values()) == {None}
    assert extraction.as_json(["no text"])["warnings"] == ["no text"]


CONTRACT = """
 Tenancy agreement
 Reference code:  TA-77
 Start of the lease:  1 May 2024
 Rent per month   EUR 950,00
 Rooms  3
 Bank account: DE12 6805 0101 0001 2345 67
"""


def test_user_schema_is_filled_by_names_titles_and_labels(
    tmp_path: Path, page: Callable[..., Page]
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "reference_code": {"type": "string"},
            "start": {"type": "string", "format": "date", "title": "Start of the lease"},
            "rent": {"type": "number", "description": "Rent per month"},
            "rooms": {"type": "integer"},
            "iban": {"type": "string", "x-labels": ["Bank account"], "pattern": "[A-Z]{2}[0-9 ]+"},
            "deposit": {"type": ["number", "null"]},
        },
    }
    path = tmp_path / "lease.json"
    path.write_text(json.dumps(schema), encoding="utf-8")
    assert extract([page(CONTRACT)], [], load_schema(path)).fields == {
        "reference_code": "TA-77",
        "start": "2024-05-01",
        "rent": 950.0,
        "rooms": 3,
        "iban": "DE12 6805 0101 0001 2345 67",
        "deposit": None,
    }


def test_date_of_birth_is_read_from_a_field_of_ones_own(page: Callable[..., Page]) -> None:
    data = {"type": "string", "format": "date", "x-labels": ["date of birth"]}
    schema = parse_schema({"properties": {"birth": data}})
    found = extract([page(" Date of birth:  4 July 1949\n")], [], schema)
    assert found.fields == {"birth": "1949-07-04"}
