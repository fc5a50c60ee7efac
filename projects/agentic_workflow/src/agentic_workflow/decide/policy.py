"""The shop's policy: rules, limits and deadlines in a TOML file, and the decision about a case.

    policy = load_policy(SHOP_POLICY)
    policy.decide(mail, screening, triage, facts)    # Decision(action="refund", approval=False, …)

    policies = PolicyFile(path)    # follows changes of the file
    policies.current().limits.case.seconds, policies.problem

The safeguards are in code, so that no file can switch them off. Reserving a refund and booking it
once is left to `effects`, and counting what a case has used to the workflow.
"""

from __future__ import annotations

import hashlib
import re
import threading
import tomllib
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from agentic_workflow.decide.rules import Rule, Table
from agentic_workflow.decide.shop import FOREIGN_ORDER
from agentic_workflow.store.case import Action, Decision, Facts, Mail, Screening, Triage
from seedbed.errors import ConfigError

SHOP_POLICY = Path(__file__).with_name("policy.toml")
"""The policy of the sample shop."""

_Count = Annotated[int, Field(ge=0)]
_Quantity = Annotated[float, Field(strict=False, ge=0)]
_SETTLED = ("cancelled", "returned")  # orders that are to be refunded as a whole


class CaseLimits(Table):
    """What one case may use before a person takes over."""

    steps: _Count
    tokens: _Count
    cost_usd: _Quantity
    seconds: _Quantity


class DayLimits(Table):
    """What all cases of a day (UTC) may use before people take over the rest."""

    cases: _Count
    tokens: _Count
    cost_usd: _Quantity


class Limits(Table):
    """Limits per case and per day."""

    case: CaseLimits
    day: DayLimits


class Approval(Table):
    """When people are reminded of a case, and what happens if nobody decides."""

    remind_hours: _Quantity
    deadline_hours: _Quantity
    default: Literal["reject", "hold"]


class Retry(Table):
    """How often an effect is attempted, and the pause after the first failure, then doubled."""

    attempts: Annotated[int, Field(ge=1)]
    first_seconds: _Quantity


class Policy(Table):
    """A valid policy; see `load_policy`."""

    version: Annotated[str, Field(min_length=1)]
    limits: Limits
    approval: Approval
    retry: Retry
    rules: Annotated[tuple[Rule, ...], Field(strict=False, min_length=1, alias="rule")]

    def decide(
        self,
        mail: Mail,
        screening: Screening,
        triage: Triage,
        facts: Facts,
        *,
        over_limit: str = "",
        today: date | None = None,
    ) -> Decision:
        """What to do about a case.

        `over_limit` describes a limit that is exceeded; `today` (default: now) is the date from
        which the days since the delivery count. A refund is at most what was paid for the sender's
        own order and not refunded yet.
        """
        # 1. The first rule that applies.
        spam = screening.spam or triage.category == "spam"
        refund = _refund(triage, facts)
        values = triage.model_dump(include={"category", "priority", "confidence", "needs_approval"})
        values |= {
            "spam": spam,
            "automatic": mail.automatic,
            "injection": screening.injection,
            "known_customer": facts.customer_id,
            "order_known": facts.order_id,
            "order_status": facts.order_status,
            "refund_due": refund and (_settled(facts) or triage.category == "billing"),
            "warnings": facts.warnings,
            "over_limit": over_limit,
            "amount": max((a for a in (triage.amount, refund) if a), default=None),
            "delivered_days": _days_since(facts.delivered_on, today or date.today()),
        }
        rule = next(rule for rule in self.rules if rule.when.applies(values))
        # 2. What is impossible whatever the rule says.
        action, reasons = rule.action, [rule.why]
        if action != "ignore" and (obstacle := _obstacle(action, mail, refund)):
            action = "ignore" if mail.automatic else "hand_over"
            reasons.append(obstacle)
        # 3. What a person has to approve whatever the rule says.
        safeguards = [] if spam and action == "ignore" else _safeguards(screening, triage, facts)
        safeguards += [f"Limit exceeded: {over_limit}."] if over_limit else []
        if action == "refund" and (triage.amount or 0) > (refund or 0):
            safeguards.append(f"The mail asks for {triage.amount}; {refund} can be refunded.")
        return Decision(
            action=action,
            approval=rule.approval or action == "hand_over" or bool(safeguards),
            rule=rule.name,
            reasons=(*reasons, *safeguards),
            amount=refund if action == "refund" else None,
            currency=facts.currency,
            policy_version=self.version,
        )


def _settled(facts: Facts) -> bool:
    return facts.order_status in _SETTLED


def _refund(triage: Triage, facts: Facts) -> Decimal | None:
    """The largest refund for this request: None unless it is the sender's own, paid order."""
    if facts.customer_id is None or facts.order_id is None or not facts.refundable:
        return None
    if triage.currency not in (None, facts.currency):
        return None
    if triage.category == "billing" and not _settled(facts):
        # Paid more than once: the surplus, whichever part of it the mail mentions.
        surplus = facts.refundable - (facts.total or facts.refundable)
        return surplus if surplus > 0 else None
    return min(triage.amount or facts.refundable, facts.refundable)


