"""Priority, approval, order and amount of a mail, by rules.

    signals = read_signals(mail)
    triage = read_fields(mail, "refund", signals)

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

from agentic_workflow.store.case import Category, Mail, Priority, Triage
from agentic_workflow.triage.amounts import Amount, find_accepted, find_amount
from agentic_workflow.triage.orders import find_order
from agentic_workflow.triage.words import clauses, has, matcher, plain, sentences, words

LIMIT_EUR = Decimal(100)
_RATES = {"GBP": Decimal("1.2"), "CHF": Decimal("1.1")}  # into EUR, rounded up; others 1
_REPLY = re.compile(r"\s*(?:re|aw|antw|fw|fwd|wg|tr|ref|rv|sv)\s*(?:\[\d+\])?:", re.IGNORECASE)
_DELETION = re.compile(
    rf"(?<!\w)(?:{words('delete')}\W+(?P<gap>(?:[\w'./-]+\W+){{0,7}}?){words('account')}"
    rf"|{words('account')}\W+(?P<gap2>(?:[\w'./-]+\W+){{0,9}}?){words('delete')})(?!\w)"
)
_INSIDE = re.compile(rf"(?<!\w){words('inside')}\s$")


@dataclass(frozen=True)
class Signals:
    """The clauses of the new text that express a threat, a danger and so on; empty if none does."""

    legal: str = ""
    deletion: str = ""
    danger: str = ""
    misuse: str = ""  # another person uses the account
    twice: str = ""  # charged twice
    dunned: str = ""  # the shop asks for a payment
    unasked: str = ""  # disputes a charge for something not chosen
    accepted: str = ""  # accepts a sum that the quoted thread offers
    refused: str = ""  # wants no refund
    claim: str = ""  # a sum that may be asked for
    scam: str = ""  # wants bank details, passwords or bitcoins
    praise: str = ""  # thanks, and asks for nothing
    enquiry: str = ""  # says that it is a general one, or that nothing was bought
    goods: str = ""  # money back, and goods returned, broken or cancelled

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
    doubts = [part for part in parts if has("not", part) or has("hearsay", part)]
    open_parts = [part for part in parts if part in doubts or not has("past refund", part)]
    # "I want no refund of the postage, I want the 40 euros back": the second half is left.
    rests = [matcher("refuses refund").sub(" ", part) for part in open_parts]
    pairs = zip(open_parts, rests, strict=True)
    return "\n\n".join(rest for part, rest in pairs if rest == part or has("ask back", rest))


def asks_money(text: str) -> bool:
    """Whether plain text asks for money or disputes a charge; else its sums are only mentioned."""
    names = ("ask back", "topic goods", "charged twice", "unasked")
    return any(has(name, text) for name in names) or (
        has("dispute", text) and has("contested", text)
    )


def read_signals(mail: Mail) -> Signals:
    """What the rules read in the new text for certain, or nearly so."""
    text = plain(own_text(mail))
    parts = sentences(text)
    open_parts = open_text(mail)
    refused = next((p for p in parts if has("refuses refund", p)), "")
    amount = None
    if has("ask back", open_parts) or not refused:
        amount = find_amount(open_parts, claim=asks_money(open_parts))
    goods = matcher("topic goods").search(open_parts) if has("ask back", open_parts) else None
    accepted = "" if amount else _accepted(mail, parts)
    wants = (has("request", text) or has("problem", text)) and not has("only thanks", text)
    asks = wants or "?" in text or accepted or amount
    return Signals(
        legal=next((p for p in parts if _is_threat(p)), ""),
        deletion=next((p for p in parts if _asks_deletion(p)), ""),
        danger=next((p for p in parts if _is_danger(p)), ""),
        misuse=next((p for p in parts if has("misuse", p)), ""),
        twice=next((p for p in parts if has("charged twice", p)), ""),
        dunned=next((p for p in parts if has("dunned", p)), ""),
        unasked=next((p for p in parts if amount and has("unasked", p)), ""),
        accepted=accepted,
        scam=next((p for p in parts if has("scam", p)), ""),
        refused=refused,
        claim=amount.clause if amount else "",
        praise="" if asks else next((p for p in parts if has("thanks", p) or has("praise", p)), ""),
        enquiry=next((p for p in parts if has("general enquiry", p)), ""),
        goods=goods[0] if goods else "",
    )


def read_fields(mail: Mail, category: Category, signals: Signals) -> Triage:
    """Order, amount, approval and priority of a mail of this category, with the reasons."""
    if category == "spam":
        return Triage(category=category, priority="low", reasons=("priority: low (spam)",))
    # 1. Order: the new text, else subject, else thread.
    order_id = find_order(mail.text, mail.subject, mail.quoted)
    # 2. Amount: asked for or disputed now; a sum of the thread only if the new text accepts it.
    amount = _amount(mail, category, signals)
    # 3. Approval, and priority, which a threat or a danger raises in any category.
    approval = _approval(mail, category, amount, signals)
    priority, why = _priority(mail, category, order_id, signals)
    said = amount and f'{amount.value} ("{amount.clause[:80]}")'
    reasons = {"order": order_id, "amount": said, "approval": approval}
    reasons["priority"] = f"{priority} ({why[:80]})" if why else ""
    return Triage(
        category=category,
        priority=priority,
        order_id=order_id,
        amount=amount.value if amount else None,
        currency=amount.currency if amount else None,
        needs_approval=bool(approval),
        reasons=tuple(f"{name}: {reason}" for name, reason in reasons.items() if reason),
    )


def _amount(mail: Mail, category: Category, signals: Signals) -> Amount | None:
    if signals.accepted:
        return find_accepted(signals.accepted, mail.quoted)
    text = "\n\n".join(c for c in clauses(open_text(mail)) if not has("right sum", c))
    back = has("ask back", text)
    contested = back or signals.twice or signals.unasked or has("contested", text)
    if has("document", text) and not contested:
        return None
    if signals.refused and not back and category != "billing":
        return None
    return find_amount(text, claim=category in ("refund", "billing") or back)


def _accepted(mail: Mail, parts: list[str]) -> str:
    quoted = plain(mail.quoted)
    brief = len(mail.text) < 200 and has("alternatives", quoted) and "?" not in mail.text
    for part in parts if has("offer", quoted) else []:
        answer = re.sub(rf"^{words('refusal')},? ", "", part)  # "No, the first one."
        names = ("choice", "first", "second", "third", *(["ask back"] if brief else []))
        choice = any(has(name, answer) for name in names)
        if (has("accept", answer) or choice) and not has("not", answer):
            return part if find_accepted(part, mail.quoted) or not choice else ""
    return ""


def _approval(mail: Mail, category: Category, amount: Amount | None, signals: Signals) -> str:
    if signals.legal:
        return f'legal threat ("{signals.legal[:80]}")'
    if signals.deletion:
        return f'deletion of the account ("{signals.deletion[:80]}")'
    if amount is None or amount.value * _RATES.get(amount.currency or "", Decimal(1)) <= LIMIT_EUR:
        return ""
    text = open_text(mail)
    charged = category == "billing" and has("taken", text)
    back = category == "refund" or signals.twice or signals.accepted or has("ask back", text)
    return f"{amount.value} asked back" if (back or charged) and not has("reminder", text) else ""


def _is_threat(sentence: str) -> bool:
    for harmless in ("harmless legal", "no notice"):
        sentence = matcher(harmless).sub(" ", sentence)
    for match in matcher("legal").finditer(sentence):
        before, after = sentence[: match.start()][-40:], sentence[match.end() :][:25]
        if has("condition", sentence) or not (has("not", before) or has("not", after)):
            return True
    return False


def _asks_deletion(sentence: str) -> bool:
    if has("forget", sentence) and not has("not", sentence):
        return True
    for match in _DELETION.finditer(sentence):
        gap = match["gap"] or match["gap2"] or ""
        before, after = sentence[: match.start()], sentence[match.end() :]
        # "the card from my account", "in my account … the card"; not "to delete my account"
        inside = _INSIDE.search(gap if match["gap"] is not None else before)
        part = has("minor object", sentence if inside else gap + before[-35:])
        # "Ihr Konto wird gelöscht": a shop, or who pretends to be one, speaks to its customer.
        yours = match["gap2"] is not None and has("your", before[-6:].strip())
        denied = yours or has("not", gap) or has("not", before[-25:]) or has("not", after[:8])
        happened = re.search(rf"(?<!\w){words('done')}\s+(?:\w+\s+){{0,3}}$", gap)
        asks = not happened or has("request", sentence)
        if asks and not (part or denied or has("ask", before)):
            return True
    return False


def _is_danger(sentence: str) -> bool:
    sentence = matcher("harmless danger").sub(" ", sentence)
    match = matcher("danger").search(sentence)
    return match is not None and not has("not", sentence[: match.start()][-12:])


def _priority(
    mail: Mail, category: Category, order_id: str | None, signals: Signals
) -> tuple[Priority, str]:
    text = plain(own_text(mail))
    if serious := signals.danger or signals.legal or signals.misuse:
        return "high", serious
    if category == "account" and (stranger := matcher("stranger").search(text)):
        return "high", stranger[0]
    if due := _due_soon(text, category, mail.sent_at.date() if mail.sent_at else None):
        return "high", due
    calm = not order_id and not has("problem", text) and has("enquiry", text)
    change = order_id and ("?" in text or has("request", text))
    if (category == "other" and not change) or (category == "shipping" and calm):
        return "low", "general enquiry or thanks"
    return "normal", ""


def _due_soon(text: str, category: Category, sent: date | None) -> str:
    """The clause with a date in the three days after `sent` that the sender would miss."""
    late = category == "shipping" and has("problem", text)
    parts = sentences(text)
    for number, sentence in enumerate(parts):
        around = " ".join(parts[max(0, number - 2) : number + 3])
        for clause in clauses(sentence) if late or has("deadline", around) else []:
            near = has("near", clause) or (sent is not None and _names_day(clause, sent))
            past = has("past", clause) and not has("not", clause)
            if near and not past:
                return clause
    return ""


def _names_day(clause: str, sent: date) -> bool:
    days, (weekdays, months) = {sent + timedelta(days=n) for n in range(4)}, _day_names()
    for name in re.findall(rf"\b({'|'.join(weekdays)})\b", clause):
        over = re.search(rf"{words('last')}(?: \w+)? {name}|{name} (?:dernier|pasado)", clause)
        if not over and any(weekdays[name] == day.weekday() for day in days):
            return True
    month = rf"({'|'.join(months)})"
    written = re.findall(rf"\b(\d\d?)\w{{0,2}}\.? (?:of |de )?{month}\b", clause)
    written += [(d, m) for m, d in re.findall(rf"\b{month} (\d\d?)\b", clause)]
    dates = [(d, months[m]) for d, m in written]
    dates += [(d, int(m)) for d, m in re.findall(r"\b(\d\d?)[./](\d\d?)(?:[./]|\b)", clause)]
    return any((day.day, day.month) == (int(d), m) for d, m in dates for day in days)


@cache
def _day_names() -> tuple[dict[str, int], dict[str, int]]:
    """Weekdays from Monday = 0 and months from January = 1, in all languages."""
    from babel.dates import get_day_names, get_month_names

    languages = ("en", "de", "fr", "es")
    weekdays, months = (
        {plain(name): k for code in languages for k, name in names("wide", locale=code).items()}
        for names in (get_day_names, get_month_names)
    )
    return weekdays, months
