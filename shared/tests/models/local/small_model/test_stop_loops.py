"""Where a text starts to repeat itself."""

import random

import pytest

from seedbed.models.local.small_model import loop_end

SENTENCE = "I'm glad to hear that you're enjoying the chat with me. "


def ends(text, step):
    """The length at which `loop_end` ends a text that arrives in pieces of `step` characters."""
    for at in range(0, len(text), step):
        if (end := loop_end(text[:at], text[at : at + step])) is not None:
            return at + end
    return None


@pytest.mark.parametrize("unit", [SENTENCE, "bonne nuit, ", "ha", SENTENCE * 2 + "Really? "])
def test_loop_end_is_the_same_for_all_pieces(unit):
    text = "Hello! " + unit * 200
    at = ends(text, 1)
    assert at is not None and at < 7 + max(3 * len(unit), 160)
    assert {ends(text, step) for step in (2, 3, 7, 50, len(text))} == {at}


@pytest.mark.parametrize(
    "text",
    [
        "The cat sat on the mat. The dog sat on the mat. The cow sat on the mat. ",
        "Row, row, row your boat, gently down the stream.\nMerrily, merrily, merrily, merrily,\n",
        "".join(random.Random(0).choices("abcdef ", k=3000)),
    ],
)
def test_text_without_a_loop_has_no_loop_end(text):
    assert ends(text, 1) is None
