"""What patterns find in a mail: orders, sums, and what makes it urgent."""

from decimal import Decimal

import pytest

from agentic_workflow.case import Mail, Triage
from agentic_workflow.triage.finders import ORDERS, find_amount, find_urgent
from agentic_workflow.triage.triager import CheckedTriager
from seedbed.errors import ConfigError


class Guess:
    """A triager that takes digits for an order."""

    def __init__(self, order_id: str | None) -> None:
        self.order_id = order_id

    def triage(self, _mail: Mail) -> Triage:
        return Triage(category="shipping", order_id=self.order_id)


def read(pattern: str, text: str, quoted: str = "", guess: str | None = None) -> Triage:
    mail = Mail(message_id="m", content_hash="h", sender="", text=text, quoted=quoted)
    return CheckedTriager(Guess(guess), pattern).triage(mail)


@pytest.mark.parametrize(
    ("pattern", "text", "order"),
    [
        ("SO-[0-9]{5}", "Where is order SO-00123?", "SO-00123"),
        ("SO-[0-9]{5}", "Where is XSO-00123, or SO-001234?", None),
        ("[0-9]{3}-[0-9]{7}-[0-9]{7}", "It is 114-3941689-8772232.", "114-3941689-8772232"),
        ("(A|B)[0-9]+", "A1 and B2", "A1"),
        (ORDERS, "Es geht um die Bestellung Nr. 10234.", "10234"),
        (ORDERS, "My router 7590 fails, it is from order no. 10240.", "10240"),
        (ORDERS, "Please refund 1150,00 €, of 12.03.2025.", None),
    ],
)
def test_order_has_the_form_of_the_pattern(pattern: str, text: str, order: str | None) -> None:
    assert read(pattern, text).order_id == order


def test_order_of_the_triager_wins_and_the_thread_comes_last() -> None:
    found = read("SO-[0-9]+", "SO-1 came, so-2 did not.", guess="SO-2")
    assert (found.order_id, found.order_ids) == ("so-2", ("SO-1", "SO-2"))
    found = read("SO-[0-9]+", "Any news?", "> order SO-7")
    assert (found.order_id, found.order_ids) == ("SO-7", ())


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "x(?=y)"])
def test_invalid_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="WORKFLOW_ORDER_PATTERN"):
        CheckedTriager(Guess(None), pattern)


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("Bitte erstatten Sie 1.150,00 €", "1150.00", "EUR"),
        ("Please refund EUR 1,150.00.", "1150.00", "EUR"),
        ("refund the 129.90", "129.90", None),
        ("I was charged 59.90 € twice, yes, 59.90 €!", "59.90", "EUR"),
    ],
)
def test_amount_is_the_only_sum(text: str, value: str, currency: str | None) -> None:
    assert find_amount(text) == (Decimal(value), currency, 1)


@pytest.mark.parametrize(
    ("text", "count"),
    [("The lamp was 39.90 €, the cable 25 €.", 2), ("At 10.30 Uhr, from the 24.07. on", 0)],
)
def test_amount_is_missing_for_several_sums_or_none(text: str, count: int) -> None:
    assert find_amount(text) == (None, None, count)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Otherwise my LAWYER will write to you.", "lawyer"),
        ("Sonst gehe ich zur Verbraucherzentrale.", "verbraucherzentrale"),
        ("Le câble a brûlé.", "brule"),
        ("Somebody else is using my account.", "somebody else is using"),
        ("Where is order 10234? Sue", ""),
    ],
)
def test_urgent_words_are_found_in_four_languages(text: str, word: str) -> None:
    assert find_urgent(text) == word
