"""Answers that a model writes, each sentence checked against the passages."""

from collections.abc import Callable

from rag_chatbot.answer.answer import UNCHECKED, Answerer

OpenAnswerer = Callable[..., Answerer]


def test_write_mode_drops_unsupported_sentences(answerer: OpenAnswerer, guide: str) -> None:
    reply = "The server listens on port 7421 by default. It was written by Napoleon in 1805."
    answer = answerer(guide, replies=[reply]).ask("Which port is the default?", mode="write")
    assert answer.answer == "The server listens on port 7421 by default. [1]"
    assert "7421" in answer.citations[0].quote
    assert "1 sentence" in answer.notices[0]


def test_write_mode_drops_a_sentence_with_a_wrong_number(
    answerer: OpenAnswerer, guide: str
) -> None:
    reply = "The server listens on port 7422 by default."
    answer = answerer(guide, replies=[reply]).ask("Which port is the default?", mode="write")
    assert answer.abstained
    assert answer.answer == UNCHECKED


def test_write_mode_abstains_when_the_model_replies_not_found(
    answerer: OpenAnswerer, guide: str
) -> None:
    answer = answerer(guide, replies=["NOT FOUND"]).ask("Which port is the default?", mode="write")
    assert answer.abstained


def test_write_mode_stops_a_model_that_repeats_itself(answerer: OpenAnswerer, guide: str) -> None:
    reply = "The server listens on port 7421 by default. " * 4
    answer = answerer(guide, replies=[reply]).ask("Which port is the default?", mode="write")
    assert answer.answer == "The server listens on port 7421 by default. [1]"


def test_write_mode_ignores_support_from_an_injected_passage(
    answerer: OpenAnswerer, evil: str
) -> None:
    bot = answerer(evil, replies=["The port of Kestrel is secret."])
    answer = bot.ask("What is the port of Kestrel?", mode="write")
    assert answer.abstained
    assert not answer.citations


def test_write_mode_hides_an_injected_passage_from_the_model(
    answerer: OpenAnswerer, guide: str, evil: str
) -> None:
    bot = answerer(guide, evil, replies=["The server listens on port 7421 by default."])
    answer = bot.ask("Which port does the Kestrel server use?", mode="write")
    prompt = bot.writer.model.calls[0].text
    assert "system prompt" not in prompt
    assert any("1.md" in notice for notice in answer.notices)
