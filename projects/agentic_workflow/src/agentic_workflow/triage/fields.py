"""Priority, approval, order and amount of a mail, by rules.

    fields = read_fields(mail, "refund")
    fields.needs_approval, fields.reasons

What a person has to approve: more than 100 EUR asked back, an account to be deleted, a legal
threat. A rule that is unsure decides for approval: asking a person once too often costs a minute,
acting without one may cost a customer. The category comes from the classifier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

from agentic_workflow.store.case import Category, Mail, Priority
from agentic_workflow.triage.amounts import Amount, find_amount
from agentic_workflow.triage.orders import find_order
from agentic_workflow.triage.words import clauses, has, matcher, plain, sentences, words

LIMIT_EUR = Decimal(100)
_RATES = {"GBP": Decimal("1.2"), "CHF": Decimal("1.1")}  # into EUR, rounded up; others 1
_REPLY = re.compile(r"\s*(?:re|aw|antw|fw|fwd|wg|tr|ref|rv|sv)\s*(?:\[\d+\])?:", re.IGNORECASE)
_QUESTION = re.compile(r"\bwhy\b|\bwarum\b|\bwieso\b|\bpourquoi\b|\bpor que\b")
_PASSIVE = re.compile(
    r"\b(?:was|were|has been|have been|got|will be|wurden?|ist|sind"
    r"|a ete|ont ete|ha sido|han sido|fue|esta)"
    r"\s+(?:\w+\s+){0,3}$"
)
_REQUEST = re.compile(
    r"\b(?:ask\w*|request\w*|want\w*|please|bitte\w*|gebeten|verlang\w*|mochte|demand\w*|souhait\w*"
    r"|veux|voudrais|merci de|solicit\w*|pedi\w*|quiero|por favor|confirm\w*|bestatig\w*)\b"
)


@dataclass(frozen=True)
class Fields:
    """What the rules found; `signals` are certain enough to influence the category."""

    priority: Priority = "normal"
    order_id: str | None = None
    amount: Amount | None = None
    needs_approval: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signals:
    """Clauses of the new text that express a threat, a danger and so on; empty if none does."""

    legal: str = ""
    deletion: str = ""
    danger: str = ""
    misuse: str = ""
    twice: str = ""
    accepted: str = ""
    refused: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The signals that are there."""
        return tuple(name for name in SIGNALS if getattr(self, name))


SIGNALS = tuple(field.name for field in fields(Signals))


def own_text(mail: Mail) -> str:
    """Subject and new text; the subject of a reply belongs to the thread."""
    subject = "" if _REPLY.match(mail.subject) else mail.subject
    return f"{subject}\n\n{mail.text}".strip()


def open_text(mail: Mail) -> str:
    """Plain own text without clauses that report or decline a refund: they ask for nothing."""
    parts = clauses(plain(own_text(mail)))
    return "\n\n".join(p for p in parts if not has("refuses refund", p) and not _is_past_refund(p))


def _is_past_refund(clause: str) -> bool:
    return has("past refund", clause) and not has("not", clause)


def read_signals(mail: Mail) -> Signals:
    """The clauses that decide about priority and approval, each for its own reason."""
    parts = sentences(plain(own_text(mail)))
    found = {
        "legal": next((p for p in parts if _is_threat(p)), ""),
        "deletion": next((p for p in parts if _asks_deletion(p)), ""),
        "danger": next((p for p in parts if _is_danger(p)), ""),
        "misuse": next((p for p in parts if has("misuse", p)), ""),
        "twice": next((p for p in parts if has("charged twice", p)), ""),
        "accepted": _accepted(mail, parts),
        "refused": next((p for p in parts if has("refuses refund", p)), ""),
    }
    return Signals(**found)


def read_fields(mail: Mail, category: Category, signals: Signals) -> Fields:
    """Order, amount, approval and priority of a mail of this category."""
    reasons = []
    # 1. Order: the new text, else subject, else thread.
    order_id = None if category == "spam" else find_order(mail.text, mail.subject, mail.quoted)
    # 2. Amount: asked for or disputed now; a sum of the thread only if the new text accepts it.
    amount = None if category == "spam" else _amount(mail, category, signals)
    # 3. Approval.
    approval = "" if category == "spam" else _approval(mail, amount, signals)
    # 4. Priority, which a threat or a danger raises in any category.
    priority, why = _priority(mail, category, order_id, signals)
    for name, value, words_ in (
        ("order", order_id, ""),
        ("amount", amount and amount.value, amount.clause if amount else ""),
        ("approval", approval, ""),
        ("priority", priority, why),
    ):
        if value:
            reasons.append(f"{name}: {value}" + (f' ("{words_[:80]}")' if words_ else ""))
    return Fields(priority, order_id, amount, bool(approval), tuple(reasons))


# ── amount ──────────────────────────────────────────────────────────────────────────────────


def _amount(mail: Mail, category: Category, signals: Signals) -> Amount | None:
    text = open_text(mail)
    if signals.refused and not signals.twice:
        return None
    claim = category in ("refund", "billing")
    amount = find_amount(text, claim=claim)
    if amount is None and signals.accepted:
        amount = find_amount(mail.quoted, claim=True)
    return amount


def _accepted(mail: Mail, parts: list[str]) -> str:
    """The clause that accepts a sum of the quoted thread."""
    if not has("offer", plain(mail.quoted)) or find_amount(mail.text, claim=True):
        return ""
    return next((p for p in parts if has("accept", p) and not has("not", p)), "")


