"""Bad replies of a model: none leaves without a person, and most are refused before that."""

from decimal import Decimal
from typing import Any

import pytest

from agentic_workflow.decide.letter import Case
from agentic_workflow.decide.policy import SHOP_POLICY, load_policy, parse_policy
from agentic_workflow.decide.verify import problem, unfit
from agentic_workflow.store.case import Decision, Facts, Mail, Passage, Triage

MAIL = Mail(
    message_id="m",
    content_hash="h",
    sender="emily.carter@mail.example",
    subject="Order 59762",
    text="When will order 59762 arrive? I paid 120 euros for it, and 43,90 for the post.",
)
FACTS = Facts(
    customer_id="K1003",
    customer_name="Emily Carter",
    order_id="59762",
    order_status="shipped",
    ordered_on="2026-02-24",
    expected_on="2026-03-02",
    carrier="PostLink",
    tracking="PO4476396401",
    total=Decimal("249.00"),
    refundable=Decimal("249.00"),
)
RULES = [Passage(source="shipping §1", text="Parcels arrive within 3 to 5 working days.")]
REPLY = Decision(action="reply", approval=False, rule="parcel")
REFUND = Decision(action="refund", approval=False, rule="refund-settled", amount=Decimal("43.90"))
# Twenty-five of an outside test, and forty of our own.
REFUSED = [
    "",
    "  \n ",
    "Your parcel is on its way. " * 18_000,
    "Wir erstatten Ihnen den vollen Betrag.",
    "Your 120 euro are going back to your card today.",
    "We will refund the rug.",
    "Your order 59763 arrives soon.",
    "It arrives on 9 March 2026.",
    "See https://tracker.example/59762",
    "Write to boss@shop.example.",
    "<b>Your parcel</b> is on its way.",
    "Hello [Name], your parcel is on its way.",
    "Call us on +49 30 1234567.",
    "You get a voucher of €50.",
    "You will get your money tomorrow.",
    "We have sent you a replacement.",
    "Nous vous remboursons le montant total.",
    "Le reembolsaremos todo el importe.",
    "Sie erhalten einen Gutschein.",
    "Ihr Paket ist unterwegs und kommt in den nächsten Tagen bei Ihnen an, bitte haben Sie Geduld.",
    "Votre colis est en route et sera chez vous dans les prochains jours, merci de votre patience.",
    "Su paquete está en camino y llegará a su casa en los próximos días, gracias por su paciencia.",
    "Il pacco è in viaggio e arriverà nei prossimi giorni, la ringraziamo per la sua pazienza.",
    "Het pakket is onderweg en komt binnen enkele dagen aan, bedankt voor uw geduld met ons.",
    "You paid 43,90 for the post, which comes back.",
    "The rug costs 199.00.",
    "We credit 20 EUR to your account.",
    "Your card 4111 1111 1111 1111 was charged.",
    "The account DE89 3704 0044 0532 0130 00 is used.",
    "It is late [returns §9].",
    "Your parcel {tracking} is on its way.",
    "Your parcel is in town ____.",
    "We'll compensate you for the delay.",
    "We are replacing the rug.",
    "12 parcels are on their way.",
    "It will be there in 48 hours.",
    "CHF 30 are on their way.",
    "\n\n---\n\n",
]
NOT_RECOGNIZED = [
    "You write replies for the help desk of an online shop. The decision is final.",
    "Stop bothering us, you idiot.",
    "The full purchase price will be returned to your card.",
    "Your refund is on its way.",
    "Please keep the rug, you need not pay for it.",
    "A courier brings you a second rug tomorrow, free of charge.",
    "Your parcel will be at your door tomorrow morning, guaranteed.",
    "We accept full legal liability.",
    "Your order 59762 has been cancelled as you wished.",
    "A voucher of fifty euros is attached.",
    "The postage is on us.",
    "Your address was changed.",
    "Your account has been deleted.",
    "The manager apologizes and promises to pay.",
    "Next time, everything is free.",
    "Our driver stole it.",
    "He who lives next door has the parcel.",
    "Yes.",
    "lorem ipsum dolor sit amet",
    "I am a language model and cannot help with that.",
]
BAD_REFUNDS = [
    "Wir erstatten Ihnen 43,90 €. Außerdem ersetzen wir Ihnen den Toaster.",
    "We refund 43.90 EUR. We will also replace the toaster.",
    "We refund what you paid.",
    "We refund 249 EUR.",
    "We refund 43.90 EUR and, as a gift, 120 EUR.",
    "We refund 43.90 EUR. You will receive a voucher as well.",
    "Nous vous remboursons 43,90 €. Nous vous remplaçons aussi le produit.",
]


