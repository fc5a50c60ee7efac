"""Forty-two invoices and receipts with several rates, deposits and withholding, in six languages.

Each layout is filled with the labels of a language; `documents` yields (id, drawing, schema,
expected fields). They are what the confidences of the rules are calibrated on, with `other_pages`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from string import Template
from typing import Any

LANGUAGES = {
    "en": "Invoice no.|Date|Net|VAT|Total|Deposit paid|Balance due|Withholding tax|of which|on|£",
    "de": "Rechnungsnr.|Datum|Nettobetrag|USt.|Gesamtbetrag|Anzahlung|Zahlbetrag|Steuerabzug"
    "|enthaltene|auf|€",
    "fr": "Facture n°|Date|Total HT|TVA|Total TTC|Acompte versé|Net à payer|Retenue|dont|sur|€",
    "es": "Factura n.º|Fecha|Base imponible|IVA|Total|Anticipo|Total a pagar|IRPF|incluido|sobre|€",
    "it": "Fattura n.|Data|Imponibile|IVA|Totale|Acconto versato|Netto a pagare"
    "|Ritenuta d'acconto|di cui|su|€",
    "nl": "Factuurnr.|Datum|Subtotaal|BTW|Totaal|Aanbetaling|Te betalen|Inhouding|waarvan|over|€",
}
NAMES = "no date net tax total deposit due withheld within on symbol".split()
HEAD = """
# Halvorsen & Mertens
14 Kade, 2011 AB

$no 2025-$number
$date: 2025-03-$day

Oak shelf            1    $first    $first
Linen cloth          2    $half    $second
"""
FOOT = """
BE12 3456 7890 1234
"""
LAYOUTS = {
    "one rate with its base": (
        "$net  $sum $symbol\n21 % $tax $on $sum $symbol  $tax21 $symbol\n$total  $gross21 $symbol",
        {"subtotal": "sum", "tax": "tax21", "total": "gross21"},
    ),
    "two rates": (
        "$net  $sum $symbol\n$tax 10 % $on $first  $low $symbol\n$tax 20 % $on $second  $high"
        " $symbol\n$total  $gross $symbol",
        {"subtotal": "sum", "tax": "taxes", "total": "gross"},
    ),
    "table of rates below the total": (
        "$total  $gross $symbol\n\n%      $net      $tax      $total\n10%    $first    $low    "
        "$firstgross\n20%    $second    $high    $secondgross",
        {"subtotal": "sum or null", "tax": "taxes", "total": "gross"},
    ),
    "till, tax within the total": (
        "$total  $gross $symbol\n$within $tax 10%  $low\n$within $tax 20%  $high",
        {"subtotal": None, "tax": "taxes", "total": "gross"},
    ),
    "deposit": (
        "$net  $sum $symbol\n$tax 21%  $tax21 $symbol\n$total  $gross21 $symbol\n"
        "$deposit  -50.00 $symbol\n$due  $left $symbol",
        {"subtotal": "sum", "tax": "tax21", "total": "left"},
    ),
    "withholding": (
        "$net  $sum $symbol\n$tax 21%  $tax21 $symbol\n$withheld 15%  -$withholding $symbol\n"
        "$due  $rest $symbol",
        {"subtotal": "sum", "tax": "tax21", "total": "rest"},
    ),
    "exempt under an article": (
        "$net  $sum $symbol\n$tax 0.00, art. 293 B, § 19, 2006/112\n$due  $sum $symbol",
        {"subtotal": "sum", "tax": "0.00 or null", "total": "sum"},
    ),
}


def documents() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each layout in each language: its name, its drawing and the expected amounts."""
    for n, (layout, (rows, expected)) in enumerate(LAYOUTS.items()):
        for k, (language, labels) in enumerate(LANGUAGES.items()):
            amounts = _amounts(Decimal(140 + 37 * n + 11 * k), Decimal(60 + 24 * k + 13 * n))
            words = dict(zip(NAMES, labels.split("|"), strict=True))
            printed = {name: f"{value:.2f}" for name, value in amounts.items()}
            words |= printed | {"number": str(410 + 7 * n + k), "day": f"{n + 3 * k + 10:02}"}
            drawing = Template(HEAD + rows + FOOT).substitute(words)
            if language != "en":  # decimal commas
                drawing = re.sub(r"(?<=\d)\.(?=\d\d(?!\d))", ",", drawing)
            yield (
                f"{layout}, {language}",
                drawing,
                {name: _expected(value, printed) for name, value in expected.items()},
            )


def _amounts(first: Decimal, second: Decimal) -> dict[str, Decimal]:
    cent = Decimal("0.01")
    total = first + second
    low, high = (first / 10).quantize(cent), (second / 5).quantize(cent)
    tax, withholding = (total * 21 / 100).quantize(cent), (total * 15 / 100).quantize(cent)
    return {
        "first": first,
        "second": second,
        "half": second / 2,
        "sum": total,
        "low": low,
        "high": high,
        "taxes": low + high,
        "gross": total + low + high,
        "firstgross": first + low,
        "secondgross": second + high,
        "tax21": tax,
        "gross21": total + tax,
        "left": total + tax - 50,
        "withholding": withholding,
        "rest": total + tax - withholding,
    }


def _expected(name: str | None, printed: dict[str, str]) -> tuple[float | None, ...]:
    """The values that are right, of which None is one if it may be missing."""
    names = (name or "null").split(" or ")
    return tuple(None if x == "null" else float(printed.get(x, x)) for x in names)
