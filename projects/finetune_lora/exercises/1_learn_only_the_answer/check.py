"""Checks of exercise 1: which tokens of a conversation `encode_one` marks as learned."""

from typing import Any

from finetune_lora.example import Example
from finetune_lora.model.encode import encode_one
from seedbed.errors import BadInput


class Letters:
    """A tokenizer whose tokens are characters, and ":y". `~` ends a message: `u:hi~a:no~`."""

    def __init__(self, message: Any = lambda text, _: text) -> None:
        self.message = message

    def __call__(self, text: str, **_options: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text.replace(":y", "ÿ")]}

    def apply_chat_template(self, messages: Any, add_generation_prompt: Any = 0, **_: Any) -> str:
        texts = [f"{one['role'][0]}:{one['content']}~" for one in messages]
        last = len(texts) - 1
        text = "".join(self.message(text, n == last) for n, text in enumerate(texts))
        return text + "a:" * add_generation_prompt


def expect(tokens: str, learned: str, conversation: str, tokenizer: Letters = Letters()) -> None:  # noqa: B008
    """All tokens and those learned; `conversation` has messages as in `tokens`, with | between."""
    roles = {"s": "system", "u": "user", "a": "assistant"}
    messages = [{"role": roles[m[0]], "content": m[2:]} for m in conversation.split("|")]
    try:
        one = encode_one(tokenizer, Example(tuple(messages), line=7))
        letters = [chr(token).replace("ÿ", ":y") for token in one.ids]
        actual = "".join(letters), "".join(letters[n] for n in one.learned)
    except BadInput as error:
        actual = "BadInput", "line 7" if "7" in str(error) else str(error)
    expected = (tokens, learned)
    assert actual == expected, (
        f"{conversation!r}: expected tokens, learned {expected}, got {actual}"
    )


def check_1_messages_of_the_assistant_add_tokens() -> None:
    expect("s:be~u:hi~a:no~u:and?~a:so~", "no~so~", "s:be|u:hi|a:no|u:and?|a:so|u:left out")


def check_2_a_template_that_changes_earlier_messages_is_refused() -> None:
    history = Letters(lambda text, last: text if last else text.replace("no", ".."))
    expect("BadInput", "line 7", "u:hi|a:no|u:and?|a:so", history)
    expect(
        "BadInput", "line 7", "u:hi|a:no", Letters(lambda text, _: text.replace("a:", "assistant:"))
    )


def check_3_prompt_and_answer_are_tokenized_separately() -> None:
    expect("u:hi~a:yo~u:and?~a:yes~", "yo~yes~", "u:hi|a:yo|u:and?|a:yes")


def check_4_the_answer_ends_with_the_token_that_ends_it() -> None:
    breaks = Letters(lambda text, _: text + "\n")
    expect("u:hi~\na:n\no~\nu:and?~\na:so~", "n\no~so~", "u:hi|a:n\no|u:and?|a:so", breaks)