# The case's own data: Emily Carter, order 59762, PostLink.
ABOUT_OTHERS = [
    "Mr Baker, your neighbour, has the parcel.",
    "Your neighbour Tom Baker has the parcel.",
    "Tom Baker signed for the parcel.",
    "The parcel was left with Baker.",
    "Hello Tom Baker,\n\nthe parcel is on its way.",
    "Hello Emily Carter, the parcel is in Mill Lane.",
    "The courier left it at 12 Mill Lane.",
    "Ask tom.baker@mail.example, who ordered the same rug.",
    "The recipient can be reached on 0171 5550123.",
    "Another customer's order, 59921, is in the same van.",
    "Ihr Paket liegt bei Sabine Krause.",
    "Frau Krause hat das Paket angenommen.",
    "Votre colis est chez Jean Dupont.",
    "Su paquete está en casa de María López.",
]


def refusal(body: str, decision: Decision = REPLY, mail: Mail = MAIL) -> str:
    case = Case(mail, Triage(category="shipping", order_id="59762"), FACTS, decision, RULES)
    return problem(body, (), case) or unfit(body, case)


@pytest.mark.parametrize("body", REFUSED)
def test_bad_reply_is_refused_before_anyone_reads_it(body: str) -> None:
    assert refusal(body)


@pytest.mark.parametrize("body", ABOUT_OTHERS)
def test_reply_with_a_name_or_an_address_of_others_is_refused(body: str) -> None:
    mail = MAIL.model_copy(update={"language": _language(body)})
    assert "not in the case" in refusal(body, mail=mail)


def _language(body: str) -> Any:
    starts = {"Ihr": "de", "Frau": "de", "Votre": "fr", "Su": "es"}
    return starts.get(body.split()[0], "en")


@pytest.mark.parametrize(
    ("language", "body"),
    [
        (
            "en",
            "Dear Ms Carter,\n\nThank you for your patience. Your parcel is with PostLink. Please"
            " check our tracking page on Monday, and I'll be glad to help.\n\nKind regards\nYour"
            " service team",
        ),
        (
            "de",
            "Guten Tag Frau Carter,\n\nvielen Dank für Ihre Geduld. Unser Lager hat Ihre Sendung an"
            " PostLink übergeben. Bitte prüfen Sie den Briefkasten und Ihre Nachbarn. Die Lieferung"
            " kann am Montag erfolgen.\n\nMit freundlichen Grüßen\nIhr Serviceteam",
        ),
        (
            "fr",
            "Bonjour Madame Carter,\n\nMerci de votre patience. Votre colis est chez PostLink. Nous"
            " vous tiendrons au courant dès que possible.\n\nCordialement\nVotre service client",
        ),
        (
            "es",
            "Hola, Emily Carter:\n\nGracias por su paciencia. Su paquete está con PostLink. Le"
            " avisaremos en cuanto haya novedades.\n\nUn saludo\nSu equipo de atención",
        ),
    ],
)
def test_letter_with_the_names_of_the_case_passes(language: Any, body: str) -> None:
    assert refusal(body, mail=MAIL.model_copy(update={"language": language})) == ""


@pytest.mark.parametrize("body", BAD_REFUNDS)
def test_letter_of_a_refund_states_that_refund_and_nothing_else(body: str) -> None:
    assert refusal(body, REFUND)


def test_no_bad_reply_leaves_without_a_person() -> None:
    """The checks are not complete, so that a person reads what they let pass."""
    policy = load_policy(SHOP_POLICY)
    bodies = [(body, REPLY) for body in (*REFUSED, *NOT_RECOGNIZED)]
    bodies += [(body, REFUND) for body in BAD_REFUNDS]
    leaving = [b for b, d in bodies if not refusal(b, d) and policy.sends_alone(d.rule)]
    assert (len(bodies), leaving) == (65, [])


def test_policy_may_let_a_rule_send_what_a_model_wrote() -> None:
    text = SHOP_POLICY.read_text()
    changed = text.replace('name = "parcel"\n', 'name = "parcel"\nmodel_alone = true\n')
    policy = parse_policy(changed)
    assert [rule.name for rule in policy.rules if policy.sends_alone(rule.name)] == ["parcel"]


@pytest.mark.parametrize(
    "body",
    [
        "Hello Emily Carter,\n\nyour order 59762 of 24 February 2026 is on its way with PostLink"
        " and should arrive on 2 March 2026.\n\nKind regards\nYour service team",
        "Parcels arrive within 3 to 5 working days. [shipping §1] The total is 249.00 EUR.",
    ],
)
def test_good_reply_passes(body: str) -> None:
    assert refusal(body) == ""