# ── approval ────────────────────────────────────────────────────────────────────────────────


def _approval(mail: Mail, amount: Amount | None, signals: Signals) -> str:
    if signals.legal:
        return f'legal threat ("{signals.legal[:80]}")'
    if signals.deletion:
        return f'deletion of the account ("{signals.deletion[:80]}")'
    if amount is None:
        return ""
    euros = amount.value * _RATES.get(amount.currency or "EUR", Decimal(1))
    simple = plain(own_text(mail))
    back = has("ask back", simple) or signals.twice or signals.accepted
    return f"{amount.value} asked back" if euros > LIMIT_EUR and back else ""


def _is_threat(clause: str) -> bool:
    clause = matcher("harmless legal").sub(" ", clause)
    for match in matcher("legal").finditer(clause):
        before = clause[max(0, match.start() - 40) : match.start()]
        after = clause[match.end() : match.end() + 40]
        denied = has("not", before) or has("not", after[:25])
        if not denied or has("condition", clause):
            return True
    return False


_DELETION = re.compile(
    rf"(?<!\w)(?:{words('delete')}\W+(?P<gap>(?:[\w'./-]+\W+){{0,7}}?){words('account')}"
    rf"|{words('account')}\W+(?P<gap2>(?:[\w'./-]+\W+){{0,9}}?){words('delete')})(?!\w)"
)


def _asks_deletion(sentence: str) -> bool:
    if has("forget", sentence) and not has("not", sentence):
        return True
    for match in _DELETION.finditer(sentence):
        before, gap = sentence[: match.start()], match["gap"] or match["gap2"] or ""
        nested = re.search(rf"{words('inside')}\s$", gap) or re.search(
            rf"{words('inside')}\s$", before
        )
        if nested and has("minor object", sentence):
            continue
        if has("minor object", gap) or has("minor object", before[-35:]):
            continue
        after = sentence[match.end() :]
        if has("not", gap) or has("not", before[-25:]) or has("not", after[:8]):
            continue
        if _QUESTION.search(before) or (_PASSIVE.search(gap) and not _REQUEST.search(sentence)):
            continue
        return True
    return False


# ── priority ────────────────────────────────────────────────────────────────────────────────


def _is_danger(clause: str) -> bool:
    clause = matcher("harmless danger").sub(" ", clause)
    match = matcher("danger").search(clause)
    return match is not None and not has("not", clause[max(0, match.start() - 12) : match.start()])


def _priority(
    mail: Mail, category: Category, order_id: str | None, signals: Signals
) -> tuple[Priority, str]:
    if category == "spam":
        return "low", "spam"
    for clause in (signals.danger, signals.legal, signals.misuse):
        if clause:
            return "high", clause
    simple = plain(own_text(mail))
    if due := _due_soon(simple, (mail.sent_at.date() if mail.sent_at else None)):
        return "high", due
    if category == "other":
        return "low", "general enquiry"
    calm = not has("problem", simple) and category not in ("account", "complaint")
    enquiry = calm and order_id is None and has("enquiry", simple)
    praise = has("thanks", simple) and has("settled", simple)
    enquiry = enquiry or (calm and praise and not _REQUEST.search(simple) and "?" not in simple)
    return ("low", "general enquiry") if enquiry else ("normal", "")


def _due_soon(text: str, sent: date | None) -> str:
    """The clause with a date in the three days after `sent` that the sender would miss."""
    urgent = has("deadline", text)
    for clause in clauses(text):
        near = has("near", clause) or (sent is not None and _names_day(clause, sent))
        past = has("past", clause) and not has("not", clause)
        if near and not past and (has("deadline", clause) or urgent):
            return clause
    return ""


def _names_day(clause: str, sent: date) -> bool:
    days = {sent + timedelta(days=n) for n in range(4)}
    for match in _day_pattern().finditer(clause):
        name, month = match["weekday"], match["month"] or match["month2"]
        if name and any(_WEEKDAYS[name] == day.weekday() for day in days):
            return True
        number = match["day"] or match["day2"] or match["day3"]
        month = _MONTHS[month] if month else int(match["number"] or 0)
        if number and any((day.day, day.month) == (int(number), month) for day in days):
            return True
    return False


_WEEKDAYS: dict[str, int] = {}
_MONTHS: dict[str, int] = {}


@cache
def _day_pattern() -> re.Pattern[str]:
    """Weekdays and dates such as "14 June", "June 14th", "14.06."; fills the tables of names."""
    from babel.dates import get_day_names, get_month_names

    for language in ("en", "de", "fr", "es"):
        for number, name in get_day_names("wide", locale=language).items():
            _WEEKDAYS[plain(name)] = number
        for number, name in get_month_names("wide", locale=language).items():
            _MONTHS[plain(name)] = number
    months, weekdays = "|".join(_MONTHS), "|".join(_WEEKDAYS)
    return re.compile(
        rf"\b(?:(?P<weekday>{weekdays})\b"
        rf"|(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|\.)?\s(?:of |de )?(?P<month>{months})\b"
        rf"|(?P<month2>{months})\s(?P<day2>\d{{1,2}})\b"
        rf"|(?P<day3>\d{{1,2}})[./](?P<number>\d{{1,2}})(?:[./]|\b))"
    )
