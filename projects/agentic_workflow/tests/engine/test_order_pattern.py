"""Order numbers that are not plain digits."""

import pytest

from agentic_workflow.decide.alone import Alone, require_proof
from agentic_workflow.engine.order_pattern import OrderPattern
from agentic_workflow.store.case import Decision, Facts, Mail, Screening, Triage
from seedbed.errors import ConfigError


class Guess:
    """A triager that takes digits for an order."""

    paid = False

    def __init__(self, order_id: str | None) -> None:
        self.order_id = order_id

    def triage(self, _mail: Mail, _screening: Screening) -> Triage:
        return Triage(category="shipping", order_id=self.order_id)


def mail(text: str, quoted: str = "") -> Mail:
    head = {"message_id": "m", "content_hash": "h", "sender": "tom@mail.example"}
    return Mail(**head, text=text, quoted=quoted, verified=True, spoken="en")


def triage(pattern: str, text: str, quoted: str = "", guess: str | None = None) -> Triage:
    return OrderPattern(Guess(guess), pattern).triage(mail(text, quoted), Screening())


@pytest.mark.parametrize(
    ("pattern", "text", "order"),
    [
        ("SO-[0-9]{5}", "Where is order SO-00123?", "SO-00123"),
        ("SO-[0-9]{5}", "where is so-00123", "so-00123"),
        ("SO-[0-9]{5}", "Where is XSO-00123, or SO-001234?", None),
        ("[0-9]{3}-[0-9]{7}-[0-9]{7}", "It is 114-3941689-8772232.", "114-3941689-8772232"),
        ("R-20[0-9]{2}-[0-9]{4}", "Rechnung R-2024-0815 (Tel. 0151 2024081)", "R-2024-0815"),
        ("(A|B)[0-9]+", "A1 and B2", "A1"),
        ("[0-9]*", "no number", None),
    ],
)
def test_order_has_the_form_of_the_pattern(pattern: str, text: str, order: str | None) -> None:
    assert triage(pattern, text, guess="00123").order_id == order


def test_order_of_the_triager_wins_if_it_has_the_form() -> None:
    found = triage("SO-[0-9]+", "SO-1 came, so-2 did not.", guess="SO-2")
    assert (found.order_id, found.order_ids) == ("so-2", ("SO-1", "SO-2"))
    assert triage("SO-[0-9]+", "Any news?", "> order SO-7").order_id == "SO-7"


@pytest.mark.parametrize(
    ("text", "quoted", "alone"),
    [
        ("Where is order SO-00123?", "", True),
        ("Where is order so-00123?", "> about order SO-00123", True),
        ("Where are SO-00123 and SO-00124?", "", False),
        ("Any news?", "> about order SO-00123", False),
    ],
)
def test_desk_acts_alone_on_one_order_of_the_new_text(text: str, quoted: str, alone: bool) -> None:
    facts = Facts(customer_id="K1", order_id="SO-00123", order_status="shipped")
    decision = Decision(action="reply", approval=False, rule="r")
    found = triage("SO-[0-9]{5}", text, quoted)
    decision = require_proof(decision, mail(text, quoted), found, facts, Alone())
    assert decision.approval is not alone


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "x(?=y)"])
def test_invalid_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="WORKFLOW_ORDER_PATTERN"):
        OrderPattern(Guess(None), pattern)
