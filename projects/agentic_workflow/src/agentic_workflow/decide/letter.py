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

from agentic_workflow.store.case import Decision, Draft, Facts, Mail, Passage, Triage

LOCALES = {"en": "en_IE", "de": "de_DE", "fr": "fr_FR", "es": "es_ES"}
QUOTE_SCORE = 0.6  # from it on, 7 of 73 paragraphs were not the ones to quote
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
    """The texts in a language."""
    return tomllib.loads(
        (Path(__file__).parent / "templates" / f"{language}.toml").read_text(encoding="utf-8")
    )


def write_letter(case: Case) -> Draft:
    """The reply that carries out a decision. A warning tells that it does not answer the mail."""
    texts, values = templates(case.mail.language), _values(case)
    action, category = case.decision.action, case.triage.category
    # What is handed over may have been misunderstood.
    category = "other" if action == "hand_over" or category == "spam" else category
    # 1. What the decision says, in view of the facts.
    names = _sentences(case)
    sentences = [_fill(texts[group][name], values) for group, name in names]
    # 2. The paragraphs of the policy that answer the question, and how it goes on.
    quotes = _quotes(case, names)
    answers = bool(quotes or names) and not (quotes and quotes[0].score < QUOTE_SCORE)
    following = [category] if action == "reply" else []
    if action == "hand_over" or not (quotes or names):
        following = ["hand_over"]
    elif category == "shipping" and ("status", "delivered") in names:
        following = ["delivered"]
    elif category == "refund" and not quotes:
        following = ["billing"] if action == "reply" else []
    paragraphs = [
        _fill(texts["greeting"], values),
        " ".join([texts["opening"][category], *sentences]),
        *(_fill(texts["quote"], {"text": p.text, "source": p.source}) for p in quotes),
        *(_fill(texts["next"][name], values) for name in following),
        texts["closing"],
    ]
    return Draft(
        subject=reply_subject(case.mail),
        body="\n\n".join(paragraphs) + "\n",
        citations=tuple(p.source for p in quotes),
        warnings=() if answers or action != "reply" else (NO_ANSWER,),
    )


def reply_subject(mail: Mail) -> str:
    """The subject of the reply, on one line; a neutral one if part of it was masked."""
    subject = _REPLY_PREFIX.sub("", " ".join(mail.subject.split()))[:150]
    neutral = not subject or re.search(r"\[[A-Z_]+\]", subject)
    return f"Re: {templates(mail.language)['subject'] if neutral else subject}"


def _quotes(case: Case, names: list[tuple[str, str]]) -> list[Passage]:
    if case.decision.action not in ("reply", "refund") or ("money", "refunded") in names:
        return []
    if case.triage.category == "refund" and case.decision.action == "reply":
        return list(case.passages[:2])  # how to return, and on which terms
    return [passage for passage in case.passages[:1] if passage.score >= QUOTE_SCORE]


def _sentences(case: Case) -> list[tuple[str, str]]:
    """The table and the name of each sentence after the opening."""
    mail, triage, facts, decision, _ = case
    number, status = triage.order_id, facts.order_status
    about_order = triage.category in ("refund", "billing", "shipping")
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
        case "reply" if settled:
            return [("status", status), *([] if facts.refundable else [("money", "refunded")])]
        case "reply" if facts.charges and triage.category == "billing":
            return [("money", "once" if facts.charges == 1 else "more")]
        case "reply" if status and triage.category in ("refund", "shipping", "complaint"):
            late = status == "shipped" and "" < facts.expected_on < date.today().isoformat()
            return [("status", "late" if late else status)]
    return []


def _values(case: Case) -> dict[str, str]:
    from babel.dates import format_date
    from babel.numbers import format_currency

    facts, decision, locale = case.facts, case.decision, LOCALES[case.mail.language]
    days = {"ordered": facts.ordered_on, "delivered": facts.delivered_on}
    days["expected"] = facts.expected_on
    sums = {"total": (facts.total, facts.currency), "amount": (decision.amount, decision.currency)}
    values = {
        "name": facts.customer_name,
        "order": facts.order_id or "",
        "number": case.triage.order_id or "",
        "recent": ", ".join(facts.recent_orders[:3]),
        "items": ", ".join(line.name for line in facts.lines) if len(facts.lines) > 1 else "",
        "carrier": facts.carrier,
        "tracking": facts.tracking if case.triage.category == "shipping" else "",
        "charges": str(facts.charges),
    }
    for name, day in days.items():
        values[name] = format_date(date.fromisoformat(day[:10]), "long", locale) if day else ""
    for name, (amount, currency) in sums.items():
        values[name] = "" if amount is None else format_currency(amount, currency, locale=locale)
    return values


def _fill(template: str, values: dict[str, str]) -> str:
    """The template with its values; a part in [[…]] is left out if it lacks one."""

    def part(match: re.Match[str]) -> str:
        return match[1] if all(values[name] for name in re.findall(r"{(\w+)}", match[1])) else ""

    text = re.sub(r"\[\[(.*?)\]\]", part, template).format_map(values)
    return text[:1].upper() + text[1:]
