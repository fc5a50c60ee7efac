"""Checks on a reply written by a model: it may state and promise only what is in the case.

    problem(reply.body, reply.citations, case)    # "" or the reason

Numbers, dates, sums, links and addresses are compared with the case; number words are not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from agentic_workflow.decide.letter import LOCALES, Case, templates
from seedbed.safety.personal_data import find_pii

_CITATION = re.compile(r"\[([^\[\]]*§\s*\d+)\]")
_BLANK = re.compile(r"\[[^\]]*\]|\{[^}]*\}|<[^>]*>|_{3,}|X{3,}")
_LINK = re.compile(r"https?://[^\s<>\"]+|[\w.+-]+@[\w.-]+|\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b")
_NUMBER = re.compile(r"\d+(?:[.,'’]\d+)*")


def problem(body: str, citations: Sequence[str], case: Case) -> str:
    """Why the reply must not be sent; "" if nothing is wrong."""
    mail, decision = case.mail, case.decision
    known = [mail.subject, mail.text, *(p.text for p in case.passages)]
    known += [case.facts.model_dump_json(), f"{decision.amount} {decision.currency}"]
    # 1. Citations, placeholders and private data.
    prose = _CITATION.sub("", body)
    cited = {*citations, *_CITATION.findall(body)} - {p.source for p in case.passages}
    if cited:
        return f"it cites {cited.pop()}, which is not among the rules"
    if (blank := _BLANK.search(prose)) or find_pii(prose, ("iban", "card", "secret")):
        return f"it contains {blank.group() if blank else 'private data'}"
    # 2. Links, dates and numbers. The case's own dates are removed, so that those which are left
    # over are made from numbers that the case must contain otherwise.
    source = "\n".join(known).lower()
    for link in _LINK.findall(prose):
        if link.rstrip(".,;:").lower() not in source:
            return f"it contains {link}, which is not in the case"
    facts = case.facts
    days = [day for day in (facts.ordered_on, facts.delivered_on, facts.expected_on) if day]
    rest, source = (_without(text, days, mail.language) for text in (prose, source))
    numbers = {_value(number) for number in _NUMBER.findall(source)}
    for number in _NUMBER.findall(rest):
        if _value(number) not in numbers:
            return f"it contains the number {number}, which is not in the case"
    # 3. Promises.
    if decision.action == "refund":
        stated = {_value(number) for number in _NUMBER.findall(prose)}
        return "" if decision.amount in stated else f"it does not state {decision.amount}"
    for passage in case.passages:  # the shop's own rules may promise
        prose = prose.replace(passage.text, "")
    promise = re.search(templates(mail.language)["promise"], prose, re.IGNORECASE)
    return f"it promises what was not decided: {promise.group()}" if promise else ""


def _value(number: str) -> Decimal:
    """The value of 1.150,00, 1,150.00 or 49.9: one or two digits at the end are decimals."""
    *whole, last = re.split(r"[.,'’]", number)
    decimals = bool(whole) and len(last) <= 2
    return Decimal(f"{''.join(whole)}.{last}" if decimals else "".join((*whole, last)))


def _without(text: str, days: list[str], language: str) -> str:
    """The text without these dates, in the forms that the language writes them in."""
    from babel.dates import format_date

    forms = (
        *("full", "long", "d MMMM y", "MMMM d, y", "d. MMMM", "d MMMM", "d 'de' MMMM", "MMMM d"),
        *("medium", "short", "yyyy-MM-dd", "dd.MM.yyyy", "d.M.yyyy", "dd/MM/yyyy"),
    )
    for form in forms:
        for day in days:
            written = format_date(date.fromisoformat(day[:10]), form, LOCALES[language])
            text = re.sub(rf"(?<!\d){re.escape(written)}(?!\d)", " ", text, flags=re.IGNORECASE)
    return text
