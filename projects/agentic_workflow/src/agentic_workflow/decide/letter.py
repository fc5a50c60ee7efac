"""Replies from templates, `templates/LANGUAGE.toml`, in the language of the mail.

    write_letter(mail, triage, facts, decision, passages).body    # "Hello Tom Baker,\n\n…"

Every fact is formatted for the language, and a paragraph of the policy is quoted verbatim with its
source. Nothing of the mail is repeated but its subject and an order number.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from agentic_workflow.store.case import Decision, Draft, Facts, Mail, Passage, Triage

LOCALES = {"en": "en_IE", "de": "de_DE", "fr": "fr_FR", "es": "es_ES"}
# Below it, a paragraph is rarely about the question.
QUOTE_SCORE = 0.35
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]")
_REPLY_PREFIX = re.compile(r"^(?:(?:re|aw|sv|fwd?|wg|tr|rv)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)


@cache
def templates(language: str) -> dict[str, Any]:
    """The texts in a language."""
    path = Path(__file__).parent / "templates" / f"{language}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def write_letter(
    mail: Mail, triage: Triage, facts: Facts, decision: Decision, passages: Sequence[Passage]
) -> Draft:
    """The reply that carries out a decision."""
    texts = templates(mail.language)
    category = triage.category if triage.category in texts["opening"] else "other"
    # 1. What the decision says, in view of the facts.
    groups = [name.split(".") for name in _message(mail, triage, facts, decision)]
    values = _values(mail, triage, facts, decision)
    message = " ".join(_fill(texts[group][name], values) for group, name in groups)
    # 2. The paragraph of the policy that answers the question, and what to do next.
    quotes = [p for p in passages if p.score >= QUOTE_SCORE][
        : decision.action in ("reply", "refund")
    ]
    paragraphs = [
        _fill(texts["greeting"], values),
        f"{texts['opening'][category]} {message}".strip(),
        *(_fill(texts["quote"], {"text": p.text, "source": p.source}) for p in quotes),
    ]
    if decision.action in ("reply", "hand_over"):
        parcel = category == "shipping" and facts.order_status == "delivered"
        name = (
            "hand_over" if decision.action == "hand_over" else "delivered" if parcel else category
        )
        paragraphs.append(texts["next"][name])
    return Draft(
        subject=reply_subject(mail),
        body="\n\n".join([*paragraphs, texts["closing"]]) + "\n",
        citations=tuple(p.source for p in quotes),
    )


def reply_subject(mail: Mail) -> str:
    """The subject of the reply; one line, without what was masked."""
    subject = _REPLY_PREFIX.sub("", " ".join(mail.subject.split()))[:150]
    masked = re.search(r"\[[A-Z_]+\]", subject)
    return f"Re: {subject if subject and not masked else templates(mail.language)['subject']}"


def _message(mail: Mail, triage: Triage, facts: Facts, decision: Decision) -> list[str]:
    """The names of the sentences that follow the opening."""
    category, status, settled = triage.category, facts.order_status, facts.refundable == 0
    match decision.action:
        case "ask" if not (mail.text.strip() or mail.subject.strip()):
            return ["ask.empty"]
        case "ask" if facts.order_id or category not in ("refund", "billing", "shipping"):
            return ["ask.details"]
        case "ask" if facts.customer_id:
            return ["ask.order_missing" if triage.order_id else "ask.order"]
        case "ask":
            return ["ask.sender_order" if triage.order_id else "ask.sender"]
        case "refund" if category == "billing" and status not in ("cancelled", "returned"):
            return ["money.surplus"]
        case "refund":
            return ["money.refund"]
        case "reply" if facts.order_id and status in ("cancelled", "returned"):
            return [f"status.{status}", *(["money.refunded"] if settled else [])]
        case "reply" if facts.order_id and category == "billing":
            return ["money.once" if facts.charges == 1 else "money.more"] if facts.charges else []
        case "reply" if facts.order_id and category in ("refund", "shipping", "complaint"):
            late = status == "shipped" and "" < facts.expected_on < date.today().isoformat()
            return ["status.late" if late else f"status.{status}"]
    return []


def _values(mail: Mail, triage: Triage, facts: Facts, decision: Decision) -> dict[str, str]:
    from babel.dates import format_date
    from babel.numbers import format_currency

    locale = LOCALES[mail.language]

    def day(iso: str) -> str:
        return format_date(date.fromisoformat(iso[:10]), "long", locale) if iso else ""

    def money(amount: Any, currency: str) -> str:
        return format_currency(amount, currency, locale=locale) if amount is not None else ""

    return {
        "name": facts.customer_name,
        "order": facts.order_id or "",
        "number": triage.order_id or "",
        "recent": ", ".join(facts.recent_orders[:3]),
        "ordered": day(facts.ordered_on),
        "delivered": day(facts.delivered_on),
        "expected": day(facts.expected_on),
        "carrier": facts.carrier,
        "tracking": facts.tracking,
        "charges": str(facts.charges),
        "total": money(facts.total, facts.currency),
        "amount": money(decision.amount, decision.currency),
    }


def _fill(template: str, values: dict[str, str]) -> str:
    """The template with its values; a part in double brackets is left out if it lacks one."""

    def part(match: re.Match[str]) -> str:
        return match[1] if all(values[name] for name in re.findall(r"{(\w+)}", match[1])) else ""

    text = _OPTIONAL.sub(part, template).format_map(values)
    return text[:1].upper() + text[1:]
