r"""Finds orders, the sum and urgent words in a mail, by patterns.

    find_orders("Where is SO-00123?", compile_orders("SO-[0-9]{5}"))    # [("SO-00123", False)]
    find_amount("It was 54,80 €.")    # (Decimal("54.80"), "EUR", 1)

Nothing is computed or guessed: a mail with several sums or orders goes to a person.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from decimal import Decimal
from functools import cache
from pathlib import Path

from agentic_workflow.mail.numbers import number_value
from seedbed.errors import BadInput, ConfigError
from seedbed.safety.patterns import UntrustedPattern, compile_untrusted

ORDERS = "[0-9]{4,9}"
"""The form of an order number unless WORKFLOW_ORDER_PATTERN names another."""
_NAMED = re.compile(
    r"\b(?:order|bestell|auftrag|commande|pedido)[\w.:#°()*-]*(?:\W{1,3}\w{1,6}){0,2}\W{0,3}$"
)
_CURRENCIES = {
    "EUR": r"€|euros?\b|eur\b",
    "USD": r"us\$|\$|usd\b|(?:us )?dollars?\b|dolar(?:es)?\b",
    "GBP": r"£|gbp\b|pounds?\b|pfund\b|livres sterling\b|libras\b",
    "CHF": r"chf\b|sfr\b|(?:schweizer )?franken\b|francs?(?: suisses)?\b|francos\b",
}
_SIGN = "(?:" + "|".join(_CURRENCIES.values()) + ")"
_NUMBER = r"\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,']\d{1,2})?(?!\d)"
_SUM = re.compile(
    rf"(?<![\w.,])(?P<before>{_SIGN})\s?(?P<n1>{_NUMBER})"
    rf"|(?<![\w.,/])(?P<n2>{_NUMBER})(?:,-)?\s?(?P<after>{_SIGN})",
    re.IGNORECASE,
)
# A number with cents, but not a date without a year or a time of day.
_BARE = re.compile(
    r"(?<![\w.,/:#-])(?!(?:0?[1-9]|[12]\d|3[01])\.(?:0[1-9]|1[0-2])\.)"
    r"\d{1,3}(?:[.,' ]\d{3})*[.,]\d\d(?![\w.,/:-]*\d|\s?(?:%|uhr|h|am|pm)\b)"
)
_SIMPLE = str.maketrans("’‘´`–—\u00a0\u202f\t", "''''--   ", "\u00ad\u200b") | {0xDF: "ss"}


def compile_orders(orders: str) -> UntrustedPattern:
    """A pattern for `find_orders`. Raises ConfigError if it is not valid."""
    try:
        # Not inside a longer number or word; the pattern may have groups of its own.
        edge = "[^0-9A-Za-z]"
        return compile_untrusted(f"(?i)(?:^|{edge})({orders})(?:$|{edge})")
    except BadInput as error:
        raise ConfigError(f"WORKFLOW_ORDER_PATTERN: {error}") from None


def find_orders(text: str, pattern: UntrustedPattern) -> list[tuple[str, bool]]:
    """Possible order numbers, as written, and for each whether the word "order" precedes it."""
    rest, orders, seen = _SUM.sub(" ", text), [], ""
    while (match := pattern.search(rest)) and match[1]:
        before, rest = seen + rest[: match.start(1)], rest[match.end(1) :]
        seen = before[-40:] + match[1]
        part = re.search(r"\d[.,/:-]$", before) or re.match(r"[.,/:-]\d", rest)
        if not part:
            orders.append((match[1], bool(_NAMED.search(before.lower()))))
    return orders


def find_amount(text: str) -> tuple[Decimal | None, str | None, int]:
    """The only sum of a text, its currency, and how many different sums there are.

    >>> find_amount("The lamp was 54,80 €."), find_amount("50 EUR, or were it 50 USD?")
    ((Decimal('54.80'), 'EUR', 1), (None, None, 2))
    """
    text, sums = plain(text), set[tuple[Decimal, str | None]]()
    for match in _SUM.finditer(text):
        sign = match["before"] or match["after"]
        code = next(code for code, signs in _CURRENCIES.items() if re.fullmatch(signs, sign))
        sums.add((number_value(match["n1"] or match["n2"]), code))
    if not sums:
        sums = {(number_value(number), None) for number in _BARE.findall(text)}
    value, currency = next(iter(sums)) if len(sums) == 1 else (None, None)
    return value, currency, len(sums)


def find_urgent(text: str) -> str:
    """The first words about danger, a legal threat or the misuse of an account; "" without any.

    >>> find_urgent("Otherwise my lawyer will write to you.")
    'lawyer'
    """
    match = _urgent().search(plain(text))
    return match[0] if match else ""


@cache
def _urgent() -> re.Pattern[str]:
    lists = tomllib.loads(Path(__file__).with_name("urgent.toml").read_text("utf-8")).values()
    return re.compile(rf"(?<!\w)(?:{'|'.join(word for words in lists for word in words)})(?!\w)")


def plain(text: str) -> str:
    """Lower case without accents, so that one spelling of a word is enough.

    >>> plain("Löschen Sie MEIN Konto – l’été")
    "loschen sie mein konto - l'ete"
    """
    letters = unicodedata.normalize("NFKD", text.translate(_SIMPLE).lower())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
