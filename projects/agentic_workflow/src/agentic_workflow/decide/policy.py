"""The shop's policy: rules, limits and deadlines in a TOML file, and the decision about a case.

    policies = PolicyFile(SHOP_POLICY)    # follows changes of the file
    policies.current().decide(mail, triage, facts).action    # "refund"

Safeguards are in code, so that no file can switch them off. What must be proven before the desk
acts alone is in `alone.py`. Counting what a case has used is left to the workflow; reserving a
refund and booking it once, to `effects`.
"""

from __future__ import annotations

import hashlib
import operator
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agentic_workflow.case import Action, Category, Decision, Facts, Mail, Priority, Triage
from agentic_workflow.decide.alone import Alone
from agentic_workflow.decide.shop import FOREIGN_ORDER, OrderStatus
from seedbed.errors import ConfigError

SHOP_POLICY = Path(__file__).with_name("policy.toml")
SETTLED = ("cancelled", "returned")  # the order is to be refunded as a whole
_Quantity = Annotated[float, Field(strict=False, ge=0, le=1e9, allow_inf_nan=False)]
_Hours = Annotated[float, Field(strict=False, gt=0, le=24 * 365, allow_inf_nan=False)]
_LIST = BeforeValidator(lambda value: (value,) if isinstance(value, str) else tuple(value))
_Number = Annotated[Decimal, Field(strict=False, ge=0, allow_inf_nan=False)]
_Share = Annotated[Decimal, Field(strict=False, gt=0, le=1)]
_COMPARISONS = {"_above": operator.gt, "_at_most": operator.le, "_below": operator.lt}


class Table(BaseModel):
    """A table of the policy file. Unknown keys and wrong types are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Limits(Table):
    """What models may cost before a person takes over: for one case, and for a day (UTC)."""

    case_usd: _Quantity
    day_usd: _Quantity


class Approval(Table):
    """How long a case waits for a person, and what happens then."""

    deadline_hours: _Hours
    default: Literal["reject", "hold"]


class Retry(Table):
    """How often an effect is attempted; the pause doubles after each failure."""

    attempts: Annotated[int, Field(ge=1, le=100)]
    first_seconds: Annotated[float, Field(strict=False, ge=0, le=86_400)]


class When(Table):
    """The conditions of a rule. All must apply; a rule without any always applies.

    The amount is what the sender asks for or disputes, or the refund that is due if that is larger.
    A missing value, such as the amount of a mail that names none, meets no condition on it.
    """

    category: Annotated[tuple[Category, ...], _LIST] | None = None
    priority: Annotated[tuple[Priority, ...], _LIST] | None = None
    order_status: Annotated[tuple[OrderStatus, ...], _LIST] | None = None
    spam: bool | None = None
    automatic: bool | None = None  # proven to be an automatic reply or a delivery report
    injection: bool | None = None  # the mail tries to instruct a model
    order_known: bool | None = None  # the order exists and belongs to the sender
    refund_due: bool | None = None  # cancelled, returned or paid twice, and not refunded yet
    over_limit: bool | None = None  # a limit of the case or of the day is exceeded
    amount_above: _Number | None = None
    amount_at_most: _Number | None = None
    delivered_days_above: _Number | None = None  # since the delivery
    confidence_below: _Share | None = None

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether the values of a case, such as `category` and `amount`, meet all conditions."""
        conditions = self.model_dump(exclude_none=True)
        return all(_meets(name, bound, values) for name, bound in conditions.items())


class Rule(Table):
    name: str
    when: When = When()
    action: Action
    approval: bool  # whether a person has to approve first
    why: str


def _meets(name: str, bound: Any, values: Mapping[str, Any]) -> bool:
    for suffix, compare in _COMPARISONS.items():
        if name.endswith(suffix):
            value = values[name.removesuffix(suffix)]
            return value is not None and bool(compare(value, bound))
    return values[name] in bound if isinstance(bound, tuple) else bool(values[name]) is bound


