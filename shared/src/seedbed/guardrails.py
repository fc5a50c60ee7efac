"""Screens for text: personal data, secrets, prompt injection, blocked terms.

Patterns and checksums only: no model, no network. Every repeat in a pattern is bounded, so the time
is linear in the text. A screen reduces risk and proves nothing: what must not happen is prevented
where it would happen (rights of tools, access rules), not here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seedbed.errors import ConfigError


@dataclass(frozen=True)
class Finding:
    """What a screen saw: `kind` is a stable name, `reason` a sentence; text[start:end] is it."""

    kind: str
    reason: str
    start: int
    end: int


def luhn(number: str) -> bool:
    """Checksum of payment cards (ISO/IEC 7812-1); characters other than digits are skipped."""
    digits = [int(c) for c in reversed(number) if c.isdecimal()]
    doubled = (sum(divmod(2 * d, 10)) for d in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def iban(number: str) -> bool:
    """Checksum of bank accounts (ISO 13616): moved to the front and read as digits, 1 modulo 97."""
    plain = number.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|35\d{14}|6(?:011|22\d|4[4-9]\d|5\d\d)\d{12}"
)


def _is_card(number: str) -> bool:
    digits = re.sub(r"\D", "", number)
    return _ISSUERS.fullmatch(digits) is not None and len(set(digits)) > 1 and luhn(digits)


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # 127.0.0.1 and 0.0.0.0 stand in every manual and name nobody.
    return not (address.is_loopback or address.is_unspecified)


def _is_assigned_secret(text: str) -> bool:
    value = re.split(r"[:=]", text, maxsplit=1)[1].strip(" \"'")
    return any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def _any(_: str) -> bool:
    return True


_SECRETS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\w+/=\s]{0,20000}(?:-----END[A-Z ]{0,40}-----)?",
        _any,
    ),
    (r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,200}", _any),
    (r"\b(?:gh[pousr]_|github_pat_|hf_|glpat-|xox[abprs]-|npm_|pypi-)[A-Za-z0-9_-]{16,255}", _any),
    (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", _any),
    (r"\bAIza[A-Za-z0-9_-]{35}", _any),
    (r"\beyJ[\w-]{10,2000}\.[\w-]{10,4000}\.[\w-]{10,1000}", _any),
    (r"(?i:\bbearer[ ]{1,3})[A-Za-z0-9._~+/-]{12,2000}={0,2}", _any),
    (r"(?<=://)[^\s/:@\"']{1,100}:[^\s/:@\"']{1,100}(?=@)", _any),
    (
        r"(?i)(?<![A-Za-z0-9])(?:api[_-]?key|access[_-]?token|auth[_-]?token|token|secret|passw(?:or)?d)"
        r"[\"']?[ ]{0,3}[:=][ ]{0,3}[\"']?[A-Za-z0-9_./+~-]{12,500}",
        _is_assigned_secret,
    ),
)
_PERSONAL: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    (
        "email",
        r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}(?<=\w)",
        _any,
    ),
    ("iban", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", iban),
    ("card", r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w-])", _is_card),
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
)
_COMPILED = tuple(
    (kind, re.compile(pattern), check)
    for kind, pattern, check in (*(("secret", p, c) for p, c in _SECRETS), *_PERSONAL)
)


def _matches(text: str, kinds: Iterable[str] | None) -> Iterator[Finding]:
    wanted = None if kinds is None else set(kinds)
    for kind, pattern, check in _COMPILED:
        if wanted is None or kind in wanted:
            for match in pattern.finditer(text):
                if check(match.group()):
                    yield Finding(kind, f"looks like {kind}", *match.span())


def find_pii(text: str, kinds: Iterable[str] | None = None) -> list[Finding]:
    """Personal data and secrets in reading order, not overlapping.

    Kinds: email, phone, iban and card (both by checksum), ip, secret; all of them by default.
    """
    kept: list[Finding] = []
    for found in sorted(_matches(text, kinds), key=lambda f: (f.start, -f.end)):
        if not kept or found.start >= kept[-1].end:
            kept.append(found)
    return kept


def redact(text: str, kinds: Iterable[str] | None = None) -> str:
    """The text with each finding of `find_pii` replaced by its kind, such as `[EMAIL]`."""
    parts, position = [], 0
    for found in find_pii(text, kinds):
        parts += [text[position : found.start], f"[{found.kind.upper()}]"]
        position = found.end
    return "".join(parts) + text[position:]


def redact_secrets(text: str) -> str:
    """Keys, tokens and passwords taken out; for logs and error texts."""
    return redact(text, ("secret",))


def reason(error: BaseException) -> str:
    """What another library's exception says, for a text of ours: one line, without secrets."""
    said = str(error).strip() or type(error).__name__
    return redact_secrets(said.partition("\n")[0].strip())


