"""The conditions of a policy's rules: whether they apply, and whether one rule hides another.

    when = When(category="refund", amount_at_most=Decimal(100))
    when.applies({"category": "refund", "amount": Decimal("49.90")})    # True
    when.covers(When(category="refund", amount_at_most=Decimal(50)))    # True

Reading the file and deciding are in `policy.py`.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from agentic_workflow.store.case import Action, Category, Priority

OrderStatus = Literal["paid", "shipped", "delivered", "cancelled", "returned"]
Number = Annotated[Decimal, Field(strict=False, ge=0)]
Days = Annotated[int, Field(ge=0)]


class Table(BaseModel):
    """A table of the policy file. Unknown keys and wrong types are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _as_tuple(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


_OneOrMore = BeforeValidator(_as_tuple)
_NotEmpty = Field(min_length=1)
_COMPARISONS = {"_above": operator.gt, "_at_most": operator.le, "_below": operator.lt}


class When(Table):
    """The conditions of a rule. All must apply; a rule without any always applies.

    An amount is what the sender asks for or disputes, or else the refund that is due. A value that
    is not known, such as the amount of a mail without one, meets no condition on it.
    """

    category: Annotated[tuple[Category, ...], _OneOrMore, _NotEmpty] | None = None
    priority: Annotated[tuple[Priority, ...], _OneOrMore, _NotEmpty] | None = None
    order_status: Annotated[tuple[OrderStatus, ...], _OneOrMore, _NotEmpty] | None = None
    spam: bool | None = None
    automatic: bool | None = None  # an auto-reply, a bounce or a mailing list
    injection: bool | None = None  # the mail tries to instruct a model
    needs_approval: bool | None = None  # according to triage
    known_customer: bool | None = None  # the sender's address is that of a customer
    order_known: bool | None = None  # the order exists and belongs to the sender
    refund_due: bool | None = None  # cancelled, returned or paid twice, and not refunded yet
    warnings: bool | None = None  # of the lookup, such as an order of another customer
    over_limit: bool | None = None  # a limit of the case or of the day is exceeded
    amount_above: Number | None = None
    amount_at_most: Number | None = None
    delivered_days_above: Days | None = None  # since the delivery
    delivered_days_at_most: Days | None = None
    confidence_below: Annotated[Decimal, Field(strict=False, ge=0, le=1)] | None = None

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions that are set, by name."""
        return self.model_dump(exclude_none=True)

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether the values of a case, by names such as `category` and `amount`, meet all."""
        return all(_meets(name, bound, values) for name, bound in self.conditions.items())

    def covers(self, other: When) -> bool:
        """Whether this applies in every case in which `other` does."""
        implied = other.conditions
        if implied.get("category") == ("spam",):
            implied["spam"] = True
        if implied.get("refund_due"):
            implied["order_known"] = True
        if implied.get("order_known"):
            implied["known_customer"] = True
        return all(
            name in implied and _implies(name, implied[name], bound)
            for name, bound in self.conditions.items()
        )

    @property
    def impossible(self) -> bool:
        """Whether two of the conditions exclude each other."""
        pairs = (
            (self.amount_above, self.amount_at_most),
            (self.delivered_days_above, self.delivered_days_at_most),
        )
        no_customer = self.known_customer is False and (self.order_known or self.refund_due)
        return bool(no_customer) or any(
            above is not None and most is not None and above >= most for above, most in pairs
        )


class Rule(Table):
    """What to do in some cases: the first rule whose conditions apply decides."""

    name: Annotated[str, _NotEmpty]
    why: Annotated[str, _NotEmpty]  # shown to people
    when: When = When()
    action: Action
    approval: bool  # whether a person has to approve first


def _meets(name: str, bound: Any, values: Mapping[str, Any]) -> bool:
    for suffix, compare in _COMPARISONS.items():
        if name.endswith(suffix):
            value = values[name.removesuffix(suffix)]
            return value is not None and bool(compare(value, bound))
    return values[name] in bound if isinstance(bound, tuple) else bool(values[name]) is bound


def _implies(name: str, condition: Any, bound: Any) -> bool:
    if isinstance(bound, tuple):
        return set(condition) <= set(bound)
    if isinstance(bound, bool):
        return condition is bound
    return bool(condition >= bound if name.endswith("_above") else condition <= bound)
