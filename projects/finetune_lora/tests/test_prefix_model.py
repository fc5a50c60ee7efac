"""A prefix computed once and logits of chosen positions give what whole sequences give, exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from finetune_fakes import tiny_base

from finetune_lora.example import Example
from finetune_lora.model.adapter import attach
from finetune_lora.model.base import Base, load_base
from finetune_lora.model.batches import Collator
from finetune_lora.model.encode import Encoded, encode
from finetune_lora.model.forward import token_losses

SYSTEM = "answer with one label please thanks and be good"
TALK = [
    ("reset the password", "good"),
    ("bob order ticket of anna laptop monitor", "bad day"),
    ("hi", "none at all"),
]


def _example(user: str, answer: str) -> Example:
    return Example(
        (
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": user},
            {"role": "assistant", "content": answer},
        )
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return load_base(tiny_base(tmp_path_factory.mktemp("base")), dtype="float32")


def _model(base: Base, kind: str) -> Any:
    """A model with the base's tokenizer: a Qwen2, the base, or the base with an adapter."""
    torch.manual_seed(0)
    if kind == "qwen2":
        from transformers import Qwen2Config, Qwen2ForCausalLM

        sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 1}
        return Qwen2ForCausalLM(Qwen2Config(vocab_size=len(base.tokenizer), **sizes, **heads))
    fresh = load_base(base.spec, dtype="float32")
    if kind == "llama":
        return fresh.model
    model = attach(fresh, method=kind, r=4, alpha=8)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return model


@pytest.fixture(scope="module")
def encoded(base: Base) -> list[Encoded]:
    return encode(base.tokenizer, [_example(*t) for t in TALK], max_tokens=200)


def _learn(model: Any, batches: list[dict[str, torch.Tensor]]) -> tuple[Any, torch.Tensor]:
    """Losses, sorted, and all gradients."""
    model.zero_grad()
    losses = [token_losses(model, batch) for batch in batches]
    sum(one.sum() for one in losses).backward()  # type: ignore[union-attr]
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return torch.cat(losses).detach().sort().values, torch.cat(gradients)


@pytest.mark.parametrize("kind", ["qwen2", "lora", "dora"])
def test_shared_prefix_and_parts_change_nothing(
    base: Base, encoded: list[Encoded], kind: str
) -> None:
    model, pad = _model(base, kind).train(), base.tokenizer.pad_token_id
    whole = Collator(pad, share_prefix=False)(encoded)
    shared = Collator(pad)(encoded)
    parts = Collator(pad, most_tokens=30)(encoded)
    assert len(whole[0]["prefix"]) == 0
    assert len(shared[0]["prefix"]) > 10
    assert len(parts) > len(shared) == 1
    losses, gradients = _learn(model, whole)
    for batches in (shared, parts):
        same_losses, same_gradients = _learn(model, batches)
        torch.testing.assert_close(same_losses, losses, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(same_gradients, gradients, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_loss_is_the_one_of_transformers(base: Base, encoded: list[Encoded], kind: str) -> None:
    model = _model(base, kind)
    longest = max(map(len, encoded))
    ids = torch.full((len(encoded), longest), base.tokenizer.pad_token_id)
    labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
    for row, one in enumerate(encoded):
        ids[row, : len(one)] = torch.tensor(one.ids)
        mask[row, : len(one)] = 1
        labels[row, one.learned] = ids[row, one.learned]
    weight = model.get_input_embeddings().weight  # which is the output layer's, too
    expected = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    (gradient,) = torch.autograd.grad(expected, weight)
    (batch,) = Collator(base.tokenizer.pad_token_id)(encoded)
    loss = token_losses(model, batch).mean()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    (same_gradient,) = torch.autograd.grad(loss, weight)
    torch.testing.assert_close(same_gradient, gradient, atol=1e-6, rtol=1e-4)
