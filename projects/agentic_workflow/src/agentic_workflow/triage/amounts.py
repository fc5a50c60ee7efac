"""Find the sum that a mail asks for or disputes.

    find_amount("You charged 89.90 € twice.", claim=True)    # Amount(Decimal("89.90"), "EUR", …)

Of several sums the one closest to the request counts; prices, vouchers and past refunds do not.
Whether the mail claims anything at all is decided by `fields`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

from agentic_workflow.triage.words import clauses, has, matcher, plain

_CURRENCIES = {
    "EUR": r"€|eur(?:os?)?\b|euros\b",
    "USD": r"us\$|\$|usd\b|(?:us )?dollars?\b|dolar(?:es)?\b",
    "GBP": r"£|gbp\b|pounds?\b|quid\b|pfund\b|livres sterling|libras\b",
    "CHF": r"chf\b|sfr\.?|(?:schweizer )?franken\b|francs?(?: suisses)?\b|francos\b|fr\.(?=\s?\d)",
}
_SIGN = "(?:" + "|".join(_CURRENCIES.values()) + ")"
_NUMBER = r"\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d{1,2})?(?!\d)"
_CENTS = (  # "100 Euro und 50 Cent", "12€50", "12 euros 50."
    r"\s?(?:(?:und |and |et |y |con )?(?P<cents>\d{1,2})\s?cent\w*"
    r"|(?P<attached>\d\d)(?=\s*(?:[.,;!?)]|$)))"
)
_MONEY = re.compile(
    rf"(?<![\w.,])(?P<before>{_SIGN})\s?(?P<n1>{_NUMBER})(?:,-|\.-|,--)?"
    rf"|(?<![\w.,/])(?P<n2>{_NUMBER})(?:,-|\.-|,--)?\s?(?P<after>{_SIGN})(?:{_CENTS})?"
    rf"|(?P<spelled>(?<!\w)(?:[a-z]+[\s-]){{0,6}}[a-z]+)\s(?P<word>{_SIGN})"
)
_BARE = re.compile(
    r"(?<![\w.,/:#-])(?P<n>\d{1,3}(?:[.,' ]\d{3})*[.,]\d{2}|\d+,-)(?![\w.,/:%-]*\d"
    r"|\s?(?:uhr|h\b|%|kg|cm|mm|gb|ghz|zoll|inch|am\b|pm\b))"
)
_TIMES = re.compile(r"(?:2|zwei|two|deux|dos)\s?(?:x|mal|times|fois|veces)\s$")


@dataclass(frozen=True)
class Amount:
    """A sum in a mail; `currency` is None if the mail names none."""

    value: Decimal
    currency: str | None
    clause: str
    score: float = 0.0
    start: int = 0


def find_amount(text: str, *, claim: bool) -> Amount | None:
    """The sum asked for; with `claim`, also a sum whose own sentence does not ask for anything.

    >>> find_amount("Mixer 129,90 €, Kabel 20 €: bitte nur das Kabel erstatten, 20 €", claim=True)
    Amount(value=Decimal('20'), ...)
    """
    plain_text = plain(text)
    amounts = [a for clause in clauses(plain_text) for a in _amounts(clause)]
    amounts = amounts or [a for c in clauses(plain_text) for a in _bare(c)]
    amounts = [a for a in amounts if a.value > 0]
    wanted = [a for a in amounts if a.score >= (0 if claim else 1)]
    if not wanted:
        return None
    return (
        _difference(plain_text, amounts)
        or _half(amounts)
        or _total(amounts)
        or _added(plain_text, wanted)
        or _first_best(wanted)
    )


def _first_best(amounts: Sequence[Amount]) -> Amount:
    return max(amounts, key=lambda a: a.score)


def _difference(text: str, amounts: Sequence[Amount]) -> Amount | None:
    """89.90 charged instead of 59.90, "the difference" asked for: 30.00."""
    values = sorted({a.value for a in amounts})
    asked = re.search(r"\b(?:difference|differenz|diferencia|unterschied)\b", text)
    if not asked or len(values) != 2:
        return None
    low, high = values
    return Amount(high - low, amounts[0].currency, "the difference")


def _half(amounts: Sequence[Amount]) -> Amount | None:
    """Half of a price; the mail may name the result too."""
    for amount in amounts:
        if has("half", amount.clause[max(0, amount.start - 45) : amount.start]):
            return replace(amount, value=amount.value / 2)
    return None


def _total(amounts: Sequence[Amount]) -> Amount | None:
    """The sum of the others, where the mail names it."""
    values = list({a.value: a for a in amounts}.values())
    largest = max(values, key=lambda a: a.value)
    added = sum((a.value for a in values), Decimal(0)) == 2 * largest.value
    return largest if added and len(values) > 2 else None


def _added(text: str, amounts: Sequence[Amount]) -> Amount | None:
    """Two items asked for together, unless the mail names their sum."""
    values = list({a.value: a for a in amounts}.values())
    if len(values) < 2:
        return None
    together = [a for a in values if a.score == _first_best(values).score] or values
    if len(together) < 2:
        together = values
    joined = any(has("both", a.clause) for a in together) or has("both", text)
    if not joined or len(together) > 4 or has("charged twice", text):
        return None
    total = sum((a.value for a in together), Decimal(0))
    return Amount(total, together[0].currency, " + ".join(str(a.value) for a in together))


def _amounts(clause: str) -> list[Amount]:
    found = []
    for match in _MONEY.finditer(clause):
        number = match["n1"] or match["n2"]
        sign = match["before"] or match["after"] or match["word"]
        value = parse_number(number) if number else parse_words(match["spelled"])
        if value is None:
            continue
        value += Decimal(match["cents"] or match["attached"] or 0) / 100
        found.append(_scored(clause, value, sign, match.start(), match.end()))
    return found


def _bare(clause: str) -> list[Amount]:
    """Numbers with two decimals, which are sums even without a currency."""
    return [
        _scored(clause, parse_number(match["n"]), None, match.start(), match.end())
        for match in _BARE.finditer(clause)
    ]


def _scored(clause: str, value: Decimal, sign: str | None, start: int, end: int) -> Amount:
    near = clause[max(0, start - 60) : end + 60]
    score = 2.0 * has("ask back", clause) + 1.0 * has("dispute", clause)
    score += 0.5 * has("ask back", near)
    before = clause[max(0, start - 45) : start]
    after = clause[end : end + 30]
    if has("no claim", before) or matcher("no claim").match(after.strip(" ()")):
        score -= 6.0
    score -= 1.5 * has("sum", before[-25:])
    if _TIMES.search(before) and not has("dispute", clause):
        value *= 2
    code = next((c for c, p in _CURRENCIES.items() if sign and re.fullmatch(p, sign)), None)
    return Amount(value, code, clause, score, start)


def parse_number(text: str) -> Decimal:
    """A number with the separators of any language.

    >>> [str(parse_number(n)) for n in ("1.150,00", "1,150.00", "1'150", "49,9", "1.150")]
    ['1150.00', '1150.00', '1150', '49.9', '1150']
    """
    text = text.rstrip(",.-")
    whole, _, decimals = text, "", ""
    if match := re.fullmatch(r"(.*)[.,](\d{1,2})", text):
        whole, decimals = match.groups()
    digits = re.sub(r"\D", "", whole)
    return Decimal(f"{digits}.{decimals}" if decimals else digits)


_WORDS = """
0 zero null
1 one a ein eins eine un une uno una
2 two zwei deux dos
3 three drei trois tres
4 four vier quatre cuatro
5 five funf cinq cinco quin quinientos/500 quinientas/500
6 six sechs seis
7 seven sieben sept siete sete setecientos/700
8 eight acht huit ocho
9 nine neun neuf nueve novecientos/900
10 ten zehn dix diez
11 eleven elf onze once
12 twelve zwolf douze doce
13 thirteen dreizehn treize trece
14 fourteen vierzehn quatorze catorce
15 fifteen funfzehn quinze quince
16 sixteen sechzehn seize dieciseis
17 seventeen siebzehn diecisiete
18 eighteen achtzehn dieciocho
19 nineteen neunzehn diecinueve
20 twenty zwanzig vingt veinte veinti
30 thirty dreissig trente treinta
40 forty vierzig quarante cuarenta
50 fifty funfzig cinquante cincuenta
60 sixty sechzig soixante sesenta
70 seventy siebzig septante setenta
80 eighty achtzig quatre-vingt quatre-vingts ochenta
90 ninety neunzig nonante noventa
100 hundred hundert cent cents cien ciento cientos
1000 thousand tausend mille mil
"""


@cache
def _word_values() -> dict[str, int]:
    values: dict[str, int] = {}
    for line in _WORDS.split("\n"):
        number, *names = line.split() or ["0"]
        for name in names:
            word, _, own = name.partition("/")
            values[word] = int(own or number)
    return values


def parse_words(text: str) -> Decimal | None:
    """The number at the end of some words; None if they do not end with one.

    >>> [str(parse_words(n)) for n in ("about a hundred and fifty", "zweihundertneunzig")]
    ['150', '290']
    """
    values = _word_values()
    names = "|".join(sorted(values, key=len, reverse=True))
    tokens = re.findall(rf"\b(?:and|et|y)\b|und|{names}|[a-z]+", text.replace("e vingt", "e-vingt"))
    number: list[int] = []
    for token in reversed(tokens):
        if token not in values and token not in ("und", "and", "et", "y"):
            break
        number.insert(0, values.get(token, 0))
    if not number or not any(number) or number == [1]:
        return None
    total = group = 0
    for value in number:
        if value >= 100 and value in (100, 1000):
            group = max(group, 1) * value
            if value == 1000:
                total, group = total + group, 0
        else:
            group += value
    return Decimal(total + group)
