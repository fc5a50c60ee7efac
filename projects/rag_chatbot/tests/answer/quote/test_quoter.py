"""Answers over a small handwritten collection: quoted, refused, followed up."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rag_chatbot
from rag_chatbot.answer.answer import ABSTENTION, Answerer
from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.chatbot import LOCAL, OPERATOR, Chatbot, Question
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
    assert {"retrieve", "quote", "total"} <= set(answer.timings)
    assert answer.usage == {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}


def test_answer_has_at_most_ninety_words(answerer: OpenAnswerer) -> None:
    text = "\n\n".join(
        f"Kestrel number {n} has {n} wings and {'very ' * 20}long legs." for n in range(9)
    )
    answer = answerer(text).ask("How many wings has Kestrel number 3?")
    assert len(answer.answer.split()) <= 90
    assert 1 <= len(answer.citations) <= 3


def test_answer_abstains_without_support(answerer: OpenAnswerer, guide: str) -> None:
    answer = answerer(guide, strictness=1).ask("Who painted the Mona Lisa in Florence?")
    assert answer.abstained
    assert answer.answer == ABSTENTION
    assert answer.citations == ()
    assert answer.passages[0].chunk.source == "0.md"


def test_follow_up_is_searched_with_the_previous_question(
    answerer: OpenAnswerer, guide: str
) -> None:
    earlier = [Exchange(f"Question {n}?") for n in range(8)]
    answer = answerer(guide).ask(
        "And how do I change it?", history=[*earlier, Exchange("Which port does Kestrel use?")]
    )
    assert answer.question == "Which port does Kestrel use? And how do I change it?"
    assert "kestrel config set port 9000" in answer.answer


def test_short_question_without_an_answer_is_asked_with_its_topic(answerer: OpenAnswerer) -> None:
    bot = answerer("La piscine de Vellin ouvre à sept heures.", strictness=0.9)
    history = [Exchange("Quand ouvre la piscine de Vellin ?")]
    assert bot.ask("Et Vellin ?", history=history).question.startswith("Quand ouvre")


def test_quoting_loads_no_model(config: Config) -> None:
    def load() -> ScriptedChatModel:
        raise AssertionError("the model was loaded")

    bot = Chatbot(config, HashEmbeddings(), load, "smollm2")
    bot.check_ready()
    assert bot.ask(Question("What is it?"), caller=LOCAL)["model"] == "smollm2"
    bot.close()


def test_question_enters_at_most_ten_files(open_chatbot: Callable[..., Chatbot]) -> None:
    package = Path(str(rag_chatbot.__file__)).parent
    bot = open_chatbot({"port.md": "The harbour of Vellin opens at seven."}, strictness=0)
    files: set[Path] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and package in path.parents:
            files.add(path)

    question = Question("When does the harbour open?", keep=False)
    bot.ask(question, caller=OPERATOR)  # also compares index and catalogue
    threading.setprofile(note)  # for the thread of full-text search
    sys.setprofile(note)
    try:
        bot.ask(question, caller=OPERATOR)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert 5 < len(files) <= 10, files
