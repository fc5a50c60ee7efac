"""The whole job once, without a server: read documents, ask, and check what comes back.

The questions are about the handbook; change them along with the documents.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from rag_chatbot.chatbot import OPERATOR, Chatbot, Question, open_chatbot
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from rag_chatbot.talk import terminal
from seedbed import cli
from seedbed.settings import Settings, load

# A question, and what its answer must say; None where the documents do not tell.
Questions = Sequence[tuple[str, str | None]]
QUESTIONS: Questions = (
    ("What is keyword search better at than vector search?", r"exact|rare"),
    ("What should a server answer when its queue is full?", r"429"),
    ("How large is the context window of SmolLM2-135M?", r"8,192"),
    ("How many goals did Pelé score in 1958?", None),
)


def run(paths: Sequence[Path], questions: Questions = QUESTIONS) -> int:
    """Returns the number of wrong answers. Keeps nothing."""
    with tempfile.TemporaryDirectory() as folder:
        config = load(Config, data_dir=Path(folder))
        chatbot = open_chatbot(config, load(Settings))
        try:
            with cli.progress(unit="file") as progress:
                terminal.report(ingest(chatbot.store, paths, progress=progress).as_json())
            return sum(not _ask(chatbot, *question) for question in questions)
        finally:
            chatbot.close()


def _ask(chatbot: Chatbot, question: str, expected: str | None) -> bool:
    answer = chatbot.ask(Question(question, keep=False), caller=OPERATOR)
    wrong = problem(chatbot, answer, expected)
    typer.echo(f"\n> {question}\n{terminal.readable(answer)}")
    if wrong:
        typer.echo(f"WRONG: {wrong}", err=True)
    return not wrong


def problem(chatbot: Chatbot, answer: dict[str, Any], expected: str | None) -> str:
    """What is wrong with an answer: its fact, its citations, that there is one; or ""."""
    if expected is None:
        return "" if answer["abstained"] else "the documents do not tell, yet there is an answer"
    if not re.search(expected, answer["answer"]):
        return f"the answer does not say {expected!r}"
    for citation in answer["citations"]:
        text = chatbot.store.document("default", citation["source"]).text
        if citation["quote"] not in text:
            return f"quote [{citation['n']}] does not stand in {citation['source']}"
    return "" if answer["citations"] else "nothing is cited"
