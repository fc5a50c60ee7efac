"""Layouts and labels of many countries: what an author whom we don't know may print."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vision_app.extract.extract import Extraction

Extract = Callable[..., Extraction]
FIELDS = ("vendor", "invoice_number", "date", "total", "currency")

DOCUMENTS = {
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
    "number and date in the title line": (
        """
# Malerbetrieb Kunz
Ringstraße 9, 04109 Leipzig

Frau Inge Albers
Am Markt 2
04109 Leipzig

# Rechnung 4711 vom 3.3.2024

Wand streichen        320,00 €
Material              80,00 €
Nettosumme            400,00 €
19 % MwSt.            76,00 €
Zu zahlen             476,00 €
""",
        ("Malerbetrieb Kunz", "4711", "2024-03-03", 476.0, "EUR"),
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
    "Polish invoice": (
        """
# Warsztat Rowerowy Koło
ul. Długa 5, 00-238 Warszawa
NIP 525-000-11-22

Faktura VAT nr FV 18/03/2024
Data wystawienia: 15.03.2024
Termin płatności: 29.03.2024

Przegląd roweru      150,00
Razem netto          150,00
VAT 23%              34,50
Do zapłaty           184,50 zł
""",
        ("Warsztat Rowerowy Koło", "FV 18/03/2024", "2024-03-15", 184.5, "PLN"),
    ),
    "Indonesian receipt": (
        """
# WARUNG MELATI
Jl. Merdeka 17, Bandung

No. Struk 77120
14/02/2024 19:05
Nasi goreng       25.000
Teh manis         8.000
Jumlah            Rp 33.000
Tunai             Rp 50.000
Kembali           Rp 17.000
""",
        ("WARUNG MELATI", "77120", "2024-02-14", 33000.0, "IDR"),
    ),
    "month in words, folio, total of unknown name": (
        """
# Posada El Cardo
Calle Mayor 8
50001 Zaragoza

Folio 3391
5 de febrero de 2024

2 noches             180,00
Desayuno             20,00
Neto                 200,00
IVA 10 %             20,00
Su estancia          220,00 €
""",
        ("Posada El Cardo", "3391", "2024-02-05", 220.0, "EUR"),
    ),
    "vendor only in a footer": (
        """
# RECHNUNG
Rechnungs-Nr.: R-5520
Datum: 11.01.24

Beratung                   500,00
zzgl. 19% USt              95,00
Rechnungsbetrag            595,00 EUR

Zahlbar ohne Abzug.

Kontor Hanse GmbH, Speicherstadt 4, 20457 Hamburg
""",
        ("Kontor Hanse GmbH", "R-5520", "2024-01-11", 595.0, "EUR"),
    ),
    "letters with spaces": (
        """
# L U M E N
Leuchten und Lampen
Gasse 3, 1010 Wien

Beleg-Nr. 99120
02.05.2024 10:15
Lampe            49,00
Summe EUR        49,00
""",
        ("LUMEN", "99120", "2024-05-02", 49.0, "EUR"),
    ),
    "logo over two lines": (
        """
# Green
# Harbour
Surf shop
4 Beach Parade, Torquay VIC 3228
ABN 11 222 333 444

Tax invoice no.   T-771
Date              5 Jun 2024
Board wax         12.00
Amount payable    $12.00
Green Harbour - see you soon
""",
        ("Green Harbour", "T-771", "2024-06-05", 12.0, "AUD"),
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
    "Czech invoice": (
        """
# Tiskárna Vlk s.r.o.
Lidická 20, 602 00 Brno
IČO 12345678

Daňový doklad číslo 2024018
Datum vystavení 08.04.2024
Datum splatnosti 22.04.2024

Letáky             1 000,00
DPH 21 %           210,00
Zbývá doplatit     1 210,00 Kč
""",
        ("Tiskárna Vlk s.r.o.", "2024018", "2024-04-08", 1210.0, "CZK"),
    ),
    "Portuguese receipt": (
        """
# Padaria Estrela
Rua Nova 3, 1100-200 Lisboa

Fatura simplificada FS 24/1188
2024-05-19 08:44
Pão                1,20
Café               0,80
A PAGAR            2,00 €
Numerário          5,00
Troco              3,00
""",
        ("Padaria Estrela", "FS 24/1188", "2024-05-19", 2.0, "EUR"),
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
    "Turkish invoice": (
        """
# Deniz Mobilya Ltd. Şti.
Atatürk Cad. 12, İzmir

Fatura No: DM2024-17
Fatura Tarihi: 09.02.2024

Sandalye           1.000,00
KDV %20            200,00
Ödenecek Tutar     1.200,00 TL
""",
        ("Deniz Mobilya Ltd. Şti.", "DM2024-17", "2024-02-09", 1200.0, "TRY"),
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
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_of_another_author_is_read(read: Extract, name: str) -> None:
    drawing, expected = DOCUMENTS[name]
    fields = read(drawing, "receipt" if "receipt" in name else "invoice").fields
    assert tuple(fields[name] for name in FIELDS) == expected
