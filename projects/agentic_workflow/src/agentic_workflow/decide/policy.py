"""The shop's policy: rules, limits and deadlines in a TOML file, and the decision about a case.

    policies = PolicyFile(SHOP_POLICY)    # follows changes of the file
    policies.current().decide(mail, screening, triage, facts).action    # "refund"

Safeguards are in code, so that no file can switch them off. Counting what a case has used is left
to the workflow; reserving a refund and booking it once, to `effects`.
"""

from __future__ import annotations

import hashlib
import re
import threading
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from agentic_workflow.decide.rules import Rule, Table
from agentic_workflow.decide.shop import FOREIGN_ORDER
from agentic_workflow.store.case import Decision, Facts, Mail, Screening, Triage
from seedbed.errors import ConfigError

SHOP_POLICY = Path(__file__).with_name("policy.toml")
LIMIT_EXCEEDED = "Limit exceeded: "  # the start of such a reason
SETTLED = ("cancelled", "returned")  # the order is to be refunded as a whole
_MESSAGES = {"extra_forbidden": "unknown key", "missing": "missing"}
_Quantity = Annotated[float, Field(strict=False, ge=0)]


class CaseLimits(Table):
    """What one case may use before a person takes over."""

    steps: int
    tokens: int
    cost_usd: _Quantity
    seconds: _Quantity


class DayLimits(Table):
    """What all cases of a day (UTC) may use."""

    cases: int
    tokens: int
    cost_usd: _Quantity


class Limits(Table):
    """Limits per case and per day."""

    case: CaseLimits
    day: DayLimits


class Approval(Table):
    """When people are reminded of a case, and what happens at the deadline."""

    remind_hours: _Quantity
    deadline_hours: _Quantity
    default: Literal["reject", "hold"]


class Retry(Table):
    """How often an effect is attempted; the pause doubles after each failure."""

    attempts: Annotated[int, Field(ge=1)]
    first_seconds: _Quantity


class Policy(Table):
    """A valid policy, as `load_policy` returns it."""

    version: str
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
        """What to do about a case. `over_limit` names an exceeded limit; `today` is for replays.

        A refund is at most what the sender paid for their own order and has not got back.
        """
        # 1. The first rule that applies.
        spam, refund = screening.spam or triage.category == "spam", _refund(triage, facts)
        due = refund and (facts.order_status in SETTLED or triage.category == "billing")
        delivered = date.fromisoformat(facts.delivered_on[:10]) if facts.delivered_on else None
        values = {**dict(facts), **dict(triage), **dict(screening), "automatic": mail.automatic}
        values |= {"spam": spam, "over_limit": over_limit, "refund_due": due}
        values |= {"known_customer": facts.customer_id, "order_known": facts.order_id}
        values["amount"] = max(filter(None, (triage.amount, refund)), default=None)
        values["delivered_days"] = ((today or date.today()) - delivered).days if delivered else None
        rule = next(rule for rule in self.rules if rule.when.applies(values))
        # 2. What cannot be done, whatever the rule says.
        action, reasons = rule.action, [rule.why]
        if mail.automatic:
            action = "ignore"  # or two machines would write to each other for ever
        elif action != "ignore" and not mail.sender:
            action, reasons = "hand_over", [*reasons, "The mail has no sender to reply to."]
        elif action == "refund" and refund is None:
            action, reasons = "hand_over", [*reasons, "No paid amount of the sender's can go back."]
        # 3. What needs a person, whatever the rule says.
        guards = [] if spam and action == "ignore" else _safeguards(screening, triage, facts)
        guards += [f"{LIMIT_EXCEEDED}{over_limit}."] if over_limit else []
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
    refundable = facts.refundable
    if not (facts.customer_id and facts.order_id and refundable):
        return None
    if triage.currency not in (None, facts.currency):
        return None
    if triage.category == "billing" and facts.order_status not in SETTLED:
        surplus = refundable - (facts.total or refundable)  # paid twice
        return surplus if surplus > 0 else None
    return min(triage.amount or refundable, refundable)


