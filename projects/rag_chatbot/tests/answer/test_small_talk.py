"""Refusals by language, and replies to greetings and questions about the chatbot."""

from types import SimpleNamespace

import pytest

from rag_chatbot.answer.small_talk import PHRASES, SmallTalk
from seedbed.models.embeddings.hash import HashEmbeddings

DOCUMENTS = [SimpleNamespace(title=f"Guide {n}", chunks=3) for n in range(7)]


@pytest.mark.parametrize("language", PHRASES)
def test_every_language_has_a_refusal_and_replies_with_figures(language: str) -> None:
    phrases = PHRASES[language]
    assert phrases.keys() == PHRASES["en"].keys()
    talk = SmallTalk(HashEmbeddings())
    for kind in ("about", "documents"):
        reply = talk.reply(phrases[kind]["examples"][0], lambda: DOCUMENTS)
        assert "7" in reply
        assert "21" in reply
        assert "Guide 0" in reply


def test_question_about_a_subject_gets_no_reply() -> None:
    assert not SmallTalk(HashEmbeddings()).reply("Who painted the Mona Lisa?", lambda: DOCUMENTS)
