"""An example as token ids, with the ones that are learned marked.

Prompt and answer are tokenized separately, as they are when the model is served.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from finetune_lora.example import Example, Message
from seedbed.errors import BadInput


@dataclass(frozen=True, slots=True)
class Encoded:
    """`ids` of a whole conversation; `learned` are the positions whose token is a target."""

    ids: list[int]
    learned: list[int]

    def __len__(self) -> int:
        return len(self.ids)


def encode(
    tokenizer: Any,
    examples: Iterable[Example],
    *,
    max_tokens: int,
    truncate: bool = False,
    source: str = "",
) -> list[Encoded]:
    """Examples as tokens, at most `max_tokens` each; `source` is the file they are from.

    A longer one raises BadInput with its line; with `truncate` it loses its end, and is left out
    if nothing to learn is left.
    """
    encoded = []
    for example in examples:
        one = encode_one(tokenizer, example, source)
        if len(one) > max_tokens:
            if not truncate:
                raise BadInput(
                    f"{_place(example, source)} has {len(one)} tokens, "
                    f"more than --max-tokens {max_tokens}.",
                    hint="Raise --max-tokens, or truncate long rows with --truncate.",
                )
            one = Encoded(one.ids[:max_tokens], [i for i in one.learned if i < max_tokens])
        if one.learned:
            encoded.append(one)
    return encoded


def encode_one(tokenizer: Any, example: Example, source: str = "") -> Encoded:
    """Tokens of one example; what is learned is each answer and the token that ends it."""
    ids: list[int] = []
    learned: list[int] = []
    seen = ""
    messages = list(example.messages)
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        try:
            before = prompt_text(tokenizer, messages[:i])
            after = str(tokenizer.apply_chat_template(messages[: i + 1], tokenize=False))
        except TemplateError as error:
            raise BadInput(
                f"{_place(example, source)}: rejected by the base model's chat template: {error}.",
                hint="Change the conversation to a form the template accepts, or use another "
                "base model.",
            ) from error
        if not (before.startswith(seen) and after.startswith(before)):
            raise BadInput(
                f"{_place(example, source)}: the base model's chat template rewrites "
                "earlier messages, so "
                "several answers cannot be learned.",
                hint="Use conversations with one answer each.",
            )
        ids += token_ids(tokenizer, before[len(seen) :])
        # A template may add a line break after the token that ends an answer: it is not learned.
        answer = token_ids(tokenizer, after[len(before) :].rstrip("\n"))
        learned += range(len(ids), len(ids) + len(answer))
        ids += answer
        seen = after.rstrip("\n")
    return Encoded(ids, learned)


def _place(example: Example, source: str) -> str:
    return f"{source}, line {example.line}" if source else f"Line {example.line}"


def prompt_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The text that the model is shown for `messages`, ready for its answer."""
    return str(
        tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    )


def token_ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
