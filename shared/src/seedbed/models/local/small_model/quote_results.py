"""Answers that quote the results of tools, for models too small to summarise them.

    results = latest_results(messages)           # of the tools that were called last
    grammar = quote_grammar(results, question)   # matches "The answer is 54."

The model only chooses how a short text is introduced. When it wrote the sentence itself,
SmolLM2-135M gave the right facts in 12 of 18 cases with the best of six prompts, often in nonsense.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from langchain_core.messages import BaseMessage

from seedbed.models.embeddings.hash import stem
from seedbed.models.local.chat_messages import text_of
from seedbed.structured.grammar import Grammar, Lit, alt, seq

MAX_QUOTE = 400  # characters of one result
_MAX_PHRASE = 4  # words of a result that gets an introduction, because it is not a sentence
_INTRODUCTIONS = ("The answer is ", "The result is ", "It is ")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
# Stems of words that are common in questions and in descriptions of tools.
_COMMON_STEMS = {
    *("what", "that", "thi", "with", "from", "your", "about", "have", "when", "which"),
    *("does", "giv", "used", "uses", "using", "tool", "call", "som"),
}


def word_stems(text: str) -> set[str]:
    """The stems of words of four letters or more that are not too common to compare texts by."""
    return set(map(stem, re.findall(r"[^\W_]{4,}", text.lower()))) - _COMMON_STEMS


def latest_results(messages: Sequence[BaseMessage]) -> list[str]:
    """The texts of the tool messages that end a conversation, the oldest first."""
    ending = takewhile(lambda message: message.type == "tool", reversed(messages))
    return [text_of(message) for message in ending][::-1]


def quote_grammar(results: Sequence[str], question: str) -> Grammar:
    """The grammar of an answer that quotes every result, in one sentence each."""
    sentences = []
    for result in results:
        quote, is_json = quote_result(result, question)
        sentence = seq(Lit(quote[:1].upper() + quote[1:]), "" if quote[-1] in ".!?" else ".")
        if len(quote.split()) <= _MAX_PHRASE and not is_json:
            sentence = seq(alt([Lit(text) for text in _INTRODUCTIONS]), quote.rstrip("."), ".")
        sentences += [sentence, Lit(" ")]
    return Grammar(seq(*sentences[:-1]))


def quote_result(result: str, question: str) -> tuple[str, bool]:
    """One result as a text of at most about MAX_QUOTE characters, never empty; whether it is JSON.

    >>> quote_result('[{"name": "Casa Azul", "price": 54}]', "")
    ('the name is Casa Azul and the price is 54', True)
    """
    try:
        value = json.loads(result)
    except ValueError:
        value = result
    text = _UNPRINTABLE.sub(" ", _clauses(value)).strip() or "there is no result"
    if len(text) > MAX_QUOTE:  # the sentence that shares most words with the question
        words = word_stems(question)
        sentences = re.split(r"(?<=[.!?;])\s+", text)
        text = max(sentences, key=lambda sentence: len(words & word_stems(sentence)))
        text = text if len(text) <= MAX_QUOTE else f"{text[:MAX_QUOTE].rstrip()} …"
    return text, isinstance(value, dict | list)


def _clauses(value: Any) -> str:
    """A JSON value in words."""
    if isinstance(value, dict):
        clauses = [_clause(name.replace("_", " ").strip(), part) for name, part in value.items()]
        return ", ".join([*clauses[:-2], " and ".join(clauses[-2:])])
    if isinstance(value, list):
        separator = "; " if any(isinstance(part, dict | list) for part in value) else ", "
        return separator.join(map(_clauses, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _clause(name: str, value: Any) -> str:
    if isinstance(value, bool):  # "is_open", "paid"
        return f"it is {'' if value else 'not '}{name.removeprefix('is ')}"
    if isinstance(value, dict) and value:
        return f"the {name}: {_clauses(value)}"
    return f"the {name} is {_clauses(value) or 'none'}"
