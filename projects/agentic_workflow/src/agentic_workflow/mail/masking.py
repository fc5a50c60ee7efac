"""Masking of payment cards, bank accounts, passports and secrets, before anything stores a text.

    mask("Refund to DE89 3704 0044 0532 0130 00")   # "Refund to [IBAN]"

Stricter than `seedbed.guardrails`, which wants a valid checksum: people mistype numbers, and a
number with one wrong digit is still private. So the shape decides too. Order and tracking numbers,
dates and amounts survive. Names, addresses and phone numbers are not masked.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from seedbed.guardrails import iban, luhn, redact

# What people, mail programs and line breaks put between digits: white space, dashes, dots, quote
# marks and invisible characters.
_GAP = r"[\s.,/|>*_\u00ad\u00b7\u2010-\u2015\u2022\u2043\u200b-\u200f\u2060\u2212\ufe58\ufe63\ufeff\uff0d-]"
_RUN = re.compile(rf"\d(?:{_GAP}{{0,8}}\d){{11,}}")
_ISSUER = re.compile(  # Visa, Mastercard, Amex, Diners, JCB, Discover, UnionPay, Mir
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|(?:35|6\d|8[12]|97)\d{14}|6\d{16,18}"
)
_MAESTRO = re.compile(r"(?:5[06-9]|6)\d{11,18}")
_SHAPE = re.compile(r"4444|465|464|1{13,19}")  # lengths of the groups
_CARD_WORD = re.compile(r"card\b|karte|carte\b|tarjeta|visa\b|master|maestro|amex|kredit", re.I)
_PARCEL_WORD = re.compile(
    r"track|parcel|shipment|sendung|paket|suivi|colis|seguimiento|env[ií]o|dhl|ups|dpd|fedex|usps"
    r"|order|bestell|commande|pedido|invoice|rechnung|factur",
    re.I,
)
# Length of an IBAN by country (ISO 13616 registry of 2024, and countries that use the format).
_LENGTHS = dict(
    (entry[:2], int(entry[2:]))
    for entry in (
        "AD24 AE23 AL28 AO25 AT20 AZ28 BA20 BE16 BF28 BG22 BH22 BI27 BJ28 BR29 BY28 CF27 CG27 CH21 "
        "CI28 CM27 CR22 CV25 CY28 CZ24 DE22 DJ27 DK18 DO28 DZ26 EE20 EG29 ES24 FI18 FK18 FO18 FR27 "
        "GA27 GB22 GE22 GI23 GL18 GQ27 GR27 GT28 GW25 HN28 HR21 HU28 IE22 IL23 IQ23 IR26 IS26 IT27 "
        "JO30 KM27 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MA28 MC27 MD24 ME22 MG27 MK19 ML28 "
        "MN20 MR27 MT31 MU30 MZ25 NE28 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 "
        "SA24 SC31 SD18 SE24 SI19 SK24 SM27 SN28 SO23 ST25 SV28 TD27 TG28 TL23 TN24 TR26 UA29 VA22 "
        "VG24 XK20 YE30"
    ).split()
)
_COUNTRY = re.compile(
    rf"(?<![^\W_])(?:iban)?([^\W\d_]{_GAP}?[^\W\d_])({_GAP}{{0,2}})\d{_GAP}?\d", re.I
)
_REST = rf"(?:{_GAP}{{0,8}}[^\W_])"
_ACCOUNTS = {n: re.compile(f"{_REST}{{{n - 4}}}") for n in set(_LENGTHS.values())}
_WRONG_LENGTH = re.compile(rf"(?:{_GAP}{{0,8}}\d{{4}}){{3,7}}(?:{_GAP}{{0,2}}\d{{1,3}})?(?![^\W_])")


def mask(text: str) -> str:
    """The text with `[CARD]`, `[IBAN]`, `[PASSPORT]` and `[SECRET]` for what is private.

    >>> mask("Order 10234, card 4111-1111-1111-1112, passport no. C01X00T47")
    'Order 10234, card [CARD], passport no. [PASSPORT]'
    """
    text = _replace(text, _find_ibans(text), "[IBAN]")
    text = _replace(text, _find_cards(text), "[CARD]")
    return redact(text, ("secret", "passport"))


def _replace(text: str, spans: list[tuple[int, int]], label: str) -> str:
    parts, position = [], 0
    for start, end in spans:
        if start >= position:
            parts += [text[position:start], label]
            position = end
    return "".join(parts) + text[position:]


def _find_ibans(text: str) -> list[tuple[int, int]]:
    spans = []
    for match in _COUNTRY.finditer(text):
        country = unicodedata.normalize("NFKC", re.sub(_GAP, "", match[1])).upper()
        if country not in _LENGTHS:
            continue
        rest = _ACCOUNTS[_LENGTHS[country]].match(text, match.end())
        if rest and _is_iban(text[match.start(1) : rest.end()], text[rest.end() : rest.end() + 1]):
            spans.append((match.start(1), rest.end()))
        elif not match[2] and (rest := _WRONG_LENGTH.match(text, match.end())):
            spans.append((match.start(1), rest.end()))
    return spans


def _is_iban(number: str, following: str) -> bool:
    """Whether a text with the country and length of an IBAN is one, by checksum or by shape."""
    groups = [group for group in re.split(f"{_GAP}+", number) if group]
    plain = unicodedata.normalize("NFKC", "".join(groups))
    digits = sum(c.isdecimal() for c in plain[4:]) / (len(plain) - 4)
    if plain.isascii() and iban(plain.upper()) and (digits >= 0.5 or len(groups) == 1):
        return True
    # "is 10234 and …" has the country, too: a shape without checksum has to be a strict one.
    if following.isalnum() or len(groups[0]) < 4 or plain not in (plain.upper(), plain.lower()):
        return False
    fours = all(len(group) == 4 for group in groups[:-1]) and len(groups[-1]) <= 4
    return len(groups) == 1 or (fours and digits >= 0.3) or (digits >= 0.6 and plain.isupper())


def _find_cards(text: str) -> list[tuple[int, int]]:
    spans = []
    for run in _RUN.finditer(text):
        groups = [match.span() for match in re.compile(r"\d+").finditer(text, *run.span())]
        first = 0
        while first < len(groups):
            last = _card_end(text, groups, first)
            if last is not None:
                spans.append((groups[first][0], groups[last][1]))
            first = first + 1 if last is None else last + 1
    return spans


def _card_end(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last group of the card number that starts with the group `first`; None without one."""
    best, number = None, ""
    for last in range(first, len(groups)):
        number += text[slice(*groups[last])]
        if len(number) > 19:
            break
        window = groups[first : last + 1]
        if len(number) >= 12 and _is_card(text, window, number, len(groups)):
            best = last
    return best


def _is_card(text: str, groups: list[tuple[int, int]], number: str, of: int) -> bool:
    before = text[max(0, groups[0][0] - 30) : groups[0][0]]
    parcel, card = _PARCEL_WORD.search(before), _CARD_WORD.search(before)
    valid = luhn(number)
    if len(groups) == 1:
        if _ISSUER.fullmatch(number):
            return valid or (not parcel and len(number) > 13)
        return not parcel and (card is not None or (valid and bool(_MAESTRO.fullmatch(number))))
    gaps = {
        re.sub(r"[\s>\u200b-\u200f\u2060\ufeff]", "", text[a[1] : b[0]])
        for a, b in pairwise(groups)
    }
    if valid and len(gaps - {""}) <= 1 and "," not in gaps:
        if _ISSUER.fullmatch(number) or _MAESTRO.fullmatch(number):
            return True
    lengths = "".join(str(end - start) for start, end in groups)
    years = all(text[start : start + 2] in ("19", "20") for start, _ in groups)
    # Groups of four are also how carriers print 20 digits that start with 00 (SSCC).
    sscc = number.startswith("00") and of >= 5
    return bool(_SHAPE.fullmatch(lengths)) and not years and not sscc
