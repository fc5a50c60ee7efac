from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agentic_workflow.store.case import Category, Mail, Triage
from agentic_workflow.triage.offline.fields import answers_an_offer, open_text, read_fields
from agentic_workflow.triage.offline.words import plain

WEDNESDAY = datetime(2026, 6, 10, 9, tzinfo=UTC)


def read(text: str, category: Category = "refund", subject: str = "", quoted: str = "") -> Triage:
    mail = Mail(
        message_id="1",
        content_hash="1",
        sender="ann@example.com",
        subject=subject,
        text=text,
        quoted=quoted,
        sent_at=WEDNESDAY,
    )
    return read_fields(mail, category)


@pytest.mark.parametrize(
    ("text", "approval"),
    [
        ("Please delete my account.", True),
        ("Bitte löschen Sie alle meine Daten.", True),
        ("Comment faire pour clôturer mon espace client ?", True),
        ("Borren todo lo que tengan sobre mí, cuenta incluida.", True),
        ("I request erasure under Article 17.", True),
        ("I ask you to delete her account together with the saved cards.", True),
        ("Send me a copy of my data under the GDPR.", False),
    ],
)
def test_approval_is_needed_for_deletion_of_the_account(text: str, approval: bool) -> None:
    assert read(text, "account").needs_approval is approval


@pytest.mark.parametrize(
    ("text", "threat"),
    [
        ("Otherwise my lawyer will write to you.", True),
        ("Sonst gehe ich zur Verbraucherzentrale.", True),
        ("À défaut, je saisirai le tribunal.", True),
        ("Iré a los tribunales.", True),
        ("I don't want to go to court, but I will.", True),
        ("Please forget what I wrote about lawyers.", False),
        ("Vergessen Sie bitte das mit dem Anwalt.", False),
        ("My lawyer friend recommended your shop.", False),
        ("The legal notice on your page is outdated.", False),
        ("Dann werde ich ohne weitere Ankündigung Klage vor dem Amtsgericht erheben.", True),
        ("Otherwise I will go to court without further notice.", True),
        ("Je préfère un délai plus court.", False),
    ],
)
def test_legal_threat_needs_approval_and_is_urgent(text: str, threat: bool) -> None:
    triage = read(text, "complaint")
    assert (triage.needs_approval, triage.priority == "high") == (threat, threat)


@pytest.mark.parametrize(
    ("text", "category", "priority"),
    [
        ("The heater caught fire.", "technical", "high"),
        ("Der Toaster gab mir einen Stromschlag.", "technical", "high"),
        ("Do you sell smoke detectors?", "other", "low"),
        ("Somebody else is using my account.", "account", "high"),
        ("Salimos de viaje mañana y no ha llegado.", "shipping", "high"),
        ("I need the suit by tomorrow.", "shipping", "high"),
        ("I need the suit by 30 June.", "shipping", "normal"),
        ("I ordered last Friday and it is not here.", "shipping", "normal"),
        ("It came every blessed Thursday, in the brand colours.", "account", "normal"),
        ("Where is order 10234?", "shipping", "normal"),
        ("You won 1,000,000 USD, answer by tomorrow!", "spam", "low"),
    ],
)
def test_priority_follows_danger_dates_and_enquiries(
    text: str, category: Category, priority: str
) -> None:
    assert read(text, category).priority == priority


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Please refund 100.01 EUR.", ""),  # the limit is in the policy
        ("I want a hundred and fifty euros back.", "sum in words"),
        ("Ich will zweihundert Euro zurück.", "sum in words"),
        ("Devuélvanme ciento cincuenta euros.", "sum in words"),
        ("Refund both: the lamp for 39.90 € and the cable for 25.00 €.", "several sums"),
        ("I returned both coats, 64.00 € each. Where is my refund?", "several sums"),
    ],
)
def test_sum_that_has_to_be_computed_needs_approval(text: str, cause: str) -> None:
    assert read(text).approval_reason.partition(" (")[0] == cause


def test_sum_of_the_thread_counts_if_a_refund_names_none() -> None:
    offer = "> We can offer you a refund of 185.40 EUR for order 44190."
    assert read("Yes, I accept, please go ahead.", quoted=offer).amount == Decimal("185.40")
    assert read("Please refund 20 EUR.", quoted=offer).amount == Decimal(20)
    assert read("No, that is not enough.", "complaint", quoted=offer).amount is None


def test_short_answer_means_the_offer_of_the_thread() -> None:
    mail = Mail(message_id="1", content_hash="1", sender="", text="Yes.", quoted="> refund 20 EUR?")
    assert answers_an_offer(mail)
    assert not answers_an_offer(mail.model_copy(update={"quoted": "> refund?"}))
    assert not answers_an_offer(mail.model_copy(update={"text": "Why?"}))
    assert not answers_an_offer(mail.model_copy(update={"text": "word " * 50}))


def test_threat_in_the_thread_or_the_subject_of_a_reply_does_not_count() -> None:
    triage = read("Thanks!", "other", "Re: I will call my lawyer", "> I will call my lawyer")
    assert not triage.needs_approval


def test_past_refund_is_not_asked_for() -> None:
    triage = read("Thanks for the refund of 150 EUR. Where is my new order 55012?", "shipping")
    assert (triage.amount, triage.needs_approval, triage.order_id) == (None, False, "55012")


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("No quiero los 60 euros, me quedo los zapatos.", "complaint"),
        ("Ich will Ihre 60 Euro nicht.", "complaint"),
        ("Les 159 € sont bien arrivés sur mon compte.", "other"),
        ("Die 230 Euro für den Spiegel sind da.", "shipping"),
        ("The drill cost 219 € last year. It smokes, what shall I do?", "technical"),
        ("Je veux pas de remboursement pour les 35 €, mais un peu de respect.", "refund"),
        ("No les pido que me devuelvan nada de los 70 €.", "refund"),
        ("Budget is about 900 euros. Do you have a discount for clubs?", "other"),
        ("¿Si yo pagué 40 €, dónde está el paquete?", "shipping"),
        ("The camp site, 312 EUR, is non-refundable. Where is the tent?", "shipping"),
    ],
)
def test_sum_that_is_not_asked_for_does_not_count(text: str, category: Category) -> None:
    assert read(text, category).amount is None


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("It is broken. I do not want a refund.", "it is broken."),
        ("I want no refund, please just repair it.", ""),
        ("I do not want a refund of 9 €, I want my 40 € back.", "i   of 9 €, i want my 40 € back."),
    ],
)
def test_open_text_has_no_declined_refund(text: str, rest: str) -> None:
    assert open_text(plain(text)) == rest
