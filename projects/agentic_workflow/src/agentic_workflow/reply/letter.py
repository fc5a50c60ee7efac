r"""Replies from templates, `templates/LANGUAGE.toml`, in the language of the mail.

    write_letter(Case(mail, triage, facts, decision, passages)).body    # "Hello Tom Baker,\n\n…"

Facts are formatted for the language, and paragraphs of the policy are quoted verbatim with their
source. Nothing of the mail is repeated but its subject and the order number.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from babel.dates import format_date
from babel.numbers import format_currency

from agentic_workflow.case import Decision, Draft, Facts, Mail, Passage, Triage

TEMPLATES = Path(__file__).with_name("templates")
LOCALES = {"en": "en_IE", "de": "de_DE", "fr": "fr_FR", "es": "es_ES"}
QUOTE_SCORE = 0.6  # minimum; 7 of the 73 paragraphs that reached it were the wrong ones
NO_ANSWER = "No paragraph of the policy clearly answers the mail."
_REPLY_PREFIX = re.compile(r"^(?:(?:re|aw|sv|fwd?|wg|tr|rv)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)


class Case(NamedTuple):
    """What a reply is about."""

    mail: Mail
    triage: Triage
    facts: Facts
    decision: Decision
    passages: Sequence[Passage]


@cache
def templates(language: str) -> dict[str, Any]:
    return tomllib.loads((TEMPLATES / f"{language}.toml").read_text("utf-8"))


def write_letter(case: Case) -> Draft:
    """The reply that carries out a decision, with a warning if it may not answer the mail."""
    texts, values, action = templates(case.mail.language), _values(case), case.decision.action
    # The desk may have misunderstood a case that it hands over.
    neutral = action == "hand_over" or case.triage.category == "spam"
    category = "other" if neutral else case.triage.category
    # 1. The decision, in view of the facts.
    names = _sentences(case)
    message = [texts["opening"][category], *(_fill(texts[t][name], values) for t, name in names)]
    # 2. The paragraph of the policy that answers the question; for a return, also the terms.
    quotes = [p for p in case.passages[:1] if p.score >= QUOTE_SCORE]
    if category == "refund" and action == "reply":
        quotes = list(case.passages[:2])
    if action not in ("reply", "refund") or ("money", "refunded") in names:
        quotes = []
    # 3. What happens next.
    following: str = category if action == "reply" else ""
    if action == "hand_over" or not (quotes or names):
        following = "hand_over"
    elif ("status", "delivered") in names and category == "shipping":
        following = "delivered"
    elif ("money", "refunded") in names:
        following = "billing"
    paragraphs = [
        _fill(texts["greeting"], values),
        " ".join(message),
        *(_fill(texts["quote"], {"text": p.text, "source": p.source}) for p in quotes),
        _fill(texts["next"][following], values) if following else "",
        texts["closing"],
    ]
    unsure = not (names or quotes) or any(p.score < QUOTE_SCORE for p in quotes[:1])
    return Draft(
        subject=reply_subject(case.mail),
        body="\n\n".join(filter(None, paragraphs)) + "\n",
        citations=tuple(p.source for p in quotes),
        warnings=(NO_ANSWER,) if unsure and action == "reply" else (),
    )


def reply_subject(mail: Mail) -> str:
    """The subject of the reply, on one line; a neutral one if part of it was masked."""
    subject = _REPLY_PREFIX.sub("", " ".join(mail.subject.split()))[:150]
    neutral = not subject or re.search(r"\[[A-Z_]+\]", subject)
    return f"Re: {templates(mail.language)['subject'] if neutral else subject}"


def _sentences(case: Case) -> list[tuple[str, str]]:
    """The table and the name of each sentence after the opening."""
    mail, triage, facts, decision, _ = case
    number, status = triage.order_id, facts.order_status
    about_order = triage.category in ("refund", "billing", "shipping")
    place = status if about_order or triage.category == "complaint" else ""
    settled = status in ("cancelled", "returned")
    match decision.action:
        case "ask" if not (mail.text + mail.subject).strip():
            return [("ask", "empty")]
        case "ask" if facts.order_id or not about_order:
            return [("ask", "details")]
        case "ask":
            name = "order" if facts.customer_id else "sender"
            return [("ask", f"{name}_number" if number else name)]
        case "refund":
            surplus = triage.category == "billing" and not settled
            return [("money", "surplus" if surplus else "refund")]
        case "reply" if place and settled:
            return [("status", status), *([] if facts.refundable else [("money", "refunded")])]
        case "reply" if facts.charges and triage.category == "billing":
            return [("money", "once" if facts.charges == 1 else "more")]
        case "reply" if place and triage.category != "billing":
            late = status == "shipped" and "" < facts.expected_on < date.today().isoformat()
            return [("status", "late" if late else status)]
    return []


def _values(case: Case) -> dict[str, Any]:
    facts, locale = case.facts, LOCALES[case.mail.language]
    items = [line.name for line in facts.lines]
    values = {
        **dict(facts),
        "number": case.triage.order_id,
        "amount": case.decision.amount,
        "recent": ", ".join(facts.recent_orders[:3]),
        "items": ", ".join(items) if len(items) > 1 else "",
        "tracking": facts.tracking if case.triage.category == "shipping" else "",
    }
    for name in ("ordered_on", "delivered_on", "expected_on"):
        if day := values[name]:
            values[name] = format_date(date.fromisoformat(day), "long", locale)
    for name in ("total", "amount"):
        if amount := values[name]:
            values[name] = format_currency(amount, facts.currency, locale=locale)
    return values


def _fill(template: str, values: dict[str, Any]) -> str:
    """The template with its values; a part in [[…]] is left out if a value in it is missing."""

    def part(match: re.Match[str]) -> str:
        return match[1] if all(map(values.get, re.findall(r"{(\w+)}", match[1]))) else ""

    text = re.sub(r"\[\[(.*?)\]\]", part, template).format_map(values)
    return text[:1].upper() + text[1:]
