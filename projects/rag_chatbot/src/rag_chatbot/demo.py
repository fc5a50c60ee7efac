"""Run the main job once, without a server: ingest documents, ask questions, check the answers.

    rag-chatbot demo docs      # exits with status 1 if an answer is wrong

The questions are about the handbook in `docs`; replace them along with the documents.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import typer

from rag_chatbot.chatbot import OPERATOR, Question, open_chatbot
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from rag_chatbot.talk import terminal
from seedbed import cli
from seedbed.settings import Settings, load

# Questions, and a pattern of the answer; "" if the documents don't contain it.
CASES = {
    "What is keyword search better at than vector search?": "exact|rare",
    "What should a server answer when its queue is full?": "429",
    "How large is the context window of SmolLM2-135M?": "8,192",
    "How many goals did Pelé score in 1958?": "",
}


def run(paths: Sequence[Path]) -> int:
    """Ask about the documents in `paths`, and return the number of wrong answers.

    Documents and index are in a temporary folder, which is deleted afterwards.
    """
    wrong = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(open_chatbot(load(Config, data_dir=Path(folder)), load(Settings))) as chatbot,
    ):
        with cli.progress(unit="file") as progress:
            terminal.print_summary(ingest(chatbot.store, paths, progress=progress).as_json())
        for question, pattern in CASES.items():
            answer = chatbot.ask(Question(question, keep=False), caller=OPERATOR)
            typer.echo(f"\n> {question}\n{terminal.readable(answer)}")
            matches = re.search(pattern, answer["answer"], re.IGNORECASE)
            if answer["abstained"] == bool(pattern) or not matches:
                typer.echo(f"WRONG: expected {pattern or 'no answer'}", err=True)
                wrong += 1
    return wrong
