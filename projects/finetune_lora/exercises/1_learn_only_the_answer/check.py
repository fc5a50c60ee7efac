"""Checks of exercise 1: which tokens of a conversation `encode_one` marks as learned."""
# ruff: noqa: ARG002  (the tokenizers have the signatures of real ones)

from finetune_lora.example import Example
from finetune_lora.model.encode import encode_one
from seedbed.errors import BadInput


class Letters:
    """A tokenizer whose tokens are characters; `~` ends a message.

    A conversation "hi", "no" reads `u:hi~a:no~`.
    """

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        tokenize: bool = True,
        add_generation_prompt: bool = False,
    ) -> str:
        text = "".join(self.message(i, conversation) for i in range(len(conversation)))
        return text + "a:" * add_generation_prompt

    def message(self, i: int, conversation: list[dict[str, str]]) -> str:
        return f"{conversation[i]['role'][0]}:{conversation[i]['content']}~"


class LongTokens(Letters):
    """`:y` is a single token, `ÿ`; and each text begins with a special token, `^`."""

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        text = "^" * add_special_tokens + text.replace(":y", "ÿ")
        return {"input_ids": [ord(letter) for letter in text]}


class LineBreaks(Letters):
    """A template that writes a line break after each message."""

    def message(self, i: int, conversation: list[dict[str, str]]) -> str:
        return super().message(i, conversation) + "\n"


class ShortHistory(Letters):
    """A template that shortens the assistant's earlier messages."""

    def message(self, i: int, conversation: list[dict[str, str]]) -> str:
        text = super().message(i, conversation)
        return "a:..~" if text[0] == "a" and i + 1 < len(conversation) else text


class OtherPrompt(Letters):
    """A template whose generation prompt is not how an answer begins."""

    def message(self, i: int, conversation: list[dict[str, str]]) -> str:
        return super().message(i, conversation).replace("a:", "assistant:")


def example(*contents: str) -> Example:
    roles = ("user", "assistant") * len(contents)
    pairs = zip(roles, contents, strict=False)
    return Example(tuple({"role": role, "content": content} for role, content in pairs), line=7)


def text(ids: list[int]) -> str:
    return "".join(map(chr, ids))


def expect(
    tokens: str,
    learned: str,
    *contents: str,
    tokenizer: Letters = Letters(),  # noqa: B008
) -> None:
    one = encode_one(tokenizer, example(*contents))
    actual = text(one.ids)
    assert actual == tokens, f"{contents}: expected the tokens {tokens!r}, got {actual!r}"
    actual = text([one.ids[i] for i in one.learned])
    assert actual == learned, f"{contents}: expected {learned!r} to be learned, got {actual!r}"


def expect_bad_input(tokenizer: Letters, case: str, *contents: str) -> None:
    try:
        encode_one(tokenizer, example(*contents))
    except BadInput as error:
        assert "7" in str(error), f"{case}: expected the line, 7, in the error, got: {error}"
    else:
        raise AssertionError(f"{case}: expected BadInput, got no error")


def check_1_messages_of_the_assistant_add_tokens() -> None:
    expect("u:hi~a:no~u:and?~a:so~", "no~so~", "hi", "no", "and?", "so")


def check_1_a_message_of_the_system_belongs_to_the_prompt() -> None:
    messages = [("system", "be brief"), ("user", "hi"), ("assistant", "no")]
    conversation = tuple({"role": role, "content": content} for role, content in messages)
    one = encode_one(Letters(), Example(conversation, line=7))
    actual = (text(one.ids), text([one.ids[i] for i in one.learned]))
    expected = ("s:be brief~u:hi~a:no~", "no~")
    assert actual == expected, f"system, user, assistant: expected {expected}, got {actual}"


def check_1_messages_after_the_last_answer_are_left_out() -> None:
    expect("u:hi~a:no~", "no~", "hi", "no", "and?")


def check_2_a_template_that_changes_earlier_messages_is_refused() -> None:
    case = "the text before an answer does not begin with the text so far"
    expect_bad_input(ShortHistory(), case, "hi", "no", "and?", "so")


def check_2_a_template_that_changes_the_prompt_is_refused() -> None:
    case = "the text with an answer does not begin with the text before it"
    expect_bad_input(OtherPrompt(), case, "hi", "no")


def check_3_prompt_and_answer_are_tokenized_separately() -> None:
    expect("u:hi~a:yo~", "yo~", "hi", "yo", tokenizer=LongTokens())
    conversation = ("hi", "yo", "and?", "yes")
    expect("u:hi~a:yo~u:and?~a:yes~", "yo~yes~", *conversation, tokenizer=LongTokens())


def check_4_the_answer_and_the_token_that_ends_it_are_learned() -> None:
    expect("u:hi~a:no~", "no~", "hi", "no")


def check_4_a_line_break_after_an_answer_is_not_part_of_it() -> None:
    expect("u:hi~\na:no~", "no~", "hi", "no", tokenizer=LineBreaks())
    expect("u:hi~\na:n\no~", "n\no~", "hi", "n\no", tokenizer=LineBreaks())
    conversation = ("hi", "no", "and?", "so")
    expect("u:hi~\na:no~\nu:and?~\na:so~", "no~so~", *conversation, tokenizer=LineBreaks())
