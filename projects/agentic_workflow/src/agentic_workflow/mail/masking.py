"""Masks payment cards, accounts, identity documents, dates of birth and secrets in a mail.

    mask("Refund to DE89 3704 0044 0532 0130 00")   # "Refund to [IBAN]"

Cards and accounts are masked by their shape, because people mistype numbers: with one wrong digit a
number is still private. Some parcel numbers look alike and are masked too. Order numbers, dates
and amounts survive. Names, addresses and phone numbers are not masked, as the answer needs them.
Store, search, page, logs and models get the masked text; the mailbox keeps the mail as it came.
"""

import re
from collections.abc import Iterator

from seedbed.safety.personal_data import redact
from seedbed.safety.secrets import Finding

KINDS = ("iban", "card", "account", "passport", "tax", "password", "birth_date", "secret")
# What people, mail programs and line breaks put between digits: white space, dashes, dots, quote
# marks and invisible characters.
_BETWEEN = r"[\s>\u00ad\u200b-\u200f\u2060\ufeff.:/|*()_\u00b7\u2010-\u2015\u2022\u2212-]"
_GAP = _BETWEEN + "{0,8}"
# 13 to 19 digits: in fours, as on American Express and Diners, one by one, or without a gap.
_CARD = re.compile(
    r"(?<!\d)(?<![\da-f]{2})"  # not in the middle of a hash
    rf"(?:\d{{4}}(?:{_GAP}\d{{4}}){{3}}(?:[ -]?\d{{1,3}}(?![.,]?\d))?"
    rf"|3\d{{3}}(?:{_GAP}\d{{4}}){{2}}{_GAP}\d{{2,3}}|\d{{4}}{_GAP}\d{{6}}{_GAP}\d{{4,5}}"
    rf"|\d(?:{_BETWEEN}{{1,8}}\d){{12,18}}"
    r"|\d{13,19})(?![\da-f]{2})(?!\d)"
)
# Countries with IBANs: the registry of ISO 13616 in 2024, and others that use the form.
_COUNTRY = (
    "(?:A[DELOTZ]|B[AEFGHIJRY]|C[GHIMRVYZ]|D[EJKOZ]|E[EGS]|F[IKOR]|G[ABEILQRTW]|H[NRU]|I[ELQRST]|JO"
    "|K[MWZ]|L[BCITUVY]|M[ACDEGKLNRTUZ]|N[EILO]|OM|P[KLST]|QA|R[OSU]|S[ACDEIKMNOTV]|T[DGLNR]|UA"
    "|V[AG]|XK|YE)"
)
_IBAN = re.compile(
    rf"(?<![^\W_])(?:{_COUNTRY} ?\d\d(?:{_GAP}[A-Z\d]){{11,30}}"
    rf"|(?i:{_COUNTRY}\d\d(?:[a-z]{{0,4}}\d{{10,26}}|(?:{_GAP}\d){{11,30}})))(?![^\W_])"
)


def mask(text: str) -> str:
    """The text with `[CARD]`, `[IBAN]`, `[PASSPORT]` … for what is private.

    >>> mask("Order 10234, card 4111-1111-1111-1112, passport no. C01X00T47")
    'Order 10234, card [CARD], passport no. [PASSPORT]'
    """
    return redact(text, KINDS, more=_find_numbers(text))


def _find_numbers(text: str) -> Iterator[Finding]:
    for match in _IBAN.finditer(text):
        # Words in capitals are not an account: half of it has to be digits.
        if 2 * sum(map(str.isdecimal, match[0])) >= sum(map(str.isalnum, match[0])):
            yield Finding("iban", "looks like iban", *match.span())
    for match in _CARD.finditer(text):
        yield Finding("card", "looks like card", *match.span())
