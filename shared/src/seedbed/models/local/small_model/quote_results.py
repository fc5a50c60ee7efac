"""Answers that quote the results of tools, for models too small to summarise them.

    results = latest_results(messages)           # of the tools that were called last
    grammar = quote_grammar(results, question)   # matches "The answer is 54."

JSON is quoted as clauses ("The status is shipped and the carrier is DHL."), a text verbatim. The
model only chooses how a short one is introduced. When it wrote the sentence itself, SmolLM2-135M
gave the right facts in 12 of 18 cases with the best of six prompts, often in nonsense ("Mira is
54"). Whether a model quotes is decided by `LocalChatModel.tool_results`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from langchain_core.messages import BaseMessage

from seedbed.models.local.messages import text_of
from seedbed.models.local.small_model.tool_words import word_stems
from seedbed.structured.grammar import Grammar, Lit, alt, seq

MAX_QUOTE = 400  # characters of one result
_MAX_PHRASE = 4  # words of a result that gets an introduction, because it is not a sentence
_INTRODUCTIONS = ("The answer is ", "The result is ", "It is ")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")


def latest_results(messages: Sequence[BaseMessage]) -> list[str]:
    """The texts of the tool messages that end a conversation, the oldest first.

    >>> from langchain_core.messages import HumanMessage, ToolMessage
    >>> latest_results([HumanMessage("Sum?"), ToolMessage("54", tool_call_id="1")])
    ['54']
    """
    ending = takewhile(lambda message: message.type == "tool", reversed(messages))
    return [text_of(message) for message in ending][::-1]


def quote_grammar(results: Sequence[str], question: str) -> Grammar:
    """The grammar of an answer that quotes every result, in one sentence each.

    >>> quote_grammar(['{"sky": "clear", "wet": false}'], "Is it dry?").matches(
    ...     "The sky is clear and it is not wet."
    ... )
    True
    """
    sentences = []
    for result in results:
        quote = quote_result(result, question)
        sentence = seq(Lit(quote[:1].upper() + quote[1:]), "" if quote[-1] in ".!?" else ".")
        if len(quote.split()) <= _MAX_PHRASE and not _is_json(result):
            sentence = seq(alt([Lit(text) for text in _INTRODUCTIONS]), quote.rstrip("."), ".")
        sentences += [sentence, Lit(" ")]
    return Grammar(seq(*sentences[:-1]))


def quote_result(result: str, question: str) -> str:
    """One result as a text of at most about MAX_QUOTE characters; never empty.

    >>> quote_result('[{"name": "Casa Azul", "price": 54}]', "")
    'the name is Casa Azul and the price is 54'
    """
    try:
        text = _clauses(json.loads(result))
    except ValueError:
        text = result
    text = _UNPRINTABLE.sub(" ", text).strip() or "there is no result"
    return text if len(text) <= MAX_QUOTE else _most_related(text, question)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


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


def _most_related(text: str, question: str) -> str:
    """The sentences that share most words with the question, in their order."""
    sentences = re.split(r"(?<=[.!?;])\s+", text)
    words = word_stems(question)
    order = sorted(range(len(sentences)), key=lambda n: (-len(words & word_stems(sentences[n])), n))
    selection, length = [], 0
    for n in order:
        length += len(sentences[n]) + 1
        if length > MAX_QUOTE:
            break
        selection.append(n)
    return " ".join(sentences[n] for n in sorted(selection)) or f"{text[:MAX_QUOTE].rstrip()} …"
