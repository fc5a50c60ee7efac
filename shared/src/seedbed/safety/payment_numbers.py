"""Payment cards and bank accounts, found by their checksums.

    [text[a:b] for a, b in find_cards("pay 4111-1111-1111-1111")]

Numbers with a mistyped digit are left out. What a program finds by itself is the argument `more` of
`personal_data.find_pii`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_Span = tuple[int, int]
_CARD = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
ISSUER = re.compile(  # Visa, Mastercard, Amex, Diners, JCB, Discover, UnionPay, RuPay, Troy
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|(?:35|6\d|8[12]|97)\d{14}|6\d{16,18}"
)
"""The numbers that issuers of cards use, without gaps."""


def luhn(number: str) -> bool:
    """Whether the checksum of a payment card is correct; characters other than digits are skipped.

    ISO/IEC 7812-1, annex B.

    >>> luhn("4111 1111 1111 1111"), luhn("4111 1111 1111 1112")
    (True, False)
    """
    digits = [int(c) for c in reversed(number) if c.isdecimal()]
    doubled = (sum(divmod(2 * d, 10)) for d in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def iban(number: str) -> bool:
    """Whether the checksum of a bank account is correct (ISO 13616).

    The country and check digits move to the end, letters become numbers (A = 10 … Z = 35), and the
    whole is 1 modulo 97.

    >>> iban("DE89 3704 0044 0532 0130 00"), iban("DE89 3704 0044 0532 0130 01")
    (True, False)
    """
    plain = number.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def find_ibans(text: str) -> Iterator[_Span]:
    """Where the numbers of bank accounts are."""
    yield from (match.span() for match in _IBAN.finditer(text) if iban(match.group()))


def find_cards(text: str) -> Iterator[_Span]:
    """Where the numbers of payment cards are."""
    yield from (match.span() for match in _CARD.finditer(text) if _is_valid_card(match.group()))


def _is_valid_card(number: str) -> bool:
    digits = "".join(str(int(c)) for c in number if c.isdecimal())
    # A row of one repeated digit passes the checksum and is a placeholder.
    return ISSUER.fullmatch(digits) is not None and len(set(digits)) > 1 and luhn(digits)
