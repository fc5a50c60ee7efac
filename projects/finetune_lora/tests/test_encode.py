"""Conversations as tokens: what is learned, what a template may do, what is too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from finetune_fakes import TEMPLATE, tiny_base

from finetune_lora.example import Example
from finetune_lora.model.base import load_tokenizer
from finetune_lora.model.encode import encode, encode_one, prompt_text, token_ids
from seedbed.errors import BadInput

FORGETS = (  # leaves out what stands in ( ) of all answers but the last, as reasoning models do
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{{ m['content'] if loop.last else m['content'].split(')')[-1] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
REFUSES = (
    "{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base")
    tiny_base(path)
    return path


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    return load_tokenizer(folder)


def talk(*said: str, line: int = 0, system: str = "") -> Example:
    """Turns of user and assistant in turn."""
    roles = ["user", "assistant"] * len(said)
    messages = [{"role": r, "content": s} for r, s in zip(roles, said, strict=False)]
    first = [{"role": "system", "content": system}] if system else []
    return Example((*first, *messages), line=line)


def test_the_answer_and_its_end_are_learned(tokenizer: Any) -> None:
    example = talk("reset the password", "good", system="be good")
    one = encode_one(tokenizer, example)
    assert tokenizer.decode([one.ids[i] for i in one.learned]) == "good<|im_end|>"
    prompt = token_ids(tokenizer, prompt_text(tokenizer, example.prompt))
    assert one.ids[: len(prompt)] == prompt  # as the served model is shown it
    assert one.learned == list(range(len(prompt), len(one)))


def test_every_answer_of_a_conversation_is_learned(tokenizer: Any) -> None:
    example = talk("hi", "good", "order A-2211", "bad", "thanks", "none")
    one = encode_one(tokenizer, example)
    learned = tokenizer.decode([one.ids[i] for i in one.learned])
    assert learned == "good<|im_end|>bad<|im_end|>none<|im_end|>"
    whole = tokenizer.apply_chat_template(list(example.messages), tokenize=False)
    assert tokenizer.decode(one.ids) == whole.rstrip("\n")
    last = token_ids(tokenizer, prompt_text(tokenizer, example.prompt))
    assert one.ids[: len(last)] == last


@pytest.mark.parametrize("answer", ["", "\n", "good\n\n", "ünïcödé 😀", "<|im_end|>", "x" * 2000])
def test_odd_answers_come_back_whole(tokenizer: Any, answer: str) -> None:
    one = encode_one(tokenizer, talk("hi", answer))
    assert tokenizer.decode([one.ids[i] for i in one.learned]) == answer + "<|im_end|>"


def test_a_template_that_rewrites_history(tokenizer: Any) -> None:
    tokenizer.chat_template = FORGETS
    assert encode_one(tokenizer, talk("hi", "(thought)good")).learned
    with pytest.raises(BadInput, match=r"^t\.jsonl, line 17: .*rewrites.*one answer each"):
        encode(
            tokenizer,
            [talk("hi", "(thought)good", "so", "bad", line=17)],
            max_tokens=999,
            source="t.jsonl",
        )


def test_a_template_that_refuses_a_role(tokenizer: Any) -> None:
    tokenizer.chat_template = REFUSES
    with pytest.raises(BadInput, match=r"Line 3: .*System role not supported"):
        encode(tokenizer, [talk("hi", "good", system="be", line=3)], max_tokens=99)


def test_a_too_long_row_names_its_line(tokenizer: Any) -> None:
    rows = [talk("hi", "good", line=1), talk("word " * 400, "good", line=2)]
    with pytest.raises(BadInput, match=r"d\.jsonl, line 2 has \d+ tokens.* 64\..*--truncate"):
        encode(tokenizer, rows, max_tokens=64, source="d.jsonl")


def test_truncation_keeps_what_can_be_learned(tokenizer: Any) -> None:
    short, long_prompt = talk("hi", "good"), talk("word " * 400, "good")
    long_answer = talk("hi", "good " * 400)
    kept = encode(tokenizer, [short, long_prompt, long_answer], max_tokens=64, truncate=True)
    assert kept[0] == encode_one(tokenizer, short)
    assert len(kept) == 2  # of the long prompt no answer was left
    assert len(kept[1]) == 64
    assert kept[1].learned[-1] == 63


def test_a_limit_is_inclusive(tokenizer: Any) -> None:
    one = talk("hi", "good")
    length = len(encode_one(tokenizer, one))
    assert len(encode(tokenizer, [one], max_tokens=length)) == 1
    with pytest.raises(BadInput):
        encode(tokenizer, [one], max_tokens=length - 1)
