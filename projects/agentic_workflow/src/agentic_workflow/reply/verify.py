"""Checks on a reply written by a model: it may state and promise only what is in the case.

    bad_form(reply.body, case.mail.language)      # "" or the reason: empty, too long, language
    problem(reply.body, reply.citations, case)    # the same: numbers, dates, links, promises

They spare the person who reads the letter some mistakes. They do not replace that person: words,
names and numbers in words are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from agentic_workflow.case import Language
from agentic_workflow.mail.numbers import number_value
from agentic_workflow.mail.parse import spoken_language
from agentic_workflow.reply.letter import LOCALES, Case, templates
from seedbed.safety.personal_data import find_pii

_CITATION = re.compile(r"\[([^\[\]]*§\s*\d+)\]")
_BLANK = re.compile(r"\[[^\]]*\]|\{[^}]*\}|<[^>]*>|_{3,}|X{3,}")
_LINK = re.compile(r"https?://[^\s<>\"]+|[\w.+-]+@[\w.-]+|\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b")
MAX_CHARS = 3000  # of a letter
_MIN_PART = 60  # characters; below, the language is a guess
_NUMBER = re.compile(r"\d+(?:[.,'’]\d+)*")


def bad_form(body: str, language: Language) -> str:
    """Why a text is not a letter of acceptable length in this language; "" if it is one."""
    prose = _CITATION.sub("", body)
    if not re.search(r"\w", prose):
        return "it is empty"
    if len(body) > MAX_CHARS:
        return f"it has {len(body):,} characters; the limit is {MAX_CHARS:,}"
    for part in (prose, *re.split(r"\n\s*\n|(?<=[.!?])\s", prose)):
        if len(part) >= _MIN_PART and (spoken := spoken_language(part)) != language:
            return f"part of it is written in {spoken!r}, not in {language!r}"
    return ""


def problem(body: str, citations: Sequence[str], case: Case) -> str:
    """Why the reply must not be sent; "" if nothing is wrong."""
    mail, decision = case.mail, case.decision
    texts = [mail.subject, mail.text, *(p.text for p in case.passages)]
    texts += [case.facts.model_dump_json(), f"{decision.amount} {decision.currency}"]
    # 1. Citations, placeholders and private data.
    prose = _CITATION.sub("", body)
    foreign = {*citations, *_CITATION.findall(body)} - {p.source for p in case.passages}
    if foreign:
        return f"it cites {foreign.pop()}, which is not among the rules"
    if (blank := _BLANK.search(prose)) or find_pii(prose, ("iban", "card", "secret")):
        return f"it contains {blank.group() if blank else 'private data'}"
    # 2. Links, dates and numbers. The case's own dates are removed from both texts, so that another
    # date counts as numbers, which the case has to contain.
    source = "\n".join(texts).lower()
    for link in _LINK.findall(prose):
        if link.rstrip(".,;:").lower() not in source:
            return f"it contains {link}, which is not in the case"
    facts = case.facts
    days = [day for day in (facts.ordered_on, facts.delivered_on, facts.expected_on) if day]
    rest, source = (_without(text, days, mail.language) for text in (prose, source))
    numbers = {number_value(number) for number in _NUMBER.findall(source)}
    for number in _NUMBER.findall(rest):
        if number_value(number) not in numbers:
            return f"it contains the number {number}, which is not in the case"
    # 3. Promises.
    if decision.action == "refund":
        stated = {number_value(number) for number in _NUMBER.findall(prose)}
        return "" if decision.amount in stated else f"it does not state {decision.amount}"
    for passage in case.passages:  # the shop's own rules may promise
        prose = prose.replace(passage.text, "")
    promise = re.search(templates(mail.language)["promise"], prose, re.IGNORECASE)
    return f"it promises what was not decided: {promise.group()}" if promise else ""


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
