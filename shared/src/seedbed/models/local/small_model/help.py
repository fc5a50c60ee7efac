"""Decisions that a chat model of 135 million parameters does not make well, made by rules.

    LocalChatModel(engine=engine, help=SmallModelHelp())

`load_local` passes it to the models of the catalogue that are too small to write answers. To drop
it, delete this folder, its tests and that statement; a model without help has `help=None`.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from seedbed.models.local.chat_messages import text_of
from seedbed.models.local.small_model import stop_loops
from seedbed.models.local.small_model.quote_results import latest_results, quote_grammar, word_stems
from seedbed.structured.grammar import Grammar
from seedbed.structured.schemas import tool_name
from seedbed.structured.validator import Schema


class SmallModelHelp:
    """Tools selected by words, results of tools quoted, endless repetition ended."""

    loop_end = staticmethod(stop_loops.loop_end)

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
