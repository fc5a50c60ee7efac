"""Follow-up questions condensed into questions that stand alone."""

import pytest

from rag_chatbot.answer.follow_up import Exchange, condense


@pytest.mark.parametrize("question", ["And on Windows?", "How do I turn it off?", "Why?"])
def test_condense_joins_a_follow_up_to_its_question(question: str) -> None:
    earlier = Exchange("How do I enable the cache?")
    assert condense(question, [earlier]) == f"How do I enable the cache? {question}"


def test_condense_follows_a_chain_to_its_subject() -> None:
    turns = [
        Exchange("How do I enable the page cache quickly?"),
        Exchange("And on Mac?"),
    ]
    joined = condense("And on Windows?", turns)
    assert joined == "How do I enable the page cache quickly? And on Mac? And on Windows?"


@pytest.mark.parametrize(
    "question", ["What is an embedding?", "What is BM25", "Who is Ada Lovelace?"]
)
def test_condense_leaves_a_definition_question_alone(question):
    assert condense(question, [Exchange("How do I install it on Linux?")]) == question


@pytest.mark.parametrize("question", ["What is the default?", "What is it?", "And on Windows?"])
def test_condense_joins_a_question_without_a_subject(question):
    assert (
        condense(question, [Exchange("How do I set the port?")])
        == f"How do I set the port? {question}"
    )
