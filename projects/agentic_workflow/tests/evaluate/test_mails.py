import pytest

from agentic_workflow.evaluate.mails import Gold, Result
from agentic_workflow.store.case import Decision, Screening, Triage


@pytest.mark.parametrize(
    ("gold", "order", "pattern", "correct"),
    [
        ("SO-00123", "00123", False, True),
        ("00123", "123", False, False),
        (None, None, False, True),
        (None, "00123", False, False),
        ("SO-00123", "so-00123", True, True),
        ("SO-00123", "00123", True, False),
        ("SO-00123", None, True, False),
    ],
)
def test_order_is_compared_by_digits_or_by_the_pattern(
    gold: str | None, order: str | None, pattern: bool, correct: bool
) -> None:
    triage = Triage(category="shipping", order_id=order, order_ids=() if pattern else None)
    answer = Gold("1.eml", "shipping", "normal", False, gold, None)
    decision = Decision(action="reply", approval=True, rule="r")
    assert Result(answer, Screening(), triage, decision, None, 0.1).correct("order_id") is correct
