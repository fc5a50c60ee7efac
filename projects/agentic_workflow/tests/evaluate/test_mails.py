import pytest

from agentic_workflow.case import Decision, Triage
from agentic_workflow.evaluate.mails import Gold, Result


@pytest.mark.parametrize(
    ("gold", "order", "correct"),
    [("SO-00123", "so-00123", True), ("SO-00123", "00123", False), (None, "00123", False)],
)
def test_order_is_compared_in_any_case(gold: str | None, order: str, correct: bool) -> None:
    triage = Triage(category="shipping", order_id=order)
    fields = {"file": "1.eml", "category": "shipping", "priority": "normal"}
    answer = Gold.model_validate({**fields, "needs_approval": False, "order_id": gold})
    decision = Decision(action="reply", approval=True, rule="r")
    assert Result(answer, triage, decision).correct("order_id") is correct
