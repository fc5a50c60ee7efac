"""Payment cards and bank accounts in a mail, in spite of a wrong checksum.

    [finding.kind for finding in find_numbers("pay 4111-1111-1111-1112")]    # ["card"]

People mistype numbers, and with one wrong digit a number is still private: its shape decides too.
Order and tracking numbers, dates and amounts are left out by their shape, or by a word before them.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from seedbed.safety.personal_data import ISSUER, ORDER_WORDS, iban, luhn
from seedbed.safety.secrets import Finding

_Span = tuple[int, int]
# What people, mail programs and line breaks put between digits: white space, dashes, dots, quote
# marks and invisible characters.
_INVISIBLE = r"\s>\u00ad\u200b-\u200f\u2060\ufeff"
_GAP = rf"[{_INVISIBLE}.,:/|*()_\u00b7\u2010-\u2015\u2022\u2043\u2212\ufe58\ufe63\uff0d-]"
_RUN = re.compile(rf"\d(?:{_GAP}{{0,8}}\d){{11,}}")
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
# Length of an IBAN by country: the registry of ISO 13616 in 2024, and countries that use the form.
IBAN_LENGTHS = {
    entry[:2]: int(entry[2:])
    for entry in """
    AD24 AE23 AL28 AO25 AT20 AZ28 BA20 BE16 BF28 BG22 BH22 BI27 BJ28 BR29 BY28 CF27 CG27 CH21
    CI28 CM27 CR22 CV25 CY28 CZ24 DE22 DJ27 DK18 DO28 DZ26 EE20 EG29 ES24 FI18 FK18 FO18 FR27
    GA27 GB22 GE22 GI23 GL18 GQ27 GR27 GT28 GW25 HN28 HR21 HU28 IE22 IL23 IQ23 IR26 IS26 IT27
    JO30 KM27 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MA28 MC27 MD24 ME22 MG27 MK19 ML28
    MN20 MR27 MT31 MU30 MZ25 NE28 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33
    SA24 SC31 SD18 SE24 SI19 SK24 SM27 SN28 SO23 ST25 SV28 TD27 TG28 TL23 TN24 TR26 UA29 VA22
    VG24 XK20 YE30
    """.split()
}
_COUNTRY = re.compile(
    rf"(?<![^\W_])(?:iban)?([^\W\d_]{_GAP}?[^\W\d_])({_GAP}{{0,2}})\d{_GAP}?\d", re.IGNORECASE
)
_WRONG_LENGTH = re.compile(rf"(?:{_GAP}{{0,8}}\d{{4}}){{3,7}}(?:{_GAP}{{0,2}}\d{{1,3}})?(?![^\W_])")
# Words before a number, in English, German, French and Spanish.
_CARD_WORDS = re.compile(
    r"card\b|karte|carte\b|tarjeta|visa\b|master|maestro|amex|kredit", re.IGNORECASE
)
_PARCEL_WORDS = re.compile(
    r"parcel|shipment|colis|env[ií]o|\b(?:dhl|ups|dpd|fedex|usps)\b|" + ORDER_WORDS, re.IGNORECASE
)


def find_numbers(text: str) -> Iterator[Finding]:
    """Cards and bank accounts, as findings of the kinds `card` and `iban`.

    >>> [finding.kind for finding in find_numbers("card 4111-1111-1111-1112, order 1234567890")]
    ['card']
    """
    for kind, find in (("iban", _find_ibans), ("card", _find_cards)):
        yield from (Finding(kind, f"looks like {kind}", *span) for span in find(text))


def _find_ibans(text: str) -> Iterator[_Span]:
    for match in _COUNTRY.finditer(text):
        country = unicodedata.normalize("NFKC", re.sub(_GAP, "", match[1])).upper()
        if country in IBAN_LENGTHS:
            rest = rf"(?:{_GAP}{{0,8}}[^\W_]){{{IBAN_LENGTHS[country] - 4}}}"
            number = re.compile(rest).match(text, match.end())
            if number is None or not _looks_like_iban(text, match.start(1), number.end()):
                number = None if match[2] else _WRONG_LENGTH.match(text, match.end())
            if number:
                yield match.start(1), number.end()


def _looks_like_iban(text: str, start: int, end: int) -> bool:
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
                if groups[end - 1][1] - start <= 180 and _looks_like_card(text, groups[first:end]):
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


def _looks_like_card(text: str, groups: list[_Span]) -> bool:
    start, end = groups[0][0], groups[-1][1]
    number = _digits(text[start:end])
    if not 12 <= len(number) <= 19:
        return False
    valid, issuer = luhn(number), bool(ISSUER.fullmatch(number))
    before = text[max(0, start - 30) : start]
    card = bool(_CARD_WORDS.search(before))
    if len(groups) == 1:
        likely = card or (issuer and len(number) > 13) or (valid and _MAESTRO.fullmatch(number))
        other = _PARCEL_WORDS.search(before)
        return (issuer and valid) or bool(likely and not other)
    gaps = [re.sub(f"[{_INVISIBLE}]", "", text[a:b]) for (_, a), (b, _) in pairwise(groups)]
    # One kind of gap all along, except where a line ends: else these are several numbers.
    uniform = len({*gaps, ""}) <= 2 and gaps.count("") in (0, 1, len(gaps)) and "," not in gaps
    in_range = issuer or (len(number) >= 16 and _MAESTRO.fullmatch(number))
    if (valid or card) and uniform and in_range and not _DATE.search(text[start:end]):
        return True
    years = all(text[a : a + 2] in ("19", "20") for a, _ in groups)
    return bool(_SHAPE.fullmatch(_lengths(groups) + number[0])) and not years
