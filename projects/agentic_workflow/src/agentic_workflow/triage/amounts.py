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

from agentic_workflow.triage.words import clauses, has, matcher, plain, tables

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
    rf"|(?<!\w)(?P<spelled>(?:[a-z]+[\s-]){{0,6}}[a-z]+)\s(?P<word>{_SIGN})(?!\s?\d)"
)
_BARE = re.compile(  # "the 129.90": a sum although no currency is named
    r"(?<![\w.,/:#-])(?P<n1>\d{1,3}(?:[.,' ]\d{3})*[.,]\d{2}|\d+,-)(?![\w.,/:%-]*\d"
    r"|\s?(?:uhr|h\b|%|kg|cm|mm|gb|ghz|zoll|inch|am\b|pm\b))"
)


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
    text = plain(text)
    parts = clauses(text)
    amounts = [a for c in parts for a in _amounts(c, _MONEY)]
    amounts = amounts or [a for c in parts for a in _amounts(c, _BARE)]
    likely = [a for a in amounts if a.score >= (-2 if claim else 1)]
    if not likely:
        return None
    best = max(likely, key=lambda a: a.score)
    value = _computed(text, amounts) or _added(text, likely, best.score)
    return replace(best, value=value) if value else best


def _computed(text: str, amounts: Sequence[Amount]) -> Decimal | None:
    """Half of a price, the difference of two, or the total of the others that the mail names."""
    values = sorted({a.value for a in amounts})
    for amount in amounts:
        if has("half", amount.clause[max(0, amount.start - 45) : amount.start]):
            return amount.value / 2
    if len(values) == 2 and has("difference", text):
        return values[1] - values[0]
    return values[-1] if len(values) > 2 and sum(values) == 2 * values[-1] else None


def _added(text: str, amounts: Sequence[Amount], best: float) -> Decimal | None:
    """Several items asked for together."""
    if not has("both", text) or has("charged twice", text):
        return None
    together = {a.value for a in amounts if a.score == best}
    together = together if len(together) > 1 else {a.value for a in amounts}
    return sum(together, Decimal(0)) if 2 <= len(together) <= 4 else None


def _amounts(clause: str, pattern: re.Pattern[str]) -> list[Amount]:
    amounts = []
    for match in pattern.finditer(clause):
        group = match.groupdict()
        number = group["n1"] or group.get("n2")
        value = parse_number(number) if number else parse_words(group["spelled"])
        if not value:
            continue
        value += Decimal(group.get("cents") or group.get("attached") or 0) / 100
        sign = group.get("before") or group.get("after") or group.get("word") or ""
        code = next((c for c, p in _CURRENCIES.items() if re.fullmatch(p, sign)), None)
        score = _relevance(clause, match.start(), match.end())
        amounts.append(Amount(value, code, clause, score, match.start()))
    return amounts


def _relevance(clause: str, start: int, end: int) -> float:
    """How much the words around a sum ask for it."""
    before, after = clause[max(0, start - 45) : start], clause[end : end + 30]
    score = 2.0 * has("ask back", clause) + has("want", clause) + has("dispute", clause)
    score += 0.5 * has("ask back", before[-40:] + after)
    score -= 6.0 * (has("no claim", before) or bool(matcher("voucher").match(after.strip(" ()"))))
    score -= 6.0 * (clause.endswith("?") and score == 0)  # "Is the lamp for 49 euros in stock?"
    return score - 1.5 * has("sum", before[-25:])


def parse_number(text: str) -> Decimal:
    """A number with the separators of any language.

    >>> [str(parse_number(n)) for n in ("1.150,00", "1,150.00", "1'150", "49,9", "1.150")]
    ['1150.00', '1150.00', '1150', '49.9', '1150']
    """
    text = text.rstrip(",.-")
    decimals = re.search(r"[.,](\d{1,2})$", text)
    whole = text[: decimals.start()] if decimals else text
    return Decimal(re.sub(r"\D", "", whole) + (f".{decimals[1]}" if decimals else ""))


@cache
def _number_words() -> dict[str, int]:
    rows = tables("grammar.toml")["numbers"]
    return {word: int(value) for value, row in rows.items() for word in row}


def parse_words(text: str) -> Decimal | None:
    """The number at the end of some words; None if they do not end with one.

    >>> [str(parse_words(n)) for n in ("about a hundred and fifty", "zweihundertneunzig")]
    ['150', '290']
    """
    values = _number_words() | dict.fromkeys(("und", "and", "et", "y"), 0)
    names = "|".join(sorted(_number_words(), key=len, reverse=True))
    tokens = re.findall(rf"\b(?:and|et|y)\b|und|{names}|[a-z]+", text.replace("e vingt", "e-vingt"))
    while tokens and not all(token in values for token in tokens):
        tokens = tokens[1:]
    if not any(values[token] > 1 for token in tokens):
        return None
    total = group = 0
    for value in (values[token] for token in tokens):
        if value not in (100, 1000):
            group += value
        elif value == 100:
            group = max(group, 1) * 100
        else:
            total, group = total + max(group, 1) * 1000, 0
    return Decimal(total + group)
