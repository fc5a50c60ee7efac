"""How much of the project a reader has to open to follow one question."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rag_chatbot
from rag_chatbot.chatbot import OPERATOR, Question

PACKAGE = Path(str(rag_chatbot.__file__)).parent
TEXT = "# Port\n\nThe harbour of Vellin opens at seven.\n\nTea is green."


def test_question_in_quote_mode_enters_at_most_ten_files(
    open_chatbot: Callable[..., Any],
) -> None:
    chatbot = open_chatbot({"port.md": TEXT}, strictness=0)
    question = Question("When does the harbour open?", keep=False)
    files: set[str] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and PACKAGE in path.parents:
            files.add(str(path.relative_to(PACKAGE)))

    threading.setprofile(note)  # for the thread of full-text search
    sys.setprofile(note)
    try:
        chatbot.ask(question, caller=OPERATOR)
        files.clear()  # the first question also compares index and catalogue
        answer = chatbot.ask(question, caller=OPERATOR)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert "seven" in answer["answer"]
    assert {"answer/answer.py", "search/retrieve.py", "store/store.py"} <= files
    assert len(files) <= 10, sorted(files)
