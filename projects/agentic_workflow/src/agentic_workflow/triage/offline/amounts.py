"""Find the sum that a mail asks for or disputes.

    find_amount("Please refund the cable, 20 €.", claim=True)    # Amount(Decimal("20"), "EUR", …)

Of several sums the one closest to the request counts; prices, vouchers and past refunds do not.
Nothing is computed: what several sums add up to is left to people (`Amount.others`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from agentic_workflow.mail.numbers import number_value
from agentic_workflow.triage.offline.words import clauses, has, matcher, plain, words

_CURRENCIES = {
    "EUR": r"€|eur(?:os?)?\b|euros\b",
    "USD": r"us\$|\$|usd\b|(?:us )?dollars?\b|dolar(?:es)?\b",
    "GBP": r"£|gbp\b|pounds?\b|quid\b|pfund\b|livres sterling|libras\b",
    "CHF": r"chf\b|sfr\.?|(?:schweizer )?franken\b|francs?(?: suisses)?\b|francos\b",
}
_SIGN = "(?:" + "|".join(_CURRENCIES.values()) + ")"
_NUMBER = r"\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,']\d{1,2})?(?!\d)"
_CENTS = r"\s?(?:(?:und |and |et |y |con )?(?P<cents>\d{1,2})\s?cent\w*)"  # "100 Euro und 50 Cent"
_MONEY = re.compile(
    rf"(?<![\w.,])(?P<before>{_SIGN})\s?(?P<n1>{_NUMBER})(?:,-|\.-|,--)?"
    rf"|(?<![\w.,/])(?P<n2>{_NUMBER})(?:,-|\.-|,--)?\s?(?P<after>{_SIGN})(?:{_CENTS})?"
)
_BARE = re.compile(words("bare sum"))


@dataclass(frozen=True)
class Amount:
    """A sum in a mail; `currency` is None if the mail names none."""

    value: Decimal
    currency: str | None
    clause: str
    score: float = 0.0
    others: bool = False  # whether another sum of the mail may be meant, or several together


def find_amount(text: str, *, claim: bool) -> Amount | None:
    """The sum asked for; with `claim`, also a sum whose own sentence does not ask for anything.

    >>> find_amount("Mixer 129,90 €, Kabel 20 €: bitte das Kabel erstatten", claim=True).value
    Decimal('20')
    """
    parts = clauses(plain(text))
    amounts = [amount for part in parts for amount in _amounts(part, _MONEY) or _asked_bare(part)]
    amounts = amounts or [amount for part in parts for amount in _amounts(part, _BARE)]
    likely = [amount for amount in amounts if amount.score >= (-2 if claim else 1)]
    if not likely:
        return None
    best = max(likely, key=lambda amount: amount.score)
    others = len({amount.value for amount in likely}) > 1 or has("each", best.clause)
    return replace(best, others=others)


def _asked_bare(clause: str) -> list[Amount]:
    """Sums without a currency in a clause that asks for them ("refund me the 33.40")."""
    return _amounts(clause, _BARE) if has("ask back", clause) else []


def _amounts(clause: str, pattern: re.Pattern[str]) -> list[Amount]:
    amounts = []
    for match in pattern.finditer(clause):
        group = match.groupdict()
        value = number_value((group["n1"] or group["n2"]).rstrip(",.-"))
        value += Decimal(group.get("cents") or 0) / 100
        sign = group.get("before") or group.get("after") or ""
        code = next((c for c, p in _CURRENCIES.items() if re.fullmatch(p, sign)), None)
        amounts.append(Amount(value, code, clause, _relevance(clause, match.start(), match.end())))
    return amounts


def _relevance(clause: str, start: int, end: int) -> float:
    """How much the words around a sum ask for it."""
    before, after = clause[max(0, start - 45) : start], clause[end : end + 30]
    score = 2.0 * has("ask back", clause) + has("want", clause) + has("dispute", clause)
    score += 0.5 * has("ask back", before[-40:] + after)
    score -= 6.0 * (has("no claim", before) or bool(matcher("voucher").match(after.strip(" ()"))))
    score -= 6.0 * (clause.endswith("?") and score == 0)  # "Is the lamp for 49 euros in stock?"
    return score - 1.5 * has("sum", before[-25:])
