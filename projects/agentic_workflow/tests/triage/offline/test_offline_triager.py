from pathlib import Path

import pytest

from agentic_workflow.case import Mail
from agentic_workflow.triage.offline.classifier import Classifier
from agentic_workflow.triage.offline.offline_triager import OfflineTriager
from seedbed.models.embeddings.hash import HashEmbeddings


def letter(text: str, **fields: object) -> Mail:
    return Mail.model_validate(
        {"message_id": "1", "content_hash": "1", "sender": "", "text": text, **fields}
    )


@pytest.fixture
def triager(tmp_path: Path, examples: Path) -> OfflineTriager:
    return OfflineTriager(Classifier(HashEmbeddings(32), examples, tmp_path))


def test_triage_has_category_and_sum_with_reasons(triager: OfflineTriager) -> None:
    text = "Order 10234 is broken, I want my money back: 129.90 EUR."
    triage = triager.triage(letter(text))
    assert (triage.category, str(triage.amount), triage.currency) == ("refund", "129.90", "EUR")
    assert triage.reasons == ("category: refund (classifier)", "amount: 129.90")


def test_several_sums_are_left_to_a_person(triager: OfflineTriager) -> None:
    triage = triager.triage(letter("Money back: the lamp, 39.90 €, and cable, 25 €."))
    assert (triage.amount, triage.approval_reason) == (None, "It names several sums")


def test_short_answer_to_an_offer_of_money_is_a_refund(triager: OfflineTriager) -> None:
    offer = "> We can offer you a refund of 185.40 EUR for order 44190."
    triage = triager.triage(letter("opening hours, catalogue: yes", quoted=offer))
    assert (triage.category, str(triage.amount)) == ("refund", "185.40")
    assert triage.confidence == 0.5
