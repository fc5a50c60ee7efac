from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agentic_workflow.store.case import Category, Mail, Triage
from agentic_workflow.triage.fields import open_text, read_fields, read_signals

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
    return read_fields(mail, category, read_signals(mail))


@pytest.mark.parametrize(
    ("text", "approval"),
    [
        ("Please refund 100.00 EUR.", False),
        ("Please refund 100.01 EUR.", True),
        ("Bitte 1.249,00 € auf mein Konto zurück.", True),
        ("I was charged 449 € on Monday and 449 € on Tuesday.", True),
        ("Retoure vor Wochen, kein Geld zurück, keine Antwort. Es sind 189 €!", True),
        ("Still no refund, just excuses. 150 EUR!", True),
        ("You say the 150 € have arrived, but they have not.", True),
        ("It is not about the money. But I want my 180 EUR back.", True),
        ("I don't want to send it back, please refund 150 EUR.", True),
        ("Noch immer kein Geld zurück, nur Ausreden. 150 EUR!", True),
        ("The 140 EUR I would like to see returned to me.", True),
        ("Two lines of 140 EUR. Please return the second 140 EUR.", True),
        ("You took 140 EUR two times, give me one of the 140 back.", True),
        ("Ich will das nicht länger hinnehmen, erstatten Sie die 150 Euro.", True),
        ("Send me the invoice. You charged 189 EUR twice.", True),
        ("I do not want a refund of the 249 €, only a new charger.", False),
        ("Bitte kein Geld zurück für die 389 €: was bedeutet E04?", False),
        ("The invoice of 780 € lists 128 € too much. Nothing has been paid yet.", False),
    ],
)
def test_approval_is_needed_above_the_limit(text: str, approval: bool) -> None:
    assert read(text).needs_approval is approval


@pytest.mark.parametrize(
    ("text", "approval"),
    [
        ("Please delete my account.", True),
        ("Bitte löschen Sie alle meine Daten.", True),
        ("Comment faire pour clôturer mon espace client ?", True),
        ("Borren todo lo que tengan sobre mí, cuenta incluida.", True),
        ("I request erasure under Article 17.", True),
        ("I ask you to delete her account together with the saved cards.", True),
        ("Please do not delete my account.", False),
        ("Bitte löschen Sie mein Konto nicht.", False),
        ("Why was my account deleted?", False),
        ("Bestätigen Sie Ihre PIN, sonst wird Ihr Konto gelöscht.", False),
        ("Could you delete an old address from my account?", False),
        ("¿Podrían borrar de mi cuenta una dirección antigua?", False),
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
        ("I won't sue you over a rug.", False),
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
        ("I need the suit by Friday.", "shipping", "high"),
        ("I need the suit by 12 June.", "shipping", "high"),
        ("Salimos de viaje mañana y no ha llegado.", "shipping", "high"),
        ("I need the suit by 30 June.", "shipping", "normal"),
        ("I ordered last Friday and it is not here.", "shipping", "normal"),
        (
            "I must say. The music is dull. It is loud. Today I waited an hour.",
            "complaint",
            "normal",
        ),
        ("It came every blessed Thursday, in the brand colours.", "account", "normal"),
        ("Do you ship to Norway?", "shipping", "low"),
        ("Where is order 10234?", "shipping", "normal"),
        ("You won 1,000,000 USD, answer by tomorrow!", "spam", "low"),
    ],
)
def test_priority_follows_danger_dates_and_enquiries(
    text: str, category: Category, priority: str
) -> None:
    assert read(text, category).priority == priority


@pytest.mark.parametrize(
    ("answer", "approval"),
    [
        ("The first one, please.", True),
        ("Lieber das Geld.", True),
        ("Je choisis le remboursement.", True),
        ("No, el reembolso, por favor.", True),
        ("b) please", False),
        ("La segunda opción, gracias.", False),
        ("Where is the refund?", False),
    ],
)
def test_choice_of_a_refund_that_the_thread_offers_counts(answer: str, approval: bool) -> None:
    offer = "> either\n> a) a refund of 210.00 EUR or\n> b) a new blender and a 15 EUR voucher"
    assert read(answer, quoted=offer).needs_approval is approval


def test_sums_of_the_thread_count_only_if_accepted() -> None:
    offer = "> We can offer you a refund of 185.40 EUR for order 44190."
    accepted = read("Yes, I accept, please go ahead.", quoted=offer)
    assert (accepted.amount, accepted.needs_approval) == (Decimal("185.40"), True)
    answered = read("No, that is not enough.", "complaint", quoted=offer)
    assert (answered.amount, answered.needs_approval) == (None, False)


def test_threat_in_the_thread_or_the_subject_of_a_reply_does_not_count() -> None:
    triage = read("Thanks!", "other", "Re: I will call my lawyer", "> I will call my lawyer")
    assert not triage.needs_approval


def test_past_refund_is_not_asked_for() -> None:
    triage = read("Thanks for the refund of 150 EUR. Where is my new order 55012?", "shipping")
    assert (triage.amount, triage.needs_approval, triage.order_id) == (None, False, "55012")


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("I need a proper invoice for the lamps, total 412.30.", "billing"),
        ("No quiero los 60 euros, me quedo los zapatos.", "complaint"),
        ("Ich will Ihre 60 Euro nicht.", "complaint"),
        ("Les 159 € sont bien arrivés sur mon compte.", "other"),
        ("Die 230 Euro für den Spiegel sind da.", "shipping"),
        ("The drill cost 219 € last year. It smokes, what shall I do?", "technical"),
        ("Die Bohrmaschine, damals 219 €, piept. Ums Geld geht es mir nicht.", "refund"),
        ("Je veux pas de remboursement pour les 35 €, mais un peu de respect.", "refund"),
        ("No les pido que me devuelvan nada de los 70 €.", "refund"),
        ("Zwei Lampen zu 75 €: der Betrag stimmt, nur der Name ist falsch.", "billing"),
        ("Budget is about 900 euros. Do you have a discount for clubs?", "other"),
        ("¿Si yo pagué 40 €, dónde está el paquete?", "shipping"),
        ("The camp site, 312 EUR, is non-refundable. Where is the tent?", "shipping"),
    ],
)
def test_sum_that_is_not_asked_for_does_not_count(text: str, category: Category) -> None:
    assert read(text, category).amount is None


def test_change_of_an_order_is_not_a_general_enquiry() -> None:
    change = read("Could you make it red, please? Order 10234.", "other")
    thanks = read("Order 10234 is here, gorgeous!", "other")
    assert (change.priority, thanks.priority) == ("normal", "low")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("It is broken. I do not want a refund.", "it is broken."),
        ("I want no refund, please just repair it.", ""),
        ("I do not want a refund of 9 €, I want my 40 € back.", "i   of 9 €, i want my 40 € back."),
    ],
)
def test_open_text_has_no_declined_refund(text: str, rest: str) -> None:
    mail = Mail(message_id="1", content_hash="1", sender="", text=text)
    assert open_text(mail) == rest


def test_thanks_are_praise_whatever_else_is_told() -> None:
    mail = Mail(
        message_id="1",
        content_hash="1",
        sender="",
        text="The wheel was missing. Anna sent one at once. Just wanted to say thank you!",
    )
    assert read_signals(mail).praise
    assert not read_signals(mail.model_copy(update={"text": mail.text + " Is it oiled?"})).praise
