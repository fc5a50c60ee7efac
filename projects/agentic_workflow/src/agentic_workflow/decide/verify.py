"""Checks on a reply written by a model: it may state and promise only what is in the case.

    unfit(reply.body, case)    # "" or the reason: form, language, sums, promises, names of others
    problem(reply.body, reply.citations, case)    # the same: numbers, dates, links, citations

Numbers, dates, sums, links, addresses and names are compared with the case; number words are not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from babel import Locale

from agentic_workflow.decide.letter import LOCALES, Case, templates
from agentic_workflow.mail.numbers import number_value
from agentic_workflow.mail.parse import spoken_language
from seedbed.safety.personal_data import find_pii

_CITATION = re.compile(r"\[([^\[\]]*§\s*\d+)\]")
_BLANK = re.compile(r"\[[^\]]*\]|\{[^}]*\}|<[^>]*>|_{3,}|X{3,}")
_LINK = re.compile(r"https?://[^\s<>\"]+|[\w.+-]+@[\w.-]+|\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b")
_NUMBER_TEXT = r"\d+(?:[.,'’]\d+)*"
_CURRENCY = r"(?:[€$£]|EUR|USD|GBP|CHF|[Ee]uros?)"
_SUM = re.compile(
    rf"{_CURRENCY}\s?({_NUMBER_TEXT})|({_NUMBER_TEXT})\s?{_CURRENCY}|(?<![\d.,])(\d+[.,]\d\d)(?![\d.,]\d)"
)
MAX_CHARS = 3000  # of a letter
_MIN_PART = 60  # characters; below, the language is a guess
_NUMBER = re.compile(r"\d+(?:[.,'’]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def unfit(body: str, case: Case) -> str:
    """Why a text is not a letter that carries out the decision and nothing else."""
    prose, language = _CITATION.sub("", body), case.mail.language
    # 1. A letter of some length, in the language of the mail.
    if not re.search(r"\w", prose):
        return "it is empty"
    if len(body) > MAX_CHARS:
        return f"it has {len(body):,} characters; the limit is {MAX_CHARS:,}"
    for part in (prose, *re.split(r"\n\s*\n|(?<=[.!?])\s", prose)):
        if len(part) >= _MIN_PART and (spoken := spoken_language(part)) != language:
            return f"part of it is written in {spoken!r}, not in {language!r}"
    # 2. Sums of the shop and the policy, not of the mail, which may claim anything.
    sources = [case.facts.model_dump_json(), f"{case.decision.amount}"]
    sources += [passage.text for passage in case.passages]
    values = {number_value(number) for number in _NUMBER.findall("\n".join(sources))}
    for match in _SUM.finditer(prose):
        if number_value(match[1] or match[2] or match[3]) not in values:
            return f"it states the sum {match[0]}, which is not the shop's"
    # 3. Promises in any language, but for the sentence about the refund that was decided.
    for passage in case.passages:
        prose = prose.replace(passage.text, "")
    for sentence in re.split(r"(?<=[.!?])\s+(?!\d)", prose):
        stated = {number_value(number) for number in _NUMBER.findall(sentence)}
        if case.decision.action == "refund" and case.decision.amount in stated:
            continue
        for code in LOCALES:
            if promise := re.search(templates(code)["promise"], sentence, re.IGNORECASE):
                return f"it promises what was not decided: {promise.group()}"
    # 4. People and streets of other customers.
    name = _name_of_others(prose, case)
    return f"it contains the name {name}, which is not in the case" if name else ""


def _name_of_others(prose: str, case: Case) -> str:
    """A capitalized word within a sentence that may be a name and is not in the case, or "".

    German capitalizes all nouns: there, two such words in a row may be a name.
    """
    mail, facts = case.mail, case.facts
    calendar = Locale(mail.language)
    texts = [mail.subject, mail.text, facts.model_dump_json(), *(p.text for p in case.passages)]
    texts += [
        *calendar.days["format"]["wide"].values(),
        *calendar.months["format"]["wide"].values(),
    ]
    texts += _texts(templates(mail.language))
    customer = _words(f"{facts.customer_name} {mail.sender_name}")
    words, matches = _words("\n".join(texts)) | customer, list(_WORD.finditer(prose))
    for number, match in enumerate(matches[1:], 1):
        before, following = matches[number - 1], matches[number + 1 : number + 2]
        between, pair = prose[before.end() : match.start()], (before[0], match[0])
        # "Mr. Baker" is one sentence, and "Ms" before the customer's own name is a title.
        title = between == ". " and len(before[0]) <= 3 and before[0][0].isupper()
        if re.search(r"[.!?:\n\"«„“]", between) and not title:
            continue
        if following and following[0][0].lower() in customer:
            continue
        doubts = [word[:1].isupper() and not _inflected(word.lower(), words) for word in pair]
        if mail.language == "de" and all(doubts) and between in (" ", ". "):
            return " ".join(pair)
        if mail.language != "de" and doubts[1] and len(match[0]) > 1 and match[0][1].islower():
            return match[0]
    return ""


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def _inflected(word: str, words: set[str]) -> bool:
    """Whether a word is among others, perhaps with another ending: "unser" beside "unserem"."""
    return word in words or any(
        (w.startswith(word) or word.startswith(w)) and abs(len(w) - len(word)) <= 2
        for w in words
        if min(len(w), len(word)) >= 4
    )


def _texts(table: dict[str, Any]) -> list[str]:
    """All texts of the templates in a language."""
    values = table.values()
    return [text for v in values for text in (_texts(v) if isinstance(v, dict) else [str(v)])]


def problem(body: str, citations: Sequence[str], case: Case) -> str:
    """Why the reply must not be sent; "" if nothing is wrong."""
    mail, decision = case.mail, case.decision
    texts = [mail.subject, mail.text, *(p.text for p in case.passages)]
    texts += [case.facts.model_dump_json(), f"{decision.amount} {decision.currency}"]
    # 1. Citations, placeholders and private data.
    prose = _CITATION.sub("", body)
    cited = {*citations, *_CITATION.findall(body)} - {p.source for p in case.passages}
    if cited:
        return f"it cites {cited.pop()}, which is not among the rules"
    if (blank := _BLANK.search(prose)) or find_pii(prose, ("iban", "card", "secret")):
        return f"it contains {blank.group() if blank else 'private data'}"
    # 2. Links, dates and numbers. The case's own dates are removed, so that those which are left
    # over are made from numbers that the case must contain otherwise.
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
