"""Decisions that a chat model of 135 million parameters does not make well, made by rules.

    LocalChatModel(engine=engine, help=SmallModelHelp())

It selects tools, quotes their results, and ends a text that goes round in circles. `load_local`
passes it to the models of the catalogue that are too small to write answers. To drop it, delete
this file, its tests and that statement; a model without help has `help=None`.
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
from seedbed.structured.schemas import tool_name
from seedbed.structured.validator import Schema

MAX_QUOTE = 400  # characters of one result
_MAX_PHRASE = 4  # words of a result that gets an introduction, because it is not a sentence
_INTRODUCTIONS = ("The answer is ", "The result is ", "It is ")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
# Stems of words that are common in questions and in descriptions of tools.
_COMMON_STEMS = {
    *("what", "that", "thi", "with", "from", "your", "about", "have", "when", "which"),
    *("does", "giv", "used", "uses", "using", "tool", "call", "som"),
}
MAX_PERIOD = 600  # characters of a passage whose repetition is noticed
_CONTEXT = 24  # characters that must recur before a passage is compared
_LONG_PASSAGE = 40  # characters; one immediate repetition of a passage as long is a loop …
_LONG_LOOP = 100  # … and so are three or more of a shorter one that are as long together


def loop_end(text: str, new: str) -> int | None:
    """The number of characters of `new` with which `text + new` first completes a loop, or None.

    The result does not depend on how the text is divided into `text` and `new`.

    >>> loop_end("", "She sells sea shells on the sea shore today. " * 3)
    90
    """
    window = text[-4 * MAX_PERIOD :] + new
    for end in range(len(window) - len(new) + 1, len(window) + 1):
        if _loops(window[:end]):
            return end - (len(window) - len(new))
    return None


def _loops(text: str) -> bool:
    tail = text[-_CONTEXT:]
    earlier = text.rfind(tail, 0, len(text) - 1)
    if len(text) < 2 * _CONTEXT or earlier < 0:
        return False
    period = len(text) - _CONTEXT - earlier
    if period >= _LONG_PASSAGE:
        return period <= MAX_PERIOD and text[-period:] == text[-2 * period : -period]
    repeats = max(3, -(-_LONG_LOOP // period))
    return text[-period:] * repeats == text[-period * repeats :]


class SmallModelHelp:
    """Tools selected by words, results of tools quoted, endless repetition ended."""

    loop_end = staticmethod(loop_end)

    def select_tools(
        self, tools: Sequence[Schema], choice: str, messages: Sequence[BaseMessage]
    ) -> list[Schema]:
        """The tools of which one must be called; none for an answer in text.

        They share a word with the user's message; if a call is demanded (`choice` is "any"), any
        tool will do. Of 16 cases, SmolLM2-135M got 3 right (with examples in the prompt), this
        rule 14.
        """
        related = []
        if messages and messages[-1].type == "human":
            stems = word_stems(text_of(messages[-1]))
            related = [tool for tool in tools if stems & word_stems(_description(tool))]
        return related if choice == "auto" else related or _uncalled(tools, messages)

    def text_form(self, messages: Sequence[BaseMessage]) -> tuple[str, Grammar] | None:
        """Instructions and a grammar for an answer in text, which quotes the results of tools; None
        where the model writes freely."""
        results = latest_results(messages)
        if not results:
            return None
        question = next((text_of(m) for m in reversed(messages) if m.type == "human"), "")
        return "Answer with the result in one sentence.", quote_grammar(results, question)


def _description(tool: Schema) -> str:
    return f"{tool_name(tool)} {tool['function'].get('description', '')}"


def _uncalled(tools: Sequence[Schema], messages: Sequence[BaseMessage]) -> list[Schema]:
    """The tools that were not called since the user's last message; all of them if all were.

    Where a call is compulsory, a small model repeats the call that has just been answered.
    """
    called = set()
    for message in reversed(messages):
        if message.type == "human":
            break
        called |= {call["name"] for call in getattr(message, "tool_calls", ())}
    return [tool for tool in tools if tool_name(tool) not in called] or list(tools)


def word_stems(text: str) -> set[str]:
    """The stems of words of four letters or more that are not too common to compare texts by."""
    return set(map(stem, re.findall(r"[^\W_]{4,}", text.lower()))) - _COMMON_STEMS


def latest_results(messages: Sequence[BaseMessage]) -> list[str]:
    """The texts of the tool messages that end a conversation, the oldest first."""
    ending = takewhile(lambda message: message.type == "tool", reversed(messages))
    return [text_of(message) for message in ending][::-1]


def quote_grammar(results: Sequence[str], question: str) -> Grammar:
    """The grammar of an answer that quotes every result, in one sentence each.

    The model only chooses how a short text is introduced. When it wrote the sentence itself,
    SmolLM2-135M gave the right facts in 12 of 18 cases with the best of six prompts, often in
    nonsense.
    """
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
