"""Follow-up questions joined to the question that they refer back to."""

import pytest

from rag_chatbot.answer.follow_up import Exchange, searches

CACHE = "How do I enable the page cache quickly?"


@pytest.mark.parametrize(
    "question",
    ["And on Windows?", "How do I turn it off?", "Why?", "What is it?", "How many does that need?"],
)
def test_follow_up_is_joined_to_its_question(question: str) -> None:
    assert searches(question, [Exchange(CACHE)]) == [f"{CACHE} {question}"]


def test_chain_of_follow_ups_leads_to_its_subject() -> None:
    turns = [Exchange("What is BM25 good at?"), Exchange(CACHE), Exchange("And on Mac?")]
    assert searches("And on Windows?", turns) == [f"{CACHE} And on Windows?"]


@pytest.mark.parametrize(
    "question",
    ["What is an embedding?", "Who is Ada Lovelace?", "Which command deletes files?"],
)
def test_question_with_a_subject_is_searched_alone_first(question: str) -> None:
    assert searches(question, [Exchange(CACHE)])[0] == question
