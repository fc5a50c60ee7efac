"""Masks payment cards, bank accounts, passports and secrets, before anything stores a text.

    mask("Refund to DE89 3704 0044 0532 0130 00")   # "Refund to [IBAN]"

Stricter than `seedbed.safety.guardrails`, which wants a valid checksum: people mistype numbers, and
with one wrong digit a number is still private. So the shape decides too. Order, tracking numbers,
dates and amounts survive; names, addresses and phone numbers are not masked.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise

from agentic_workflow.mail.phrases import PHRASES, pattern
from seedbed.safety.guardrails import iban, luhn, redact

# What people, mail programs and line breaks put between digits: white space, dashes, dots, quote
# marks and invisible characters.
_INVISIBLE = r"\s>\u00ad\u200b-\u200f\u2060\ufeff"
_GAP = rf"[{_INVISIBLE}.,:/|*()_\u00b7\u2010-\u2015\u2022\u2043\u2212\ufe58\ufe63\uff0d-]"
_RUN = re.compile(rf"\d(?:{_GAP}{{0,8}}\d){{11,}}")
_ISSUER = re.compile(  # Visa, Mastercard, Amex, Diners, JCB, Discover, UnionPay, RuPay, Troy
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|(?:35|6\d|8[12]|97)\d{14}|6\d{16,18}"
)
_MAESTRO = re.compile(r"(?:5[06-9]|6)\d{11,18}")
_SHAPE = re.compile(r"4444[1-3]?\d|46[45]3|1{13,19}\d")  # lengths of a card's groups, first digit
_PARCEL = re.compile(r"44444(?:00\d{18})|444442(?:9[1-5]\d{20})")  # DHL's and USPS's print
_DATE = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d([-./])\d\d?\1\d\d?|\d\d?([-./])\d\d?\2(?:19|20)\d\d)(?!\d)"
)
_SUM = re.compile(  # behind a card number, not part of it
    rf"(?=.?[\s:(]){_GAP}{{1,4}}(?:\d{{1,3}}(?:[.,' ]\d{{3}})+|\d{{1,5}})"
    r"(?:[.,]\d\d(?!\d)|\s?(?:€|eur))",
    re.IGNORECASE,
)
_UPS = re.compile(r"(?<![^\W_])1Z[0-9A-Z]{0,8}$", re.IGNORECASE)
_LENGTHS = {entry[:2]: int(entry[2:]) for entry in PHRASES["masking"]["iban"].split()}
_COUNTRY = re.compile(
    rf"(?<![^\W_])(?:iban)?([^\W\d_]{_GAP}?[^\W\d_])({_GAP}{{0,2}})\d{_GAP}?\d", re.IGNORECASE
)
_WRONG_LENGTH = re.compile(rf"(?:{_GAP}{{0,8}}\d{{4}}){{3,7}}(?:{_GAP}{{0,2}}\d{{1,3}})?(?![^\W_])")
_Span = tuple[int, int]


def mask(text: str) -> str:
    """The text with `[CARD]`, `[IBAN]`, `[PASSPORT]` and `[SECRET]` for what is private.

    >>> mask("Order 10234, card 4111-1111-1111-1112, passport no. C01X00T47")
    'Order 10234, card [CARD], passport no. [PASSPORT]'
    """
    text = _replace(text, _find_ibans(text), "[IBAN]")
    text = _replace(text, _find_cards(text), "[CARD]")
    return redact(text, ("secret", "passport"))


def _replace(text: str, spans: Iterable[_Span], label: str) -> str:
    parts, position = [], 0
    for start, end in spans:
        if start >= position:
            parts += [text[position:start], label]
            position = end
    return "".join(parts) + text[position:]


def _find_ibans(text: str) -> Iterator[_Span]:
    for match in _COUNTRY.finditer(text):
        country = unicodedata.normalize("NFKC", re.sub(_GAP, "", match[1])).upper()
        if country in _LENGTHS:
            rest = rf"(?:{_GAP}{{0,8}}[^\W_]){{{_LENGTHS[country] - 4}}}"
            number = re.compile(rest).match(text, match.end())
            if number is None or not _is_iban(text, match.start(1), number.end()):
                number = None if match[2] else _WRONG_LENGTH.match(text, match.end())
            if number:
                yield match.start(1), number.end()


def _is_iban(text: str, start: int, end: int) -> bool:
    """Whether a text with the country and length of an IBAN is one, by checksum or by shape."""
    groups = [group for group in re.split(f"{_GAP}+", text[start:end]) if group]
    plain = unicodedata.normalize("NFKC", "".join(groups))
    digits = sum(c.isdecimal() for c in plain[4:]) / (len(plain) - 4)
    if plain.isascii() and iban(plain.upper()) and (digits >= 0.5 or len(groups) == 1):
        return True
    # "is 10234 and …" starts with a country, too: without a checksum, the shape has to be strict.
    one_case = plain in (plain.upper(), plain.lower())
    if text[end : end + 1].isalnum() or len(groups[0]) < 4 or not one_case:
        return False
    fours = all(len(group) == 4 for group in groups[:-1]) and len(groups[-1]) <= 4
    return len(groups) == 1 or (fours and digits >= 0.3) or (digits >= 0.6 and plain.isupper())


def _find_cards(text: str) -> Iterator[_Span]:
    for run in _RUN.finditer(text):
        groups = [group.span() for group in re.compile(r"\d+").finditer(text, *run.span())]
        if _PARCEL.fullmatch(_lengths(groups) + _digits(run[0])):
            continue
        # What follows 1Z belongs to a tracking number of UPS.
        first = 1 if _UPS.search(text[max(0, run.start() - 10) : run.start()]) else 0
        while first < len(groups):
            start, last = groups[first][0], first
            # The longest window of groups that is a card, unless a sum of money follows it.
            for end in range(first + 1, min(first + 19, len(groups)) + 1):
                if groups[end - 1][1] - start <= 180 and _is_card(text, groups[first:end]):
                    last = end
                    if _SUM.match(text, groups[end - 1][1]):
                        break
            if last > first:
                yield start, groups[last - 1][1]
            first = max(last, first + 1)


def _lengths(groups: list[_Span]) -> str:
    return "".join(str(end - start) for start, end in groups)


def _digits(text: str) -> str:
    return "".join(str(int(c)) for c in text if c.isdecimal())


def _is_card(text: str, groups: list[_Span]) -> bool:
    start, end = groups[0][0], groups[-1][1]
    number = _digits(text[start:end])
    if not 12 <= len(number) <= 19:
        return False
    valid, issuer = luhn(number), bool(_ISSUER.fullmatch(number))
    before = text[max(0, start - 30) : start]
    card = bool(pattern("masking", "card").search(before))
    if len(groups) == 1:
        likely = card or (issuer and len(number) > 13) or (valid and _MAESTRO.fullmatch(number))
        other = pattern("masking", "other").search(before)
        return (issuer and valid) or bool(likely and not other)
    gaps = [re.sub(f"[{_INVISIBLE}]", "", text[a:b]) for (_, a), (b, _) in pairwise(groups)]
    # One kind of gap all along, except where a line ends: else these are several numbers.
    uniform = len({*gaps, ""}) <= 2 and gaps.count("") in (0, 1, len(gaps)) and "," not in gaps
    known = issuer or (len(number) >= 16 and _MAESTRO.fullmatch(number))
    if (valid or card) and uniform and known and not _DATE.search(text[start:end]):
        return True
    years = all(text[a : a + 2] in ("19", "20") for a, _ in groups)
    return bool(_SHAPE.fullmatch(_lengths(groups) + number[0])) and not years
