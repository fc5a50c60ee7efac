"""Questions that are refused before anything is searched."""

from collections.abc import Callable

import pytest

from rag_chatbot.answer.answer import MAX_CHARACTERS, Answerer
from seedbed.errors import BadInput

OpenAnswerer = Callable[..., Answerer]


@pytest.mark.parametrize("question", ["", "?", "\x00\x01\x02", " \n\t "])
def test_question_without_words_is_refused(
    question: str, answerer: OpenAnswerer, guide: str
) -> None:
    with pytest.raises(BadInput, match="contains no words"):
        answerer(guide).ask(question)


def test_question_over_the_limit_is_refused(answerer: OpenAnswerer, guide: str) -> None:
    with pytest.raises(BadInput, match=f"the limit is {MAX_CHARACTERS:,}"):
        answerer(guide).ask("x" * 1_000_000)


def test_unknown_mode_is_refused(answerer: OpenAnswerer, guide: str) -> None:
    with pytest.raises(BadInput, match="sing"):
        answerer(guide).ask("Which port?", mode="sing")
