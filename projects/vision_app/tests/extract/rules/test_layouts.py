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
    "Malay receipt with change": (
        """
# RESTORAN HAJI ALI
45 Lebuh Chulia
10200 Pulau Pinang

No. Resit : CS4401544
Tarikh : 16/01/2026 09:07

Roti canai                5.34
Gula pasir                9.96
JUMLAH                 RM 15.30
Tunai                  RM 20.00
Baki                   RM 4.70
""",
        ("RESTORAN HAJI ALI", "CS4401544", "2026-01-16", 15.3, "MYR"),
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
    "payment slip that repeats the total": (
        """
# Skrivbyrån Lind AB
Storgatan 1
211 34 Malmö

Faktura 8812
Datum 2024-04-02

Översättning         4 000,00
Moms 25 %            1 000,00
Att betala           5 000,00 SEK

Bankgiro 123-4567    OCR 881200042    Belopp 5 000,00
""",
        ("Skrivbyrån Lind AB", "8812", "2024-04-02", 5000.0, "SEK"),
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
    "Dutch parking ticket": (
        """
# Parkeergarage Centrum
Kade 12, 3011 AA Rotterdam

Ticketnr.          004518
Datum/tijd         03-06-2024 14:22
Parkeren           6,50
Totaal te betalen  € 6,50
""",
        ("Parkeergarage Centrum", "004518", "2024-06-03", 6.5, "EUR"),
    ),
    "statement with a balance": (
        """
# Harrow Print Works
7 Mill Lane, Leeds LS1 4AB

Statement no. 2204        Statement date 28 February 2024

Opening balance    120.00
Invoice 881        80.00
Payment received   -120.00
Closing balance    £80.00
""",
        ("Harrow Print Works", "2204", "2024-02-28", 80.0, "GBP"),
    ),
    "Finnish invoice": (
        """
# Puutyö Salo Oy
Rantatie 2, 33100 Tampere

Laskun numero    5510
Laskun päiväys   1.3.2024
Eräpäivä         15.3.2024
Hylly            100,00
ALV 24 %         24,00
Maksettavaa yhteensä   124,00 €
""",
        ("Puutyö Salo Oy", "5510", "2024-03-01", 124.0, "EUR"),
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
    "boxed total top": (
        """
# Sigma Elektro
Industriestr. 4, 8005 Zürich

RECHNUNG          Zu zahlen bis 30.06.2024
Nr. 4401          CHF 540.50
31.05.2024

Arbeit            500.00
MWST 8.1%         40.50
Total inkl. MWST  540.50
""",
        ("Sigma Elektro", "4401", "2024-05-31", 540.5, "CHF"),
    ),
    "long vendor label": (
        """
INVOICE
Seller: Tamarind Textiles Pvt Ltd
Buyer: Hill & Co
Invoice No.: TT/24/118
Dated: 12-Jan-2024
Cloth            1,20,000.00
IGST 5%          6,000.00
Invoice Value    Rs 1,26,000.00
""",
        ("Tamarind Textiles Pvt Ltd", "TT/24/118", "2024-01-12", 126000.0, "INR"),
    ),
    "bank details first": (
        """
# Studio Nord
Grafik & Web

An
Bäckerei Ohm
Hauptstr. 4
50667 Köln

Rechnungsnummer   2024/09
Rechnungsdatum    02.04.2024
Leistungszeitraum März 2024
Kundennummer      1002

Pos  Leistung      Menge  Einzelpreis  Gesamt
1    Logo          1      400,00       400,00
2    Flyer         2      100,00       200,00
                         Netto         600,00
                         USt. 19%      114,00
                         Gesamt        714,00 €
Studio Nord · Inh. P. Kramer · IBAN DE12 3456 7890 1234 5678 00
""",
        ("Studio Nord", "2024/09", "2024-04-02", 714.0, "EUR"),
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_of_another_author_is_read(read: Extract, name: str) -> None:
    drawing, expected = DOCUMENTS[name]
    fields = read(drawing, "receipt" if "receipt" in name else "invoice").fields
    assert tuple(fields[name] for name in FIELDS) == expected
