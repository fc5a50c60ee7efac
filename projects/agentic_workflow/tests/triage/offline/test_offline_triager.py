from pathlib import Path

import pytest

from agentic_workflow.store.case import Mail, Screening
from agentic_workflow.triage.offline.classifier import Classifier
from agentic_workflow.triage.offline.offline_triager import OfflineTriager
from agentic_workflow.triage.triager import open_triager
from seedbed.models.embeddings.hash import HashEmbeddings


def letter(text: str, **fields: object) -> Mail:
    return Mail.model_validate(
        {"message_id": "1", "content_hash": "1", "sender": "", "text": text, **fields}
    )


@pytest.fixture
def triager(tmp_path: Path, examples: Path) -> OfflineTriager:
    return OfflineTriager(Classifier(HashEmbeddings(32), examples, tmp_path))


def test_triage_gives_all_fields_with_reasons(triager: OfflineTriager) -> None:
    text = "Order 10234 is broken, I want my money back: 129.90 EUR. Or I sue you."
    triage = triager.triage(letter(text), Screening())
    assert (triage.category, triage.order_id, str(triage.amount)) == ("refund", "10234", "129.90")
    assert triage.needs_approval
    assert [reason.split(":")[0] for reason in triage.reasons] == [
        *("category", "order", "amount", "approval", "priority"),
    ]


def test_automatic_mail_is_other_unless_it_is_spam(triager: OfflineTriager) -> None:
    away = triager.triage(letter("parcel courier", automatic=True), Screening())
    assert (away.category, away.confidence) == ("other", 1.0)
    prize = triager.triage(letter("lottery prize lottery prize", automatic=True), Screening())
    assert prize.category == "spam"


def test_sentence_of_another_category_is_another_request(triager: OfflineTriager) -> None:
    parcel = "Where is the parcel, the parcel, the courier?"
    both = f"{parcel} The password, the password, the login, the password."
    assert triager.triage(letter(parcel), Screening()).others == ()
    assert triager.triage(letter(both), Screening()).others != ()


def test_short_answer_to_an_offer_of_money_is_a_refund(triager: OfflineTriager) -> None:
    offer = "> We can offer you a refund of 185.40 EUR for order 44190."
    triage = triager.triage(letter("opening hours, catalogue: yes", quoted=offer), Screening())
    assert (triage.category, str(triage.amount), triage.order_id) == ("refund", "185.40", "44190")
    assert triage.confidence == 0.5


@pytest.mark.slow  # it learns the examples
def test_classifier_sorts_mails_without_a_model() -> None:
    assert isinstance(open_triager(None, lambda: HashEmbeddings(32)), OfflineTriager)
