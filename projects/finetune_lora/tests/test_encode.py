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

FORGETS = (  # leaves out ( ) in all answers but the last, as reasoning models do
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


def test_template_that_rewrites_history_is_refused_for_several_answers(tokenizer: Any) -> None:
    tokenizer.chat_template = FORGETS
    assert encode_one(tokenizer, talk("hi", "(thought)good")).learned
    several = talk("hi", "(thought)good", "so", "bad", line=17)
    with pytest.raises(BadInput, match=r"^t\.jsonl, line 17: .*rewrites.*one answer each"):
        encode(tokenizer, [several], max_tokens=999, source="t.jsonl")


def test_template_that_refuses_a_role_names_the_line(tokenizer: Any) -> None:
    tokenizer.chat_template = REFUSES
    with pytest.raises(BadInput, match=r"Line 3: .*System role not supported"):
        encode(tokenizer, [talk("hi", "good", system="be", line=3)], max_tokens=99)


def test_row_over_the_limit_is_refused_or_truncated(tokenizer: Any) -> None:
    short, long_prompt = talk("hi", "good", line=1), talk("word " * 400, "good", line=2)
    long_answer = talk("hi", "good " * 400)
    length = len(encode_one(tokenizer, short))
    assert encode(tokenizer, [short], max_tokens=length) == [encode_one(tokenizer, short)]
    with pytest.raises(BadInput, match=r"d\.jsonl, line 2 has \d+ tokens.* 64\..*--truncate"):
        encode(tokenizer, [short, long_prompt], max_tokens=64, source="d.jsonl")
    rows = [short, long_prompt, long_answer]  # of the long prompt no answer is left
    first, last = encode(tokenizer, rows, max_tokens=64, truncate=True)
    assert first == encode_one(tokenizer, short)
    assert (len(last), last.learned[-1]) == (64, 63)
