"""Finds and replaces personal data and secrets.

    redact("Mail bob@example.com")    # "Mail [EMAIL]"

Patterns, checksums and labels ("passport no. …") only: no model, no network. Every repeat in a
pattern is bounded, so the time is linear in the length of the text. Names and postal addresses are
not found. What to do with a finding (block, redact, log) is up to the caller.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from seedbed.safety.finding import Finding, replace_findings, without_overlaps
from seedbed.safety.payment_numbers import find_cards, find_ibans
from seedbed.safety.secrets import find_secrets

_Span = tuple[int, int]


# ── by shape ─────────────────────────────────────────────────────────────────────────────────────


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # 127.0.0.1 and 0.0.0.0 are in every manual and identify no person.
    return not (address.is_loopback or address.is_unspecified)


def _is_dni(number: str) -> bool:
    """Whether the last letter of a Spanish DNI or NIE belongs to its digits."""
    plain = re.sub(r"\W", "", number).upper()
    digits = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return len(plain) >= 8 and plain[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23]


def _any(_: str) -> bool:
    return True


_EDGE, _END = r"(?<![^\W_])", r"(?![^\W_])"  # no letter or digit
_SHAPES: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    (
        "email",
        r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}(?<=\w)",
        _any,
    ),
    ("phone", r"(?<![\w+])\+[1-9]\d{0,2}(?:[ ().-]{0,2}\d){6,12}(?![\w])", _any),
    ("phone", r"(?<![\w.+-])(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-]|\.\d)", _any),
    ("phone", r"(?<![\w.+-])(?<!\d )0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,4}(?![\w-]| \d|\.\d)", _any),
    (
        "ip",
        r"(?<![\w.+/=~<>^-])(?<!version )(?<!Version )(?<!release )"
        r"(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)",
        _is_address,
    ),
    ("ip", r"(?<![\w:.])(?=[^\s]{0,39}\d)[0-9A-Fa-f:]{6,39}(?![\w:])", _is_address),
    (
        "passport",
        _EDGE + r"(?:\d{1,2}\.?\d{3}\.?\d{3}|[XYZxyz]-?\d{7})-?[A-Za-z]" + _END,
        _is_dni,
    ),
    # The lines that machines read.
    ("passport", r"(?<![A-Z0-9<])(?=[A-Z0-9]{0,40}<<)[A-Z0-9<]{20,90}(?![A-Z0-9<])", _any),
)
_COMPILED = tuple((kind, re.compile(shape), check) for kind, shape, check in _SHAPES)


# ── by a label that names the number, as no checksum does ────────────────────────────────────────


@dataclass(frozen=True)
class _Labelled:
    """A kind of number, and what it is called in English, German, French and Spanish."""

    kind: str
    labels: tuple[str, str, str, str]
    number: str
    before: int = 0
    """Characters before a label in which its number may be."""
    after: int = 40
    longest: int = 18
    """Letters and digits of a number at most; parcels have more."""

    @property
    def label(self) -> str:
        return (
            _EDGE + rf"(?<!\[)(?:{'|'.join(self.labels)})"
            r"(?:[\s_.-]{0,3}(?:nr|nummern?|no|number)(?![^\W_]))?(?![^\W\d_]{2})"
        )


_DATE = r"(?:\d\d?[-./]\d\d?[-./](?:19|20)\d\d|(?:19|20)\d\d[-./]\d\d?[-./]\d\d?)(?!\d)"
_JOIN = rf"[\s./\u2010-\u2015\u2212-]?(?!(?<!\d){_DATE})"  # between the groups of a number
_LABELLED = (
    _Labelled(
        "passport",
        (
            r"passports?|(?:id|identity|identification)[\s_-]?cards?|national[\s_-]id|my\sid"
            r"|(?<!order )(?<!customer )(?<!tracking )id(?=[\s_-]number)|identity\sdocuments?"
            r"|residence\spermits?",
            r"reisep[aä](?:ss|ß)e?|(?:personal)?ausweise?s?|perso(?=\W?nr)|mein\sid"
            r"|pass(?=[\s.-]{0,3}(?:nr|nummer|no|number))|aufenthaltstitel",
            r"passeports?|cartes?\s(?:nationales?\s)?d['’]identit[ée]|cni|mon\sid"
            r"|pi[èe]ces?\sd['’]identit[ée]|titres?\sde\ss[ée]jour",
            r"pasaportes?|d\.?n\.?i|(?-i:N\.?I\.?E)|documento\s(?:nacional\s)?de\sidentidad|c[ée]dula",
        ),
        r"(?:(?i:(?=[a-z]{0,6}\d)[a-z0-9]{6,14})"
        rf"|(?=[A-Z0-9])[A-Z]{{0,3}}(?:{_JOIN}[A-Z]{{0,2}}\d[A-Z0-9]{{0,12}}){{1,4}})(?:{_JOIN}[A-Z])?",
        before=60,
        after=120,
        longest=14,
    ),
    _Labelled(
        "tax",
        (
            r"tax(?:payer)?[\s-](?:id|identification|reference|number|no)|ssn|social\ssecurity"
            r"|national\sinsurance",
            r"steuer-?(?:id|nummer|nr|identifikationsnummer)|(?:sozial|renten)versicherungs-?(?:nummer|nr)",
            r"num[ée]ro\s(?:fiscal|de\ss[ée]cu(?:rit[ée]\ssociale)?)|s[ée]curit[ée]\ssociale|(?-i:N\.?I\.?R)",
            r"nif|seguridad\ssocial|n[úu]mero\sfiscal",
        ),
        rf"(?=[A-Z0-9])[A-Z]{{0,3}}(?:{_JOIN}\d){{6,15}}(?:{_JOIN}[A-Z])?",
    ),
    _Labelled(
        "account",
        (
            r"account(?=[\s_-](?:no|number))|bank\saccount|sort\scode|routing\snumber",
            r"konto-?(?:nummer|nr)|bankkonto|blz|bankleitzahl",
            r"compte\sbancaire|num[ée]ro\sde\scompte|code\s(?:guichet|banque)",
            r"cuenta\sbancaria|n[úu]mero\sde\scuenta",
        ),
        rf"\d(?:{_JOIN}\d){{5,17}}",
    ),
)
_NUMBERS = tuple(
    (
        row,
        re.compile(row.label, re.IGNORECASE),
        re.compile(rf"{_EDGE}(?!{_DATE})(?:{row.number}){_END}"),
    )
    for row in _LABELLED
)
_PASSWORD = re.compile(
    _EDGE + r"(?<!\[)(?:password|passphrase|passcode|pin(?:[\s-]?code)?|cvv|cvc|passwort|kennwort"
    r"|geheimzahl|mot\sde\spasse|code\ssecret|contraseña|clave)[\"']?(?:"
    r"(?:\s{0,3}[:=]|\s(?:is|was|ist|lautet|war|est|es))\s{0,3}[\"']?"
    r"(?P<word>(?=\S{0,40}\d)[^\s\"'`(){}\[\]<>,;]{4,64})(?![\w(\[])"
    r"|\s(?P<digits>\d{3,8})(?![\w.]))",
    re.IGNORECASE,
)
_MONTH_NAME = r"[^\W\d_]{3,10}\.?"
_BIRTH_DATE = re.compile(
    _EDGE + r"(?:(?:date|day)\sof\sbirth|birth[\s-]?date|d\.?o\.?b\.?|born(?:\son)?(?!\sin\s)"
    r"|geburtsdatum|geboren(?:\sam)?|geb\.?"
    r"|date\sde\snaissance|n[ée]e?\(?e?\)?\sle"
    r"|fecha\sde\snacimiento|nacid[oa](?:\sel)?|nac[ií]\sel)"
    r"(?:\s(?:is|was|ist|lautet|est|es|on|am|le|el))?[\s:.,(-]{1,4}"
    rf"(?P<date>\d\d?[-./ ]\d\d?[-./ ](?:19|20)?\d\d|(?:19|20)\d\d[-./]\d\d?[-./]\d\d?"
    rf"|\d\d?(?:st|nd|rd|th|er|\.|º)?\s(?:de\s|of\s)?{_MONTH_NAME},?\s(?:de\s)?(?:19|20)?\d\d"
    rf"|{_MONTH_NAME}\s\d\d?(?:st|nd|rd|th)?,?\s(?:19|20)\d\d){_END}",
    re.IGNORECASE,
)
ORDER_WORDS = (
    r"order|bestell|commande|pedido|invoice|rechnung|factur|track|sendung|paket|suivi|seguimiento"
)
"""What names the number of an order, an invoice or a parcel: alternatives of an expression."""
_OTHER_NUMBER = re.compile(
    r"auftrag|customer|kunden|client|tel|phone|mobil|ticket|\s#|\+\d|eur|[€$£]|" + ORDER_WORDS,
    re.IGNORECASE,
)


def _find_labelled(text: str, kinds: set[str]) -> Iterator[Finding]:
    for row, label, number in _NUMBERS:
        if row.kind in kinds:
            for name in label.finditer(text):
                for match in number.finditer(text, max(0, name.start() - row.before), name.start()):
                    before = text[max(0, match.start() - 25) : match.start()]
                    if _is_named(row, match.group(), before, near=False):
                        yield _finding(row.kind, match.span())
                for match in number.finditer(text, name.end(), name.end() + row.after):
                    between = text[name.end() : match.start()]
                    near = len(between) <= 40 and not any(c.isdigit() for c in between)
                    if _is_named(row, match.group(), between, near):
                        yield _finding(row.kind, match.span())
    if "password" in kinds:
        for match in _PASSWORD.finditer(text):
            yield _finding("password", match.span(match.lastgroup or 0))
    if "birth_date" in kinds:
        yield from (_finding("birth_date", m.span("date")) for m in _BIRTH_DATE.finditer(text))


def _is_named(row: _Labelled, number: str, before: str, near: bool) -> bool:
    """Whether `number`, beside a label, is the number that the label names."""
    plain = re.sub(r"\W", "", number)
    digits = sum(c.isdigit() for c in plain)
    if not 6 <= len(plain) <= row.longest or digits < 2:
        return False
    if _OTHER_NUMBER.search(before) or _OTHER_NUMBER.match(plain):
        return False
    # Digits alone may be an order: they have to follow the label closely, or be nine.
    mixed = digits >= 4 and not plain.isdigit()
    return mixed or near or len(number) == 9


# ── all of them ──────────────────────────────────────────────────────────────────────────────────

KINDS = (
    *("email", "phone", "ip", "iban", "card", "account"),
    *("passport", "tax", "password", "birth_date", "secret"),
)
"""What `find_pii` looks for; `passport` stands for identity cards too."""


def _finding(kind: str, span: _Span) -> Finding:
    return Finding(kind, f"looks like {kind}", *span)


def _find_all(text: str, kinds: set[str], more: Iterable[Finding]) -> Iterator[Finding]:
    hits = [*more, *_find_unlabelled(text, kinds)]
    # Labels are looked for in what is left: a card is not part of a passport's number.
    left = list(text)
    for hit in hits:
        left[hit.start : hit.end] = "\0" * (hit.end - hit.start)
    yield from hits
    yield from _find_labelled("".join(left), kinds)


def _find_unlabelled(text: str, kinds: set[str]) -> Iterator[Finding]:
    if "secret" in kinds:
        yield from find_secrets(text)
    if "iban" in kinds:
        yield from (_finding("iban", span) for span in find_ibans(text))
    if "card" in kinds:
        yield from (_finding("card", span) for span in find_cards(text))
    for kind, shape, check in _COMPILED:
        if kind in kinds:
            for match in shape.finditer(text):
                if check(match.group()):
                    yield _finding(kind, match.span())


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
