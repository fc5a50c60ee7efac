"""`Detokenizer` without a model; `test_engine` compares it with a real tokenizer."""

import pytest

from seedbed.engine.detokenizer import Detokenizer


@pytest.mark.parametrize("token_chars", range(1, 6))
def test_push_never_returns_a_part_of_the_stop_string(token_chars):
    text = "say STOPPER then STOP and more"
    table = [text[i : i + token_chars].encode() for i in range(0, len(text), token_chars)]
    detokenizer = Detokenizer(table, ["STOP and", "never"])
    pieces = [detokenizer.push([i]) for i in range(len(table))]
    assert "".join(pieces) + detokenizer.flush() == "say STOPPER then "
    assert detokenizer.stopped
