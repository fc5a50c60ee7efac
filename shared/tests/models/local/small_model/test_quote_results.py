"""Answers that quote the results of tools."""

import pytest

from seedbed.models.local.small_model import (
    MAX_QUOTE,
    quote_grammar,
    quote_result,
)


@pytest.mark.parametrize(
    ("result", "quote"),
    [
        ("rain, 9 degrees", "rain, 9 degrees"),
        (" two\nlines ", "two lines"),
        ('{"status": "shipped", "due": null}', "the status is shipped and the due is none"),
        ('{"paid": false, "is_open": true}', "it is not paid and it is open"),
        ('{"a_b": {"c": 1, "d": [1, 2]}}', "the a b: the c is 1 and the d is 1, 2"),
        ('[{"name": "x"}, {"name": "y"}]', "the name is x; the name is y"),
        *[(empty, "there is no result") for empty in ("", "{}", "null")],
    ],
)
def test_quote_of_a_result_is_text(result, quote):
    assert quote_result(result, "")[0] == quote


def test_quote_of_a_long_result_has_the_sentences_related_to_the_question():
    filler = "The weather was pleasant that year. " * 40
    result = f"{filler}The bridge was opened in 1932. {filler}"
    quote, _ = quote_result(result, "When was the bridge opened?")
    assert "The bridge was opened in 1932." in quote
    assert len(quote) <= MAX_QUOTE


def test_quote_grammar_introduces_what_is_not_a_sentence():
    assert quote_grammar(["54"], "").matches("The answer is 54.")
    assert not quote_grammar(["54"], "").matches("54.")
    assert quote_grammar(['{"a": 1}', "It all went very well!"], "").matches(
        "The a is 1. It all went very well!"
    )
