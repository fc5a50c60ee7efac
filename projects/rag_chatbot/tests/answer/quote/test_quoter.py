"""Answers over a small handwritten collection: quoted, refused, followed up."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rag_chatbot
from rag_chatbot.answer.answer import ABSTENTION
from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.chatbot import LOCAL, OPERATOR, Chatbot, Question
from rag_chatbot.config import Config
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel

Open = Callable[..., Chatbot]
GUIDE = """# Kestrel

Kestrel keeps its settings in `kestrel.toml`. The server listens on port 7421 by default.

To change the port, run:

```
kestrel config set port 9000
```

Logs are rotated every 14 days. Old logs are deleted.
"""


def ask(bot: Chatbot, question: str, *earlier: str) -> dict[str, Any]:
    history = tuple(map(Exchange, earlier))
    return bot.ask(Question(question, keep=False, history=history), caller=OPERATOR)


def test_quote_mode_cites_the_span_that_answers(open_chatbot: Open) -> None:
    bot = open_chatbot({"guide.md": GUIDE}, strictness=0)
    answer = ask(bot, "Which port does the server listen on by default?")
    assert "listens on port 7421 by default." in answer["answer"]
    assert not answer["abstained"]
    for citation in answer["citations"]:
        assert f"[{citation['n']}]" in answer["answer"]
        assert GUIDE[citation["start"] : citation["end"]] == citation["quote"]
    assert answer["usage"] == {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}


def test_answer_has_at_most_ninety_words(open_chatbot: Open) -> None:
    text = "\n\n".join(
        f"Kestrel number {n} has {n} wings and {'very ' * 20}long legs." for n in range(9)
    )
    bot = open_chatbot({"guide.md": text}, strictness=0)
    answer = ask(bot, "How many wings has Kestrel number 3?")
    assert len(answer["answer"].split()) <= 90
    assert 1 <= len(answer["citations"]) <= 3


def test_answer_abstains_without_support(open_chatbot: Open) -> None:
    bot = open_chatbot({"guide.md": GUIDE}, strictness=1)
    answer = ask(bot, "Who painted the Mona Lisa in Florence?")
    assert (answer["answer"], answer["abstained"], answer["citations"]) == (ABSTENTION, True, ())
    assert answer["passages"][0]["source"] == "guide.md"


def test_follow_up_is_searched_with_the_previous_question(open_chatbot: Open) -> None:
    bot = open_chatbot({"guide.md": GUIDE}, strictness=0)
    answer = ask(bot, "And how do I change it?", "Question 1?", "Which port does Kestrel use?")
    assert answer["question"] == "Which port does Kestrel use? And how do I change it?"
    assert "kestrel config set port 9000" in answer["answer"]


def test_short_question_without_an_answer_is_asked_with_its_topic(open_chatbot: Open) -> None:
    bot = open_chatbot({"a.md": "La piscine de Vellin ouvre à sept heures."}, strictness=0.9)
    answer = ask(bot, "Et Vellin ?", "Quand ouvre la piscine de Vellin ?")
    assert answer["question"].startswith("Quand ouvre")


def test_quoting_loads_no_model(config: Config) -> None:
    def load() -> ScriptedChatModel:
        raise AssertionError("the model was loaded")

    bot = Chatbot(config, HashEmbeddings(), load, "smollm2")
    bot.check_ready()
    assert bot.ask(Question("What is it?"), caller=LOCAL)["model"] == "smollm2"
    bot.close()


def test_question_enters_at_most_ten_files(open_chatbot: Open) -> None:
    package = Path(str(rag_chatbot.__file__)).parent
    bot = open_chatbot({"guide.md": GUIDE}, strictness=0)
    files: set[Path] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and package in path.parents:
            files.add(path)

    ask(bot, "Which port is used?")  # also compares index and catalogue
    threading.setprofile(note)  # for the thread of full-text search
    sys.setprofile(note)
    try:
        bot.ask(Question("Which port is used?", keep=False), caller=OPERATOR)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert 5 < len(files) <= 10, files