def _safeguards(screening: Screening, triage: Triage, facts: Facts) -> list[str]:
    reasons = [f"{w[:1].upper()}{w[1:]}." for w in facts.warnings if w.endswith(FOREIGN_ORDER)]
    if triage.needs_approval:
        reasons.append("A large sum, a deletion or a legal threat needs approval.")
    if screening.injection:
        reasons.append(f"The mail tries to instruct a model: {screening.injection}.")
    return reasons


def load_policy(path: Path) -> Policy:
    """Read and check a policy file. Raises ConfigError with file, line and reason of a mistake.

    >>> load_policy(SHOP_POLICY).approval.default
    'hold'
    """
    line = 1
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
        # With a hash, which distinguishes policies even if nobody raised the version.
        if isinstance(data.get("version"), str | int):
            data["version"] = f"{data['version']}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
        policy = Policy.model_validate(data)
        number, problem = next(_rule_mistakes(policy.rules), (0, ""))
        line = _line(text, ("rule", number))
    except tomllib.TOMLDecodeError as error:
        problem = str(error)
        place = re.search(r"at line (\d+)", problem)
        line = int(place[1]) if place else text.count("\n") + 1
    except ValidationError as error:
        # An unknown key is often a misspelt one, which is missing too.
        mistake = min(error.errors(), key=lambda m: m["type"] != "extra_forbidden")
        line = _line(text, mistake["loc"])
        message = _MESSAGES.get(mistake["type"], mistake["msg"])
        problem = f"{'.'.join(map(str, mistake['loc']))}: {message}"
    except (OSError, UnicodeDecodeError) as error:
        problem = str(error)
    if problem:
        raise ConfigError(f"{path}, line {line}: {problem}.")
    return policy


def _rule_mistakes(rules: tuple[Rule, ...]) -> Iterator[tuple[int, str]]:
    for number, rule in enumerate(rules):
        for earlier in rules[:number]:
            if earlier.name == rule.name:
                yield number, f"two rules have the name {rule.name!r}"
            if earlier.when.covers(rule.when):
                reason = f"{earlier.name!r} above applies in all its cases"
                yield number, f"rule {rule.name!r} is unreachable, because {reason}"
    if rules[-1].when.conditions:
        yield len(rules) - 1, "the last rule must have no conditions, so that some rule applies"


def _line(text: str, place: tuple[str | int, ...]) -> int:
    """The line of a key, such as ("rule", 3, "when", "category"), or of the table without it."""
    lines, first = text.splitlines(), 0
    last = len(lines)
    if place[0] == "rule" and len(place) > 1:
        heads = [n for n, line in enumerate(lines) if line.startswith("[[rule]]")]
        first, last = (*heads, last)[int(place[1])], (*heads, last, last)[int(place[1]) + 1]
    for part in (part for part in place if isinstance(part, str)):
        key = re.compile(rf"^\s*\[(\w+\.)*{part}\]|(^|[\s{{,.]){part}\s*[=.]")
        first = next((n for n in range(first, last) if key.search(lines[n])), first)
    return first + 1


class PolicyFile:
    """The policy of a file that may change. Raises ConfigError if it has a mistake at the start.

    Later, a mistake leaves the last valid policy in force and is described in `problem`, else "".
    """

    def __init__(self, path: Path) -> None:
        self.path, self.problem, self._lock = path, "", threading.Lock()
        self._stamp, self._policy = self._read_stamp(), load_policy(path)

    def current(self) -> Policy:
        """The policy in force; reads the file if it has changed."""
        with self._lock:
            if (stamp := self._read_stamp()) != self._stamp:
                self._stamp, self.problem = stamp, ""
                try:
                    self._policy = load_policy(self.path)
                except ConfigError as error:
                    self.problem = str(error)
            return self._policy

    def _read_stamp(self) -> tuple[int, ...]:
        with suppress(OSError):
            status = self.path.stat()
            return status.st_mtime_ns, status.st_size, status.st_ino
        return ()
