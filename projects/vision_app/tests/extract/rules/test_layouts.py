"""Layouts of documents: where labels, values and the vendor may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vision_app.extract.extraction import Extraction

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
    "receipt with the amount under TOTAL": (
        """
# CORNER DELI
18 Canal St
New York, NY 10013

Ticket 0042          03/14/24 12:31
Bagel                3.50
Coffee               2.75
TOTAL
$6.25
VISA                 6.25
""",
        ("CORNER DELI", "0042", "2024-03-14", 6.25, "USD"),
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
    "no date": (
        """
# Lund Cykler ApS
Algade 4, 4000 Roskilde
CVR 12 34 56 78

Faktura nr. 3381
Kundenr. 88

Service            400,00
Moms 25 %          100,00
I alt              500,00 DKK
""",
        ("Lund Cykler ApS", "3381", None, 500.0, "DKK"),
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
def test_document_of_another_author_is_read(read: Extract, name: str) -> None:
    drawing, expected = DOCUMENTS[name]
    fields = read(drawing, "receipt" if "receipt" in name else "invoice").fields
    assert tuple(fields[name] for name in FIELDS) == expected
