"""Answers in batches are those of one at a time, and those of transformers' own generate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from finetune_fakes import tiny_adapter, tiny_base

from finetune_lora.answer.predictor import ChatPredictor, TorchPredictor
from finetune_lora.example import Example
from finetune_lora.model.adapter import load_adapter
from finetune_lora.model.base import Base
from finetune_lora.model.encode import encode_one, prompt_text
from seedbed.models.scripted import ScriptedChatModel

LABELS = ("bad", "bad luck", "good", "none", "status of the order")
SCHEMA = {"type": "object", "properties": {"name": {"enum": ["none"]}}}
ASKED = [
    "hi",
    "reset the password of anna please",
    "bob order ticket laptop monitor status refund " * 4,
    "thanks",
    "where is A-2211?",
]


def _example(user: str, answer: str = "good", system: str = "answer with one label") -> Example:
    return Example(
        (
            {"role": "system", "content": system},
            {"role": "user", "content": user},
            {"role": "assistant", "content": answer},
        ),
        answer,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("predict")
    spec = tiny_base(folder / "base")
    return load_adapter(tiny_adapter(folder / "adapter", spec), dtype="float32")


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [_example(one) for one in ASKED]


def _generated(base: Base, example: Example, tokens: int) -> str:
    """What transformers' generate says to the plain prompt."""
    prompt = prompt_text(base.tokenizer, example.prompt)
    ids = base.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        out = base.model.generate(
            **ids,
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=base.tokenizer.pad_token_id,
            eos_token_id=base.tokenizer.eos_token_id,
        )
    said = out[0, ids["input_ids"].shape[1] :]
    return str(base.tokenizer.decode(said, skip_special_tokens=True)).strip()


def test_batches_single_requests_and_generate_agree(base: Base, examples: list[Example]) -> None:
    predictor = TorchPredictor(base, "adapter")
    together = [p.text for p in predictor.answer(examples, max_new_tokens=12)]
    alone = [predictor.answer([e], max_new_tokens=12)[0].text for e in examples]
    assert together == alone == [_generated(base, e, 12) for e in examples]
    assert len(set(together)) > 1
    mixed = [*examples, _example("hi", system="be good"), Example(examples[0].messages[1:])]
    assert [p.text for p in predictor.answer(mixed, max_new_tokens=12)][:5] == together
    assert predictor.answer([]) == []


def test_examples_in_the_prompt(base: Base, examples: list[Example]) -> None:
    shots = [_example("order ticket", "none"), _example("refund", "bad")]
    found = TorchPredictor(base, "few", shots=shots).answer(examples, max_new_tokens=8)
    turns = [m for shot in shots for m in shot.messages[1:]]
    whole = [Example((e.messages[0], *turns, *e.messages[1:])) for e in examples]
    assert [p.text for p in found] == [_generated(base, e, 8) for e in whole]


def test_bare_leaves_the_adapter_out(base: Base, examples: list[Example]) -> None:
    with base.model.disable_adapter():
        expected = [_generated(base, e, 8) for e in examples]
    bare = TorchPredictor(base, "base", bare=True)
    assert [p.text for p in bare.answer(examples, max_new_tokens=8)] == expected
    adapted = TorchPredictor(base, "adapter").answer(examples, max_new_tokens=8)
    assert [p.text for p in adapted] != expected


def _constrained(base: Base, example: Example, labels: Sequence[str]) -> dict[str, float]:
    """Each label's probability where nothing but labels may be said, step by step, in full."""
    paths, logits = {}, {}
    for label in labels:
        one = encode_one(
            base.tokenizer, Example((*example.prompt, {"role": "assistant", "content": label}))
        )
        paths[label] = [one.ids[i] for i in one.learned]
        with torch.no_grad():
            logits[label] = base.model(input_ids=torch.tensor([one.ids])).logits[0][
                one.learned[0] - 1 :
            ]
    found = {}
    for label, path in paths.items():
        product = 1.0
        for i, token in enumerate(path):
            allowed = sorted({p[i] for p in paths.values() if p[:i] == path[:i]})
            chances = logits[label][i, allowed].softmax(-1)
            product *= float(chances[allowed.index(token)])
        found[label] = product
    return found


@pytest.mark.parametrize("labels", [LABELS, LABELS[:1]])
def test_label_scores_are_those_of_constrained_decoding(
    base: Base, examples: list[Example], labels: tuple[str, ...]
) -> None:
    predictions = TorchPredictor(base, "a", {"labels": labels}).answer(examples)
    for example, found in zip(examples, predictions, strict=True):
        expected = _constrained(base, example, labels)
        assert found.scores == pytest.approx(expected, abs=1e-5)
        assert found.text == max(labels, key=expected.__getitem__)


def test_log_likelihood_is_the_sum_over_the_continuation(base: Base) -> None:
    predictor = TorchPredictor(base, "a")
    first = base.tokenizer("reset the", add_special_tokens=False)["input_ids"]
    rest = base.tokenizer(" password of anna", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = base.model(input_ids=torch.tensor([first + rest])).logits[0]
    logs = logits.float().log_softmax(-1)
    expected = sum(logs[len(first) + i - 1, token] for i, token in enumerate(rest))
    found, count = predictor.log_likelihood("reset the", " password of anna")
    assert found == pytest.approx(float(expected), abs=1e-4)
    assert count == len(rest)
    assert predictor.log_likelihood("", "good")[0] < 0
    assert predictor.log_likelihood("good", "") == (0.0, 0)


@pytest.mark.parametrize(
    ("task", "reply", "answer"),
    [
        ({"labels": LABELS}, '"bad luck"', "bad luck"),
        ({"schema": SCHEMA}, '{"name":"none"}', '{"name": "none"}'),
        ({}, "Hello!", "Hello!"),
    ],
)
def test_served_model_answers_through_structured_output(
    examples: list[Example], task: dict[str, Any], reply: str, answer: str
) -> None:
    chat = ScriptedChatModel(replies=[reply] * len(examples))
    found = ChatPredictor(chat, "served", task).answer(examples)
    assert [p.text for p in found] == [answer] * len(examples)
    assert {p.constrained for p in found} == {bool(task)}
