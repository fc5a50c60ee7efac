"""Decisions that a chat model of 135 million parameters does not make well, made by rules.

    LocalChatModel(engine=engine, help=SmallModelHelp())

`load_chat_model` passes it to the models of the catalogue that are too small to write answers.
To drop it, delete this folder, its tests and the statement in `local/load_local.py` that imports
it. What is asked of the help, and when, is in `ModelHelp` of `local/answer_form.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from seedbed.models.local.messages import text_of
from seedbed.models.local.small_model import stop_loops
from seedbed.models.local.small_model.quote_results import latest_results, quote_grammar
from seedbed.models.local.small_model.tool_words import related_tools, shares_value, uncalled_tools
from seedbed.structured.grammar import Grammar
from seedbed.structured.schemas import Schema


class SmallModelHelp:
    """Tools selected by words, results of tools quoted, endless repetition ended.

    >>> SmallModelHelp().loop_end("", "I'm glad to hear that you enjoy this chat with me. " * 2)
    102
    """

    def select_tools(
        self, tools: Sequence[Schema], choice: str, messages: Sequence[BaseMessage]
    ) -> list[Schema]:
        """The tools that share a word with the user's message; if a call is demanded, any."""
        related = related_tools(tools, messages)
        return related if choice == "auto" else related or uncalled_tools(tools, messages)

    def text_form(self, messages: Sequence[BaseMessage]) -> tuple[str, Grammar] | None:
        """After the results of tools, an answer that quotes them."""
        results = latest_results(messages)
        if not results:
            return None
        question = next((text_of(m) for m in reversed(messages) if m.type == "human"), "")
        return "Answer with the result in one sentence.", quote_grammar(results, question)

    def loop_end(self, text: str, new: str) -> int | None:
        """The number of characters of `new` with which `text + new` first completes a loop."""
        return stop_loops.loop_end(text, new)

    def keeps_call(self, call: str, messages: Sequence[BaseMessage]) -> bool:
        """Whether the last message contains a value of a further call, or it was made up."""
        question = text_of(messages[-1]) if messages else ""
        return not question or shares_value(call, question)
