"""Run the main job once, without a server: ingest documents, ask questions, check the answers.

    rag-chatbot demo docs      # exits with status 1 if an answer is wrong

The questions are about the handbook in `docs`; replace them along with the documents.
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

# A question and a pattern that its answer must match; None if the documents lack the answer.
Questions = Sequence[tuple[str, str | None]]
QUESTIONS: Questions = (
    ("What is keyword search better at than vector search?", r"exact|rare"),
    ("What should a server answer when its queue is full?", r"429"),
    ("How large is the context window of SmolLM2-135M?", r"8,192"),
    ("How many goals did Pelé score in 1958?", None),
)


def run(paths: Sequence[Path], questions: Questions = QUESTIONS) -> int:
    """Ask `questions` about the documents in `paths` and return the number of wrong answers.

    Documents and index are in a temporary folder, which is deleted afterwards.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = load(Config, data_dir=Path(folder))
        chatbot = open_chatbot(config, load(Settings))
        try:
            with cli.progress(unit="file") as progress:
                terminal.print_summary(ingest(chatbot.store, paths, progress=progress).as_json())
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
    """What is wrong with an answer, or an empty string.

    Checks the expected fact, that every quote is verbatim, and that something is cited at all.
    """
    if expected is None:
        return (
            ""
            if answer["abstained"]
            else "the documents don't contain the answer, yet one was given"
        )
    if not re.search(expected, answer["answer"]):
        return f"the answer does not match {expected!r}"
    for citation in answer["citations"]:
        text = chatbot.store.document("default", citation["source"]).text
        if citation["quote"] not in text:
            return f"quote [{citation['n']}] is not in {citation['source']}"
    return "" if answer["citations"] else "the answer has no citation"
