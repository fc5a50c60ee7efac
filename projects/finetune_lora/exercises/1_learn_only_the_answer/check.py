"""Checks of exercise 1: which tokens of a conversation `encode_one` marks as learned."""

from finetune_lora.encode import encode_one
from finetune_lora.example import Example
from seedbed.errors import BadInput


class Letters:
    """A tokenizer whose tokens are characters; `~` ends a message."""

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [ord(c) for c in text]}

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, add_generation_prompt: bool = False, **_: object
    ) -> str:
        said = "".join(f"{m['role'][0]}:{m['content']}~\n" for m in messages)
        return said + "a:" * add_generation_prompt


class Forgetful(Letters):
    """A template that drops what was said before."""

    def apply_chat_template(self, messages: list[dict[str, str]], **options: object) -> str:
        return super().apply_chat_template(messages[-1:], **options)


def example(*contents: str) -> Example:
    roles = ("user", "assistant") * len(contents)
    pairs = zip(roles, contents, strict=False)
    return Example(tuple({"role": role, "content": content} for role, content in pairs), line=7)


def text(ids: list[int]) -> str:
    return "".join(map(chr, ids))


def check_the_whole_conversation_is_encoded() -> None:
    one = encode_one(Letters(), example("hi", "yo"))
    assert text(one.ids) == "u:hi~\na:yo~", f"the ids spell {text(one.ids)!r}"


def check_only_the_answer_and_its_end_are_learned() -> None:
    one = encode_one(Letters(), example("hi", "yo"))
    learned = text([one.ids[i] for i in one.learned])
    assert learned == "yo~", f"what is learned spells {learned!r}, it should be 'yo~'"


def check_every_answer_is_learned() -> None:
    one = encode_one(Letters(), example("hi", "yo", "and?", "no"))
    assert text(one.ids) == "u:hi~\na:yo~\nu:and?~\na:no~", f"the ids spell {text(one.ids)!r}"
    learned = text([one.ids[i] for i in one.learned])
    assert learned == "yo~no~", f"what is learned spells {learned!r}, it should be 'yo~no~'"


def check_a_template_that_rewrites_is_refused() -> None:
    try:
        encode_one(Forgetful(), example("hi", "yo", "and?", "no"))
    except BadInput as error:
        assert "7" in str(error), f"the error does not name line 7: {error}"
    else:
        raise AssertionError("a template that drops earlier messages raised nothing")