def _days_since(day: str, today: date) -> int | None:
    return (today - datetime.fromisoformat(day).date()).days if day else None


def _obstacle(action: Action, mail: Mail, refund: Decimal | None) -> str:
    """Why an action cannot be carried out, or ""."""
    if mail.automatic:
        return "Automatic mails are never answered."
    if not mail.sender:
        return "The mail has no sender to reply to."
    if action == "refund" and refund is None:
        return "Nothing can be refunded: no paid order of the sender, or another currency."
    return ""


def _safeguards(screening: Screening, triage: Triage, facts: Facts) -> list[str]:
    """Why a person has to approve, whatever the rules say."""
    reasons = []
    if triage.needs_approval:
        reasons.append("The request needs approval: a large sum, a deletion or a legal threat.")
    if screening.injection:
        reasons.append(f"The mail tries to instruct a model: {screening.injection}.")
    reasons += [f"{w[:1].upper()}{w[1:]}." for w in facts.warnings if w.endswith(FOREIGN_ORDER)]
    return reasons


# ── the file ────────────────────────────────────────────────────────────────────────────────


def load_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises ConfigError with the file, the line and the reason for the first mistake: invalid TOML,
    an unknown key, a value of the wrong type, a rule that can never apply, no rule for the rest.

    >>> load_policy(SHOP_POLICY).approval.default
    'hold'
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read the policy {path}: {error}.") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        number = int(line[1]) if line else len(text.splitlines())
        raise ConfigError(f"{path}, line {number}: {error}.") from None
    if isinstance(data.get("version"), str | int):
        # The hash distinguishes policies even if nobody raised the version.
        data["version"] = f"{data['version']}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        place, reason = _first_mistake(error)
        raise ConfigError(f"{path}, line {_line(text, place)}: {reason}.") from None
    for number, reason in _rule_mistakes(policy.rules):
        raise ConfigError(f"{path}, line {_line(text, ('rule', number))}: {reason}.")
    return policy


def _first_mistake(error: ValidationError) -> tuple[tuple[str | int, ...], str]:
    mistake = error.errors()[0]
    name = ".".join(str(part) for part in mistake["loc"] if not isinstance(part, int))
    match mistake["type"]:
        case "missing":
            reason = f"{name} is missing"
        case "extra_forbidden":
            reason = f"unknown key {name}"
        case _:
            reason = f"{name} = {mistake['input']!r}: {mistake['msg']}"
    return mistake["loc"], reason


def _rule_mistakes(rules: tuple[Rule, ...]) -> Iterator[tuple[int, str]]:
    for number, rule in enumerate(rules):
        if rule.when.impossible:
            yield number, f"rule {rule.name!r} can never apply: its conditions exclude each other"
        for earlier in rules[:number]:
            if earlier.name == rule.name:
                yield number, f"two rules have the name {rule.name!r}"
            if earlier.when.covers(rule.when):
                reason = f"the rule {earlier.name!r} above applies in all its cases"
                yield number, f"rule {rule.name!r} is unreachable: {reason}"
    if rules[-1].when.conditions:
        yield len(rules) - 1, "the last rule must have no conditions, so that some rule applies"


def _line(text: str, place: tuple[str | int, ...]) -> int:
    """The line of a key, such as ("rule", 3, "when", "category"), or of the table that lacks it."""
    lines = text.splitlines()
    names = [part for part in place if isinstance(part, str)]
    count = next((part for part in place if isinstance(part, int)), 0)
    # 1. The lines of the table: its n-th header, up to the next one that is not inside it.
    headers = [n for n, line in enumerate(lines) if re.match(rf"\s*\[+{names[0]}\b", line)]
    header = f"[[{names[0]}]]"
    tables = [n for n in headers if lines[n].strip().startswith(header)] or headers[:1]
    start = tables[count] if count < len(tables) else 0
    later = [n for n in range(start + 1, len(lines)) if re.match(r"\s*\[", lines[n])]
    inside = rf"\s*\[{names[0]}\."
    end = next((n for n in later if not re.match(inside, lines[n])), len(lines))
    # 2. In it, the line that sets the key.
    for name in reversed(names):
        for number in range(start, end):
            if re.search(rf"(^|[\s{{,.\[]){re.escape(name)}\s*(=|\]|\.)", lines[number]):
                return number + 1
    return start + 1


class PolicyFile:
    """The policy of a file that may change at any time.

        policies = PolicyFile(SHOP_POLICY)
        policies.current().decide(mail, screening, triage, facts)

    Raises ConfigError if the file has a mistake at the start. Afterwards a mistake leaves the last
    valid policy in force, and its description is in `problem`, otherwise "".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._lock = threading.Lock()
        self._stamp = self._read_stamp()
        self._policy = load_policy(path)

    def current(self) -> Policy:
        """The policy in force; reads the file if it has changed."""
        with self._lock:
            stamp = self._read_stamp()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._policy, self.problem = load_policy(self.path), ""
                except ConfigError as error:
                    self.problem = str(error)
            return self._policy

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