_FILLER = r"(?:(?:all|any|the|these|those|of|my|every|everything|please)\s{1,4}){0,5}"
_RULES = (
    r"(?:instructions?|prompts?|rules?|guidelines?|directi(?:on|ve)s?|commands?|polic(?:y|ies))"
)
_INJECTIONS = (
    (
        "override",
        "asks to ignore the instructions",
        r"\b(?:ignore|disregard|forget|override|bypass|do\s{1,4}not\s{1,4}follow)\s{1,4}"
        + _FILLER
        + r"(?:(?:previous|prior|above|earlier|preceding|existing|original|initial|your|system)"
        + r"\s{1,4}){1,4}"
        + _RULES,
    ),
    (
        "override",
        "asks to ignore the instructions",
        r"\b(?:ignore|disregard|forget)\s{1,4}(?:all|everything)\s{1,4}(?:that\s{1,4}\w{1,10}\s{1,4})?"
        r"(?:above|before|previously|so\s{1,4}far)\b",
    ),
    (
        "override",
        "asks to ignore the instructions",
        r"\b(?:ignoriere|vergiss)\s{1,4}(?:\w{1,12}\s{1,4}){0,3}(?:anweisungen|regeln)\b"
        r"|\bignore[zr]?\s{1,4}(?:\w{1,12}\s{1,4}){0,3}(?:instructions|consignes)\s{1,4}pr[ée]c[ée]dentes"
        r"|\bignora\s{1,4}(?:\w{1,12}\s{1,4}){0,3}(?:instrucciones|istruzioni)\b",
    ),
    (
        "override",
        "announces new instructions",
        r"\bnew\s{1,4}(?:system\s{1,4})?(?:instructions?|prompt)\s{0,4}:",
    ),
    (
        "role",
        "assigns another role",
        r"\byou\s{1,4}are\s{1,4}now\s{1,4}(?:in\s{1,4})?(?:an?\s{1,4})?"
        r"(?:dan\b|unrestricted|jailbroken|unfiltered|developer\s{1,4}mode|free\s{1,4}of)"
        r"|\b(?:act|behave|pretend)\s{1,4}(?:\w{1,10}\s{1,4}){0,4}"
        r"(?:no|without(?:\s{1,4}any)?)\s{1,4}(?:rules|restrictions|limits|filters?|guidelines)",
    ),
    (
        "reveal",
        "asks for the hidden prompt",
        r"\b(?:reveal|print|show|repeat|output|leak|display|tell)\s{1,4}(?:me\s{1,4})?(?:your|the)\s{1,4}"
        r"(?:(?:full|entire|exact)\s{1,4})?(?:system|hidden|initial|secret|original)\s{1,4}"
        r"(?:prompt|instructions?|messages?|rules)",
    ),
    (
        "markup",
        "imitates the markers of a conversation",
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id)\|>"
        r"|<<SYS>>|\[/?INST\]|</?(?:system|assistant)(?:_prompt)?>",
    ),
    (
        "exfiltration",
        "asks to send data away",
        r"\b(?:send|post|forward|upload|e-?mail|exfiltrate)\s{1,4}(?:\w{1,14}\s{1,4}){0,6}"
        r"(?:conversation|history|password|secrets?|keys?|credentials|system\s{1,4}prompt)s?"
        r"\s{1,4}(?:\w{1,14}\s{1,4}){0,4}to\s{1,4}(?:https?://|\S{1,64}@)",
    ),
    ("hidden", "holds invisible tag characters", r"[\U000E0020-\U000E007F]{4,200}"),
)
_SCREENS = tuple((k, reason, re.compile(p, re.IGNORECASE)) for k, reason, p in _INJECTIONS)


def screen_injection(text: str) -> Finding | None:
    """The first passage that tries to instruct the model, or None.

    Kinds: override, role, reveal, markup, exfiltration, hidden. English, and the commonest phrases
    in German, French, Spanish and Italian. A text *about* injection is found as well.
    """
    found = [
        Finding(kind, reason, *match.span())
        for kind, reason, pattern in _SCREENS
        if (match := pattern.search(text))
    ]
    return min(found, key=lambda f: f.start, default=None)


def read_terms(path: Path) -> tuple[str, ...]:
    """Blocked terms of a UTF-8 file: one a line; empty lines and lines that open with # are not."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The list of blocked terms {str(path)!r} can't be read: {error}."
        ) from None
    return tuple(s for line in lines if (s := line.strip()) and not s.startswith("#"))


def check_blocked(text: str, terms: Iterable[str]) -> Finding | None:
    """The first of `terms` in the text, as whole words in any case; None if none is there."""
    cleaned = sorted({term.strip() for term in terms if term.strip()}, key=len, reverse=True)
    if not cleaned:
        return None
    words = "|".join(r"\s{1,4}".join(map(re.escape, term.split())) for term in cleaned)
    match = re.search(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE)
    return match and Finding("blocked", f"holds the blocked term {match.group()!r}", *match.span())
