"""Follow-up questions condensed into questions that stand alone."""

import pytest

from rag_chatbot.answer.follow_up import Exchange, condense


@pytest.mark.parametrize("question", ["And on Windows?", "How do I turn it off?", "Why?"])
def test_condense_joins_a_follow_up_to_its_question(question: str) -> None:
    earlier = Exchange("How do I enable the cache?")
    assert condense(question, [earlier]) == f"How do I enable the cache? {question}"


def test_condense_follows_a_chain_to_its_subject() -> None:
    turns = [
        Exchange("What is BM25 good at?"),
        Exchange("How do I enable the page cache quickly?"),
        Exchange("And on Mac?"),
    ]
    joined = condense("And on Windows?", turns)
    assert joined == "How do I enable the page cache quickly? And on Windows?"


def test_condense_leaves_a_question_with_a_subject_alone() -> None:
    earlier = Exchange("How large is the context window of SmolLM2-135M?")
    question = "Which commands delete a document?"
    assert condense(question, [earlier]) == question


@pytest.mark.parametrize(
    "question", ["What is an embedding?", "What is BM25", "Who is Ada Lovelace?"]
)
def test_condense_leaves_a_definition_question_alone(question):
    assert condense(question, [Exchange("How do I install it on Linux?")]) == question


@pytest.mark.parametrize("question", ["What is it?", "And on Windows?", "How many does that need?"])
def test_condense_joins_a_question_without_a_subject(question):
    assert (
        condense(question, [Exchange("How do I set the port?")])
        == f"How do I set the port? {question}"
    )
