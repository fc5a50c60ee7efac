"""Finds and replaces personal data and secrets.

    redact("Mail bob@example.com")    # "Mail [EMAIL]"

Patterns, checksums and labels ("passport no. …") only: no model, no network. Every repeat in a
pattern is bounded, so the time is linear in the length of the text. Names and postal addresses are
not found.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator

from seedbed.safety.secrets import Finding, find_secrets, replace_findings, without_overlaps

_ISSUER = re.compile(  # Visa, Mastercard, Amex, Diners, JCB, Discover, UnionPay, RuPay, Troy
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|(?:35|6\d|8[12]|97)\d{14}|6\d{16,18}"
)


def _is_iban(number: str) -> bool:
    """Whether the checksum of a bank account is correct: modulo 97 it is 1 (ISO 13616)."""
    plain = number.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _is_card(number: str) -> bool:
    """Whether the checksum of a payment card is correct (ISO/IEC 7812-1, annex B)."""
    digits = [int(c) for c in reversed(number) if c.isdecimal()]
    doubled = (sum(divmod(2 * d, 10)) for d in digits[1::2])
    valid = (sum(digits[::2]) + sum(doubled)) % 10 == 0
    # A row of one repeated digit passes the checksum and is a placeholder.
    issued = _ISSUER.fullmatch("".join(map(str, reversed(digits)))) is not None
    return valid and issued and len(set(digits)) > 1


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # 127.0.0.1 and 0.0.0.0 are in every manual and identify no person.
    return not (address.is_loopback or address.is_unspecified)


_SHAPES: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("iban", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _is_iban),
    ("card", r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w-])", _is_card),
    (
        "email",
        r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}(?<=\w)",
        bool,
    ),
    ("phone", r"(?<![\w+])\+[1-9]\d{0,2}(?:[ ().-]{0,2}\d){6,12}(?![\w])", bool),
    ("phone", r"(?<![\w.+-])(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-]|\.\d)", bool),
    ("phone", r"(?<![\w.+-])(?<!\d )0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,4}(?![\w-]| \d|\.\d)", bool),
    (
        "ip",
        r"(?<![\w.+/=~<>^-])(?<!version )(?<!Version )(?<!release )"
        r"(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)",
        _is_address,
    ),
    ("ip", r"(?<![\w:.])(?=[^\s]{0,39}\d)[0-9A-Fa-f:]{6,39}(?![\w:])", _is_address),
)
_COMPILED = tuple((kind, re.compile(shape), check) for kind, shape, check in _SHAPES)

_EDGE, _END = r"(?<![^\W_])", r"(?![^\W_])"  # no letter or digit
_DATE = r"(?:\d\d?[-./]\d\d?[-./](?:19|20)\d\d|(?:19|20)\d\d[-./]\d\d?[-./]\d\d?)(?!\d)"
_JOIN = rf"[\s./\u2010-\u2015\u2212-]?(?!(?<!\d){_DATE})"  # between the groups of a number
_NUMBER = re.compile(
    rf"{_EDGE}(?!{_DATE})(?:(?i:(?=[a-z]{{0,6}}\d)[a-z0-9]{{6,18}})|[A-Z]{{0,3}}-?\d"
    rf"[A-Z0-9]{{0,12}}(?:{_JOIN}[A-Z]{{0,2}}\d[A-Z0-9]{{0,12}}){{0,7}})(?:{_JOIN}[A-Z])?{_END}"
)
_MONTH = r"[^\W\d_]{3,10}\.?"
_DAY = (
    rf"\d\d?[-./ ]\d\d?[-./ ](?:19|20)?\d\d|(?:19|20)\d\d[-./]\d\d?[-./]\d\d?|\d\d?(?:st|nd|rd|th"
    rf"|er|\.)?\s(?:de\s|of\s)?{_MONTH},?\s(?:de\s)?(?:19|20)?\d\d"
    rf"|{_MONTH}\s\d\d?(?:st|nd|rd|th)?,?\s(?:19|20)\d\d"
)
# What names a number that has no checksum, in English, German, French and Spanish.
_LABELS = {
    "passport": r"passports?|(?:id|identity)[\s_-]?cards?|my\sid|reisep[aä](?:ss|ß)e?|cni"
    r"|pass(?=\W{0,3}nr)|(?:personal)?ausweise?s?|perso(?=\W?nr)|passeports?|pasaportes?"
    r"|carte\sd['’]identit[ée]|d\.?n\.?i|(?-i:N\.?I\.?E)",
    "tax": r"tax(?:payer)?[\s-](?:id|number|no)|ssn|social\ssecurity|national\sinsurance|nif"
    r"|steuer-?(?:id|nummer|nr)|sozialversicherungs-?(?:nummer|nr)|n[uú]m[ée]ro\sfiscal"
    r"|s[ée]curit[ée]\ssociale|(?-i:N\.?I\.?R)|seguridad\ssocial",
    "account": r"account(?=[\s_-](?:no|number))|bank\saccount|sort\scode|routing\snumber|blz"
    r"|konto-?(?:nummer|nr)|bankkonto|bankleitzahl|compte\sbancaire|num[ée]ro\sde\scompte"
    r"|cuenta\sbancaria|n[úu]mero\sde\scuenta",
    "password": r"password|passphrase|passcode|pin(?:[\s-]?code)?|cvv|cvc|passwort|kennwort"
    r"|geheimzahl|mot\sde\spasse|code\ssecret|contraseña|clave",
    "birth_date": r"(?:date|day)\sof\sbirth|birth[\s-]?date|d\.?o\.?b\.?|born(?:\son)?(?!\sin\s)"
    r"|geburtsdatum|geboren(?:\sam)?|date\sde\snaissance|n[ée]e?\sle|fecha\sde\snacimiento"
    r"|nacid[oa](?:\sel)?",
}
# What follows a label: of these two kinds the value itself.
_AFTER = {
    "password": r"[\"']?(?:(?:\s{0,3}[:=]|\s(?:is|was|ist|lautet|war|est|es))\s{0,3}[\"']?"
    r"(?P<word>(?=\S{0,40}\d)[^\s\"'`(){}\[\]<>,;]{4,64})(?![\w(\[])"
    r"|\s(?P<digits>\d{3,8})(?![\w.]))",
    "birth_date": r"(?:\s(?:is|was|ist|lautet|est|es|on|am|le|el))?[\s:.,(-]{1,4}"
    rf"(?P<date>{_DAY}){_END}",
}
_NO = r"(?:[\s_.-]{0,3}(?:nr|nummern?|no|number)(?![^\W_]))?(?![^\W\d_]{2})"
_LABELLED = {
    kind: re.compile(rf"{_EDGE}(?<!\[)(?:{labels}){_AFTER.get(kind, _NO)}", re.IGNORECASE)
    for kind, labels in _LABELS.items()
}
_OTHER_NUMBER = re.compile(
    r"auftrag|customer|kunden|client|tel|phone|mobil|ticket|\s#|\+\d|eur|[€$£]|order|bestell"
    r"|commande|pedido|invoice|rechnung|factur|track|sendung|paket|suivi|seguimiento",
    re.IGNORECASE,
)
KINDS = (
    *("email", "phone", "ip", "iban", "card", "account"),
    *("passport", "tax", "password", "birth_date", "secret"),
)
"""What `find_pii` looks for; `passport` stands for identity cards too."""


def _find_labelled(text: str, kinds: set[str]) -> Iterator[Finding]:
    for kind in kinds & _LABELLED.keys():
        for name in _LABELLED[kind].finditer(text):
            if name.lastgroup:  # the label's expression contains the value
                yield _finding(kind, name.span(name.lastgroup))
                continue
            # A passport's number may be before its label as well.
            start = max(0, name.start() - 60) if kind == "passport" else name.end()
            for match in _NUMBER.finditer(text, start, name.end() + 60):
                after = match.start() >= name.end()
                before = text[name.end() if after else max(0, match.start() - 25) : match.start()]
                plain = re.sub(r"\W", "", match[0])
                digits = sum(c.isdigit() for c in plain)
                # Digits alone may be an order: they have to follow the label closely, or be nine.
                mixed = digits >= 4 and not plain.isdigit()
                near = after and not re.search(r"\d", before)
                named = digits >= 2 and (mixed or near or len(match[0]) == 9)
                other = _OTHER_NUMBER.search(f"{before} {plain}")
                if named and not other and 6 <= len(plain) <= 18:
                    yield _finding(kind, match.span())


def _finding(kind: str, span: tuple[int, int]) -> Finding:
    return Finding(kind, f"looks like {kind}", *span)


def _find_all(text: str, kinds: set[str], more: Iterable[Finding]) -> Iterator[Finding]:
    hits = [*more, *(find_secrets(text) if "secret" in kinds else ())]
    for kind, shape, check in _COMPILED:
        if kind in kinds:
            spans = (match.span() for match in shape.finditer(text) if check(match.group()))
            hits += [_finding(kind, span) for span in spans]
    # Labels are looked for in what is left: a card is not part of a passport's number.
    left = list(text)
    for hit in hits:
        left[hit.start : hit.end] = "\0" * (hit.end - hit.start)
    yield from hits
    yield from _find_labelled("".join(left), kinds)


def find_pii(
    text: str, kinds: Iterable[str] | None = None, *, more: Iterable[Finding] = ()
) -> list[Finding]:
    """Personal data and secrets in reading order, without overlaps.

    `kinds` limits the search to some of `KINDS`; `more` are findings of your own. Cards and IBANs
    need a valid checksum. Numbers of passports, tax offices and bank accounts, passwords, PINs
    and dates of birth need a label nearby, in English, German, French or Spanish.

    >>> [(finding.kind, finding.start) for finding in find_pii("Call +49 30 1234567 or a@b.de")]
    [('phone', 5), ('email', 23)]
    """
    return without_overlaps(_find_all(text, set(KINDS if kinds is None else kinds), more))


def redact(text: str, kinds: Iterable[str] | None = None, *, more: Iterable[Finding] = ()) -> str:
    """Replace each finding of `find_pii` by its kind.

    >>> redact("Mail bob@example.com, pay to DE89 3704 0044 0532 0130 00.")
    'Mail [EMAIL], pay to [IBAN].'
    """
    return replace_findings(text, find_pii(text, kinds, more=more))