class Policy(Table):
    """A valid policy, as `load_policy` returns it."""

    version: str
    limits: Limits
    approval: Approval
    retry: Retry
    alone: Alone = Alone()
    rules: Annotated[tuple[Rule, ...], Field(strict=False, min_length=1, alias="rule")]

    def decide(
        self,
        mail: Mail,
        triage: Triage,
        facts: Facts,
        *,
        over_limit: str = "",
        today: date | None = None,
    ) -> Decision:
        """What to do about a case. `over_limit` names an exceeded limit; `today` is for tests.

        A refund is at most what the sender paid for their own order and has not got back.
        """
        # 1. The first rule that applies.
        spam, refund = mail.spam or triage.category == "spam", _refund(triage, facts)
        due = refund and (facts.order_status in SETTLED or triage.category == "billing")
        delivered = date.fromisoformat(facts.delivered_on[:10]) if facts.delivered_on else None
        values = {**dict(facts), **dict(triage), "automatic": mail.automatic}
        values |= {"injection": mail.injection, "spam": spam}
        values |= {"over_limit": over_limit, "refund_due": due}
        values["order_known"] = facts.order_id
        values["amount"] = max(filter(None, (triage.amount, refund)), default=None)
        values["delivered_days"] = ((today or date.today()) - delivered).days if delivered else None
        rule = next(rule for rule in self.rules if rule.when.applies(values))
        # 2. What cannot be done, whatever the rule is.
        action, reasons = rule.action, [rule.why]
        if mail.automatic:
            action = "ignore"  # or two machines would write to each other for ever
        elif action != "ignore" and not mail.sender:
            action, reasons = "hand_over", [*reasons, "The mail has no sender to reply to."]
        elif action == "refund" and refund is None:
            action, reasons = "hand_over", [*reasons, "No paid amount of the sender's can go back."]
        # 3. What needs a person, whatever the rule is.
        guards = [] if spam and action == "ignore" else _safeguards(mail, triage, facts)
        guards += [f"Limit exceeded: {over_limit}."] if over_limit else []
        if action == "refund" and refund and (triage.amount or 0) > refund:
            guards.append(f"The mail asks for {triage.amount}, and {refund} can be refunded.")
        return Decision(
            action=action,
            approval=rule.approval or action == "hand_over" or bool(guards),
            rule=rule.name,
            reasons=(*reasons, *guards),
            amount=refund if action == "refund" else None,
            currency=facts.currency,
            policy_version=self.version,
        )


def _refund(triage: Triage, facts: Facts) -> Decimal | None:
    """The refund for this request; None unless it is the sender's own, paid order."""
    refundable = (facts.refundable or Decimal(0)) - facts.refunded
    if not (facts.customer_id and facts.order_id and refundable > 0):
        return None
    if triage.currency not in (None, facts.currency):
        return None
    if triage.category == "billing" and facts.order_status not in SETTLED:
        surplus = refundable - (facts.total or refundable)  # paid twice
        return surplus if surplus > 0 else None
    return min(triage.amount or refundable, refundable)


def _safeguards(mail: Mail, triage: Triage, facts: Facts) -> list[str]:
    reasons = [f"{w}." for w in facts.warnings if w.endswith(FOREIGN_ORDER)]
    if facts.refunded:
        reasons.append(f"The desk has refunded {facts.refunded} for this order already.")
    if triage.approval_reason:
        reasons.append(f"{triage.approval_reason}.")
    if mail.injection:
        reasons.append(f"The mail tries to instruct a model: {mail.injection}.")
    return [f"{reason[:1].upper()}{reason[1:]}" for reason in reasons]


def load_policy(path: Path) -> Policy:
    """Read and check a policy file. Raises ConfigError with file, line and reason of a mistake.

    >>> load_policy(SHOP_POLICY).approval.default
    'hold'
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}, line 1: {error}.") from None
    line, problem = 1, ""
    try:
        data = tomllib.loads(text)
        # With a hash, which distinguishes policies even if the version was not raised.
        if isinstance(data.get("version"), str | int):
            data["version"] = f"{data['version']}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
        policy = Policy.model_validate(data)
        if policy.rules[-1].when != When():
            line = _line(text, ("rule", len(policy.rules) - 1))
            problem = "the last rule must have no conditions, so that some rule applies"
    except tomllib.TOMLDecodeError as error:
        problem = str(error)
        place = re.search(r"at line (\d+)", problem)
        line = int(place[1]) if place else text.count("\n") + 1
    except ValidationError as error:
        # An unknown key is often a misspelt one, which is missing too.
        mistake = min(error.errors(), key=lambda m: m["type"] != "extra_forbidden")
        keys = mistake["loc"]
        line = _line(text, keys[:-1] if mistake["type"] == "missing" else keys)
        message = {"extra_forbidden": "unknown key", "missing": "missing"}.get(mistake["type"])
        problem = f"{'.'.join(map(str, keys))}: {message or mistake['msg']}"
    if problem:
        raise ConfigError(f"{path}, line {line}: {problem}.")
    return policy


def _line(text: str, place: tuple[str | int, ...]) -> int:
    """The line of a key, such as ("rule", 3, "when", "category")."""
    lines, first = text.splitlines(), 0
    if place[:1] == ("rule",) and len(place) > 1:
        heads = [number for number, line in enumerate(lines) if line.startswith("[[rule]]")]
        first, place = (heads[int(place[1]) :] or [0])[0], place[2:]
    for key in filter(str.isidentifier, map(str, place)):
        pattern = rf"(?<!\w){key}(?: *[=.]|\])"
        first = next((n for n in range(first, len(lines)) if re.search(pattern, lines[n])), first)
    return first + 1


class PolicyFile:
    """The policy of a file that may change. Raises ConfigError if it has a mistake at the start.

    Later, a mistake leaves the last valid policy in force and is described in `problem`, else "".
    """

    def __init__(self, path: Path) -> None:
        self.path, self.problem = path, ""
        self._policy = load_policy(path)
        self._changed = path.stat().st_mtime_ns

    def current(self) -> Policy:
        """The policy in force; reads the file if it has changed."""
        changed = self.path.stat().st_mtime_ns if self.path.exists() else 0
        if changed != self._changed:
            self._changed, self.problem = changed, ""
            try:
                self._policy = load_policy(self.path)
            except ConfigError as error:
                self.problem = str(error)
        return self._policy
