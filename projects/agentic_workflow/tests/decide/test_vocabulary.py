"""The desk understands a mail completely, or a person reads it."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_workflow.case import Language, Mail
from agentic_workflow.decide.vocabulary import vocabulary, vocabulary_doubts

LANGUAGES = get_args(Language)
CATEGORIES = ("refund", "shipping", "billing")
NEGATIONS = """
no not never none neither nor without don't doesn't didn't isn't wasn't won't can't cannot couldn't
haven't hasn't nicht kein keine keinen keiner nie niemals weder ohne nichts ne n' pas jamais aucun
aucune rien sans ni non nunca jamás ningún ninguna nada sin tampoco
""".split()
SECOND_THOUGHTS = """
but only except unless if until before instead already yet keep kept part half third voucher bank
aber nur außer falls wenn bis bevor statt schon behalten teil hälfte gutschein mais seulement sauf
si avant déjà garder partie moitié bon banque
pero solo sólo excepto hasta antes ya parte mitad vale
""".split()


def doubts(text: str, category: Any = "refund", language: Any = "en", **fields: Any) -> list[str]:
    head = {"message_id": "m", "content_hash": "h", "sender": "tom.miller@mail.example"}
    mail = Mail(**head, sender_name="Tom Miller", language=language, text=text, **fields)
    return vocabulary_doubts(mail, category, {"59921", "54.80"})


@pytest.mark.parametrize(
    ("language", "category", "text"),
    [
        ("en", "refund", "Hello,\n\nplease refund order 59921.\n\nThank you\nTom"),
        ("en", "refund", "I returned order #59921. When will I get my money back (54,80 €)?"),
        ("en", "shipping", "Good evening, where is my order 59921? Thanks, Tom Miller"),
        ("en", "billing", "Order 59921 was charged twice. Please refund the second payment."),
        ("de", "refund", "Guten Tag, wann bekomme ich mein Geld für Bestellung 59921 zurück?"),
        ("de", "shipping", "Wo ist mein Paket?"),
        ("fr", "shipping", "Bonjour, où est ma commande 59921 ? Merci"),
        ("fr", "refund", "J'ai retourné la commande 59921. Quand sera le remboursement ?"),
        ("es", "shipping", "Hola, ¿dónde está mi pedido 59921? Gracias"),
        ("es", "refund", "He devuelto el pedido 59921. ¿Cuándo recibiré el reembolso?"),
    ],
)
def test_plain_request_is_understood(language: str, category: str, text: str) -> None:
    expected = ["second"] if "second" in text else []
    problems = doubts(text, category, language)
    assert problems == [f"Words outside of a plain request: {w}." for w in expected]


@pytest.mark.parametrize(
    "text",
    [
        "Hello, I returned order 59921. Do not refund me. Send me the same lamp again.",
        "My bank has already reversed the payment for order 59921. Please refund?",
        "The refund for order 59921 reached my account today. Thank you very much!",
        "I returned order 59921, but I kept the mug. Please refund the lamp.",
        "Please refund order 59921 to my sister, who paid.",
        "Please refund order 59762.",
        "Please refund 23.40 of order 59921.",
        "Please refund snan of order 59921.",
        "Please refund order 59921 \u2014 minus 50%.",
        "",
    ],
)
def test_refund_with_anything_else_goes_to_a_person(text: str) -> None:
    assert doubts(text)


@pytest.mark.parametrize(
    "text",
    [
        "My father ordered 59921, he died on Sunday. Where is the parcel?",
        "Where is order 59921? My baby had a button of it in its mouth.",
        "If order 59921 is not here on Saturday I do not want it. Where is it?",
    ],
)
def test_question_about_a_parcel_with_anything_else_goes_to_a_person(text: str) -> None:
    assert doubts(text, "shipping")


def test_subject_counts_unless_it_belongs_to_the_thread() -> None:
    text = "Please refund order 59921."
    assert doubts(text, subject="Do not ship it")
    assert doubts(text, subject="Re: lamp")
    assert not doubts(text, subject="Re: lamp", quoted="> The lamp")


@pytest.mark.parametrize("language", LANGUAGES)
def test_lists_are_short_and_contain_no_negation_and_no_condition(language: Any) -> None:
    for category, lists in vocabulary(language).items():
        words = frozenset().union(*lists.values())
        assert not words & {*NEGATIONS, *SECOND_THOUGHTS}
        assert len(words) <= 80 or not category


@given(st.data())
def test_one_word_more_is_a_doubt_that_names_it(data: st.DataObject) -> None:
    language, category = (
        data.draw(st.sampled_from(LANGUAGES)),
        data.draw(st.sampled_from(CATEGORIES)),
    )
    lists = vocabulary(language)[category]
    known = sorted(frozenset().union(*lists.values()) - {"€"})
    words = [min(lists["about"]), min(lists["ask"]), *data.draw(st.lists(st.sampled_from(known)))]
    words = data.draw(st.permutations(words))
    assert not doubts(" ".join(words), category, language)
    other = st.text(st.characters(categories=["L"]), min_size=1, max_size=12).map(str.lower)
    word = data.draw(st.sampled_from(NEGATIONS) | other)
    words.insert(data.draw(st.integers(0, len(words))), word)
    greetings = {part for entry in vocabulary(language)[""]["words"] for part in entry.split("-")}
    if word not in {*known, *greetings, "tom", "miller"}:
        assert doubts(" ".join(words), category, language)
