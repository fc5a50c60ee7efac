"""Answers over a small handwritten collection: quoted, refused, followed up."""

from collections.abc import Callable

from rag_chatbot.answer.answer import ABSTENTION, Answerer
from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.chatbot import LOCAL, Chatbot, Question
from rag_chatbot.config import Config
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel

OpenAnswerer = Callable[..., Answerer]


def test_quote_mode_cites_the_span_that_answers(answerer: OpenAnswerer, guide: str) -> None:
    answer = answerer(guide).ask("Which port does the server listen on by default?")
    assert "listens on port 7421 by default." in answer.answer
    assert not answer.abstained
    for citation in answer.citations:
        assert f"[{citation.n}]" in answer.answer
        assert guide[citation.start : citation.end] == citation.quote
    assert {"retrieve", "quote", "first_token", "total"} <= set(answer.timings)


def test_answer_has_at_most_ninety_words(answerer: OpenAnswerer) -> None:
    text = "\n\n".join(
        f"Kestrel number {n} has {n} wings and {'very ' * 20}long legs." for n in range(9)
    )
    answer = answerer(text).ask("How many wings has Kestrel number 3?")
    assert len(answer.answer.split()) <= 90
    assert 1 <= len(answer.citations) <= 3


def test_answer_abstains_without_support(answerer: OpenAnswerer, guide: str) -> None:
    answer = answerer(guide).ask("Who painted the Mona Lisa in Florence?", strictness=1.0)
    assert answer.abstained
    assert answer.answer == ABSTENTION
    assert answer.citations == ()
    assert answer.passages[0].chunk.source == "0.md"


def test_follow_up_is_searched_with_the_previous_question(
    answerer: OpenAnswerer, guide: str
) -> None:
    bot = answerer(guide)
    answer = bot.ask(
        "And how do I change it?", history=[Exchange("Which port does Kestrel use?", "7421")]
    )
    assert "Which port does Kestrel use?" in answer.question
    assert "kestrel config set port 9000" in answer.answer


def test_standalone_question_ignores_the_history(answerer: OpenAnswerer, guide: str) -> None:
    answer = answerer(guide).ask(
        "In which file does the Kestrel server keep its settings?",
        history=[Exchange("How large is the moon?", "Large.")],
    )
    assert answer.question == "In which file does the Kestrel server keep its settings?"


def test_long_history_is_cut_with_a_notice(answerer: OpenAnswerer, guide: str) -> None:
    answer = answerer(guide).ask(
        "And the port?", history=[Exchange(f"Question {n}?") for n in range(9)]
    )
    assert "last 6 of 9" in answer.notices[0]


def test_quote_mode_may_quote_an_injected_passage(answerer: OpenAnswerer, evil: str) -> None:
    answer = answerer(evil).ask("What is the port of Kestrel?", mode="quote")
    assert "The port of Kestrel is secret." in answer.answer
    assert answer.usage == {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}


def test_ask_in_quote_mode_loads_no_model(config: Config) -> None:
    loaded: list[str] = []

    def load() -> ScriptedChatModel:
        loaded.append("smollm2")
        return ScriptedChatModel(["Hello."])

    bot = Chatbot(config, HashEmbeddings(), load, "smollm2")
    bot.check_ready()
    assert bot.ask(Question("What is it?"), caller=LOCAL)["model"] == "smollm2"
    assert loaded == []
    bot.close()
