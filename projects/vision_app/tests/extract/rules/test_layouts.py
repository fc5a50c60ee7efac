"""Layouts and labels of many countries: what an author whom we don't know may print."""

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
    "credit note with the date of the invoice it corrects": (
        """
# Möbelhof Ahlers
Bremer Str. 210, 26135 Oldenburg

Rechnungskorrektur RK96603
zu Ihrer Rechnung Nr. RE156500 vom 27.07.2025
Korrekturdatum: 20.08.2025

Rückgabe Stuhl        -261,80 €
Korrekturbetrag gesamt        -261,80 €
""",
        ("Möbelhof Ahlers", "RK96603", "2025-08-20", -261.8, "EUR"),
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
    "no number receipt": (
        """
# BISTRO OKO
Vodičkova 3, Praha
DIČ CZ27082440

12.04.2024  13:20    Stůl 7
Polévka          65,00
Guláš            189,00
K úhradě         254,00 Kč
Hotově           300,00
Vráceno          46,00
""",
        ("BISTRO OKO", None, "2024-04-12", 254.0, "CZK"),
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
    "no vendor receipt": (
        """
# KASSENBON
Bon-Nr. 7721   Kasse 3
03.04.2024 09:12
Brot             3,20
Milch            1,10
SUMME EUR        4,30
BAR              5,00
Rückgeld         0,70
Vielen Dank für Ihren Einkauf
""",
        (None, "7721", "2024-04-03", 4.3, "EUR"),
    ),
    "no total": (
        """
# Kestrel Surveys Ltd
9 Dock Rd, Hull HU1 2AB
Invoice no. KS-81
Date 3 May 2024
Site visit, two hours
Report to follow
Please see the attached sheet for the charges.
VAT no. GB 123 4567 89
""",
        ("Kestrel Surveys Ltd", "KS-81", "2024-05-03", None, None),
    ),
    "statement 2col": (
        """
INVOICE                                    # Alder & Finch
                                           Interior design
Bill to                                    5 Orchard St, Bath BA1 4XY
Mr T. Vale
2 Hill Rd, Bath                            Invoice          AF-221
                                           Issued           11 Mar 2024
                                           Due              10 Apr 2024

Description             Qty    Price     Amount
Curtains                2      150.00    300.00
Rug                     1      80.00     80.00

                               Subtotal  380.00
                               VAT 20%   76.00
                               Balance due   £456.00
""",
        ("Alder & Finch", "AF-221", "2024-03-11", 456.0, "GBP"),
    ),
    "hotel receipt": (
        """
# Hotel Krone
Seestrasse 2, 6004 Luzern
CHE-123.456.789 MWST

Gast: Frau M. Keller    Zimmer 12
Anreise 02.03.2024   Abreise 04.03.2024
Rechnungsnr. 20240388     Luzern, 04.03.2024

Übernachtung        280.00
Frühstück           40.00
Kurtaxe             7.20
Total CHF           327.20
Bezahlt mit Visa    327.20
""",
        ("Hotel Krone", "20240388", "2024-03-04", 327.2, "CHF"),
    ),
    "jp": (
        """
# Sakura Stationery K.K.
2-4-1 Ginza, Chuo-ku, Tokyo

Invoice No. JP-0091
Invoice date 2024/04/05
Paper           3,000
Ink             2,000
Consumption tax 500
Total           ¥5,500
""",
        ("Sakura Stationery K.K.", "JP-0091", "2024-04-05", 5500.0, "JPY"),
    ),
    "fr ticket receipt": (
        """
# Cinéma Rex
3 place Foch 06000 Nice
Ticket 88213
Le 14/05/2024 à 20:30
2 Plein tarif       21,00
1 Réduit            7,50
Montant             28,50 EUR
CB                  28,50
""",
        ("Cinéma Rex", "88213", "2024-05-14", 28.5, "EUR"),
    ),
    "usa statement": (
        """
# BLUE MESA DENTAL
455 Desert Ave, Tucson, AZ 85701
(520) 555-0199

Account no. 55120          Statement date: 04/02/2024
Patient: L. Ortiz          Invoice # 90331

Cleaning                   $120.00
X-ray                      $60.00
Insurance paid             -$100.00
Patient responsibility     $80.00
Pay by 05/02/2024
""",
        ("BLUE MESA DENTAL", "90331", "2024-04-02", 80.0, "USD"),
    ),
    "brazil": (
        """
# Oficina do Zé Ltda
Rua das Flores 99, Recife - PE
CNPJ 12.345.678/0001-90

Recibo Nº 0045
Data: 22/04/2024
Troca de óleo     150,00
Filtro            50,00
Valor total       R$ 200,00
""",
        ("Oficina do Zé Ltda", "0045", "2024-04-22", 200.0, "BRL"),
    ),
    "hu": (
        """
# Fonal Kft.
Petőfi u. 8, 6720 Szeged
Adószám: 12345678-2-06

Számla sorszáma: FO-2024/77
Kelt: 2024.03.18.
Fizetési határidő: 2024.03.26.
Gombolyag       4 000
Áfa 27%         1 080
Fizetendő       5 080 Ft
""",
        ("Fonal Kft.", "FO-2024/77", "2024-03-18", 5080.0, "HUF"),
    ),
    "ro": (
        """
# Atelier Pânză SRL
Str. Lungă 4, Brașov
CUI RO1234567

Factura seria AP nr. 118
Data: 05.03.2024
Perdele          800,00
TVA 19%          152,00
Total de plată   952,00 lei
""",
        ("Atelier Pânză SRL", "118", "2024-03-05", 952.0, "RON"),
    ),
    "india": (
        """
# Meera Sweets
14 MG Road, Pune 411001
GSTIN 27ABCDE1234F1Z5

Bill No: 2231      Date: 15-08-24
Ladoo            240.00
Barfi            360.00
CGST 2.5%        15.00
SGST 2.5%        15.00
Net Amount       Rs. 630.00
""",
        ("Meera Sweets", "2231", "2024-08-15", 630.0, "INR"),
    ),
    "credit": (
        """
# Maison Duval SAS
8 quai Sud, 69002 Lyon
Avoir n° AV-19 du 12 juin 2024
Sur facture F-880 du 2 mai 2024
Retour chaise      -120,00
TVA 20%            -24,00
Total TTC          -144,00 €
""",
        ("Maison Duval SAS", "AV-19", "2024-06-12", -144.0, "EUR"),
    ),
    "ref": (
        """
# Kanzlei Roth
Domplatz 1, 99084 Erfurt
Unser Zeichen: 88/24
Erfurt, den 9. April 2024
# Kostennote Nr. 2024-31
Gebühr             300,00
Auslagen           20,00
Zwischensumme      320,00
MwSt. 19 %         60,80
Endbetrag          380,80 €
""",
        ("Kanzlei Roth", "2024-31", "2024-04-09", 380.8, "EUR"),
    ),
    "taxi receipt": (
        """
# City Cab
Receipt
Cab no. 4412   Driver 88
Date 06/11/24   Time 22:10
Fare             18.40
Extras           2.00
Tip              3.60
Total            $24.00
""",
        ("City Cab", None, "2024-06-11", 24.0, "USD"),
    ),
    "sv receipt": (
        """
# ICA Hörnet
Torget 1, 722 11 Västerås
Org.nr 556677-8899
Kvitto 10293    2024-05-02 17:45
Mjölk            15,90
Bröd             32,00
TOTALT           47,90 SEK
Varav moms 12%   5,13
Kort             47,90
""",
        ("ICA Hörnet", "10293", "2024-05-02", 47.9, "SEK"),
    ),
    "es autonomo": (
        """
# Clara Ferrer
Fotografía
Gran Vía 12, 28013 Madrid
NIF 12345678Z

Cliente: Bodegas Luna S.L.
CIF B12345678
Nº factura        2024/031
Fecha             14-03-2024
Reportaje         600,00
Base imponible    600,00
IVA 21%           126,00
IRPF -15%         -90,00
Líquido a percibir   636,00 €
""",
        ("Clara Ferrer", "2024/031", "2024-03-14", 636.0, "EUR"),
    ),
    "it ricevuta receipt": (
        """
# Osteria al Ponte
Calle Lunga 8, 30123 Venezia
P.IVA 01234567890
DOCUMENTO COMMERCIALE
di vendita o prestazione
Coperto x2         4,00
Spaghetti          14,00
TOTALE COMPLESSIVO 18,00
di cui IVA         1,64
Pagamento contante 20,00
Resto              2,00
21-04-2024 13:05
DOCUMENTO N. 0412-0033
""",
        ("Osteria al Ponte", "0412-0033", "2024-04-21", 18.0, None),
    ),
    "ca": (
        """
# Prairie Dog Movers Inc.
88 Main St, Winnipeg MB R3C 1A3
(204) 555-0144

INVOICE # 3310
Date: March 8, 2024
Moving           $400.00
GST 5%           $20.00
PST 7%           $28.00
Total due        $448.00
""",
        ("Prairie Dog Movers Inc.", "3310", "2024-03-08", 448.0, "CAD"),
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
    "du receipt": (
        """
# 't Koffiehuis
Markt 3, 9000 Gent
BTW BE 0123.456.789
Kasticket 55021
17/03/24 10:02
2 Koffie            5,60
1 Taart             4,20
TOTAAL              9,80
Bancontact          9,80
""",
        ("t Koffiehuis", "55021", "2024-03-17", 9.8, None),
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
