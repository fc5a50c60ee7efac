"""Checks on a reply written by a model: it may state and promise only what is in the case.

    problem(body, ("returns §2",), mail, facts, decision, passages)    # "" or the reason

Dates, numbers, sums, links and addresses are compared with the case; words such as "three" are not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from agentic_workflow.decide.letter import LOCALES, templates
from agentic_workflow.store.case import Decision, Facts, Mail, Passage
from seedbed.guardrails import find_pii

Day = tuple[int, int, int]  # year (0 if it is left out), month, day
_CITATION = re.compile(r"\[([^\[\]]*§\s*\d+)\]")
_LINK = re.compile(
    r"(?:https?://|www\.)[^\s<>\"]+|[\w.+-]+@[\w.-]+|\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b"
)
_NUMBER = re.compile(r"\d+(?:[.,'’]\d+)*")
_NUMERIC_DATES = (
    (re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b"), (1, 2, 3)),
    (re.compile(r"\b(\d{1,2})[./](\d{1,2})[./](\d{4})\b"), (3, 2, 1)),
)


def problem(
    body: str,
    citations: Sequence[str],
    mail: Mail,
    facts: Facts,
    decision: Decision,
    passages: Sequence[Passage],
) -> str:
    """Why the reply must not be sent, for the model and for people; "" if nothing is wrong."""
    case = facts.model_dump_json(), decision.model_dump_json(include={"amount", "currency"})
    source = "\n".join((mail.subject, mail.text, *case, *(p.text for p in passages)))
    unknown = {*citations, *_CITATION.findall(body)} - {p.source for p in passages}
    if unknown:
        return f"it cites {', '.join(sorted(unknown))}, which is not among the rules"
    prose = _CITATION.sub("", body)
    if blank := re.search(r"\[[^\]]*\]|\{[^}]*\}|<[^>]*>|_{3,}|X{3,}", prose):
        return f"it contains the placeholder {blank.group()}"
    if find_pii(prose, ("iban", "card", "secret")):
        return "it contains an account number, a card number or a secret"
    links = {link.rstrip(".,;:)") for link in _LINK.findall(prose)}
    if strange := [link for link in sorted(links) if link.lower() not in source.lower()]:
        return f"it contains {strange[0]}, which is not in the case"
    days, rest = _dates(prose, mail.language)
    source_days, source_rest = _dates(source, mail.language)
    if strange_days := [day for day in sorted(days) if not _is_known(day, source_days)]:
        return f"it contains the date {strange_days[0]}, which is not in the case"
    numbers = _numbers(rest)
    if strange_numbers := sorted(numbers - _numbers(source_rest)):
        return f"it contains the number {strange_numbers[0]}, which is not in the case"
    return _promise(prose, numbers, mail, decision, passages)


def _promise(
    prose: str,
    numbers: set[Decimal],
    mail: Mail,
    decision: Decision,
    passages: Sequence[Passage],
) -> str:
    if decision.action == "refund":
        missing = decision.amount is not None and decision.amount.normalize() not in numbers
        return f"it does not state the refund of {decision.amount}" if missing else ""
    for passage in passages:  # the shop's own rules may promise
        prose = prose.replace(passage.text, "")
    promise = re.search(templates(mail.language)["promise"], prose, re.IGNORECASE)
    return f"it promises what was not decided: {promise.group()!r}" if promise else ""


def _numbers(text: str) -> set[Decimal]:
    return {_number(digits) for digits in _NUMBER.findall(text)}


def _number(digits: str) -> Decimal:
    """The value of 1.150,00, 1,150.00 or 49,9: one or two digits at the end are decimals."""
    *whole, last = re.split(r"[.,'’]", digits)
    if not whole or len(last) > 2:
        return Decimal("".join((*whole, last))).normalize()
    return Decimal(f"{''.join(whole)}.{last}").normalize()


def _is_known(day: Day, days: set[Day]) -> bool:
    return any(d[1:] == day[1:] and (0 in (d[0], day[0]) or d[0] == day[0]) for d in days)


def _dates(text: str, language: str) -> tuple[set[Day], str]:
    """The dates in a text, and the text without them."""
    days: set[Day] = set()
    for pattern, (year, month, day) in _NUMERIC_DATES:
        days |= {(int(m[year]), int(m[month]), int(m[day])) for m in pattern.finditer(text)}
        text = pattern.sub(" ", text)
    for pattern, months in _written_dates(language):
        for m in pattern.finditer(text):
            days.add((int(m["year"] or 0), months[m["month"].lower()], int(m["day"])))
        text = pattern.sub(" ", text)
    return days, text


@cache
def _written_dates(language: str) -> list[tuple[re.Pattern[str], dict[str, int]]]:
    from babel.dates import get_month_names

    months = {
        name.lower().rstrip("."): number
        for width in ("wide", "abbreviated")
        for number, name in get_month_names(width, locale=LOCALES[language]).items()
    }
    month = f"(?P<month>{'|'.join(sorted(map(re.escape, months), key=len, reverse=True))})\\b\\.?"
    day, year = r"\b(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.)?", r"(?P<year>\d{4})\b"
    patterns = (
        rf"{day}\s+(?:of\s+|de\s+)?{month}(?:,?\s+(?:de\s+)?{year})?",
        rf"\b{month}\s+{day}(?:,?\s+{year})?",
    )
    return [(re.compile(pattern, re.IGNORECASE), months) for pattern in patterns]
