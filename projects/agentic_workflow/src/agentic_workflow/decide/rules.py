"""The conditions of a policy's rules: whether they apply, and whether one rule hides another.

    When(category="refund", amount_at_most=100).applies({"category": "refund", "amount": 49})
    When(spam=True).covers(When(spam=True, priority="low"))    # True

Reading the policy file and deciding are in `policy.py`.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from agentic_workflow.store.case import Action, Category, Priority

_LIST = BeforeValidator(lambda value: (value,) if isinstance(value, str) else tuple(value))
_Status = Literal["paid", "shipped", "delivered", "cancelled", "returned"]
_Number = Annotated[Decimal, Field(strict=False, ge=0)]
_COMPARISONS = {"_above": operator.gt, "_at_most": operator.le, "_below": operator.lt}


class Table(BaseModel):
    """A table of the policy file. Unknown keys and wrong types are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class When(Table):
    """The conditions of a rule. All must apply; a rule without any always applies.

    The amount is what the sender asks for or disputes, or else the refund that is due. A value that
    is not known, such as the amount of a mail without one, meets no condition on it.
    """

    category: Annotated[tuple[Category, ...], _LIST] | None = None
    priority: Annotated[tuple[Priority, ...], _LIST] | None = None
    order_status: Annotated[tuple[_Status, ...], _LIST] | None = None
    spam: bool | None = None
    automatic: bool | None = None  # an auto-reply, a bounce or a mailing list
    injection: bool | None = None  # the mail tries to instruct a model
    needs_approval: bool | None = None  # according to triage
    known_customer: bool | None = None  # the sender's address is that of a customer
    order_known: bool | None = None  # the order exists and belongs to the sender
    refund_due: bool | None = None  # cancelled, returned or paid twice, and not refunded yet
    warnings: bool | None = None  # of the lookup, such as an order of another customer
    over_limit: bool | None = None  # a limit of the case or of the day is exceeded
    amount_above: _Number | None = None
    amount_at_most: _Number | None = None
    delivered_days_above: _Number | None = None  # since the delivery
    delivered_days_at_most: _Number | None = None
    confidence_below: _Number | None = None

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions that are set, by name."""
        return self.model_dump(exclude_none=True)

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether the values of a case, such as `category` and `amount`, meet all conditions."""
        return all(_meets(name, bound, values) for name, bound in self.conditions.items())

    def covers(self, other: When) -> bool:
        """Whether this applies in every case in which `other` does."""
        theirs = other.conditions
        return all(n in theirs and _implies(n, theirs[n], b) for n, b in self.conditions.items())


class Rule(Table):
    """What to do in some cases, and the reason shown to people."""

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


def _implies(name: str, theirs: Any, ours: Any) -> bool:
    if isinstance(ours, tuple):
        return set(theirs) <= set(ours)
    if isinstance(ours, bool):
        return theirs is ours
    return bool(theirs >= ours if name.endswith("_above") else theirs <= ours)
