"""A prefix computed once and logits of chosen positions give what whole sequences give, exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from finetune_fakes import tiny_base

from finetune_lora.example import Example
from finetune_lora.model.adapter import AdapterOptions, attach
from finetune_lora.model.base import Base, load_base
from finetune_lora.model.batches import Collator
from finetune_lora.model.encode import Encoded, encode
from finetune_lora.model.forward import selected_logits, token_losses, unwrapped
from seedbed.errors import ConfigError

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
    torch.manual_seed(0)
    if kind == "qwen2":
        from transformers import Qwen2Config, Qwen2ForCausalLM

        config = Qwen2Config(
            vocab_size=len(base.tokenizer),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=1,
        )
        return Qwen2ForCausalLM(config)
    if kind == "llama":
        return load_base(base.spec, dtype="float32").model
    fresh = load_base(base.spec, dtype="float32")
    model = attach(fresh, AdapterOptions(method=kind, r=4, alpha=8))
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


@pytest.mark.parametrize("kind", ["llama", "qwen2", "lora", "dora", "rslora"])
def test_a_shared_prefix_and_parts_change_nothing(
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
def test_the_loss_is_the_one_of_transformers(base: Base, encoded: list[Encoded], kind: str) -> None:
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


def test_logits_are_those_of_the_chosen_positions_alone(base: Base, encoded: list[Encoded]) -> None:
    (batch,) = Collator(base.tokenizer.pad_token_id, share_prefix=False)(encoded)
    seen: list[torch.Size] = []
    head = unwrapped(base.model).get_output_embeddings()
    hook = head.register_forward_hook(lambda *a: seen.append(a[2].shape))
    with torch.no_grad():
        chosen = selected_logits(base.model, batch)
        assert seen[-1][1] == len(batch["labels"]) < batch["input_ids"].numel()
        every = base.model(input_ids=batch["input_ids"]).logits
    hook.remove()
    torch.testing.assert_close(chosen, every[batch["rows"], batch["columns"]])


def test_padding_never_counts(base: Base, encoded: list[Encoded]) -> None:
    pad = base.tokenizer.pad_token_id
    (batch,) = Collator(pad)(encoded)
    with torch.no_grad():
        before = token_losses(base.model, batch)
        filled = batch["input_ids"].clone()
        longest = max(map(len, encoded))
        for row, one in enumerate(sorted(encoded, key=len)):
            end = len(one) - len(batch["prefix"])
            assert (filled[row, end:] == pad).all()
            filled[row, end:] = 7
        assert 0 <= filled.shape[1] - (longest - len(batch["prefix"])) < 8
        assert torch.equal(before, token_losses(base.model, {**batch, "input_ids": filled}))
        alone = [token_losses(base.model, Collator(pad)([e])[0]) for e in sorted(encoded, key=len)]
    torch.testing.assert_close(before, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_plain_and_fused_attention_agree(base: Base, encoded: list[Encoded]) -> None:
    (batch,) = Collator(base.tokenizer.pad_token_id)(encoded)
    eager = replace(base, model=load_base(base.spec, dtype="float32").model)
    eager.model.set_attn_implementation("eager")
    with torch.no_grad():
        torch.testing.assert_close(
            token_losses(base.model, batch), token_losses(eager.model, batch), atol=1e-5, rtol=1e-5
        )


def test_no_adapter_without_such_layers(base: Base) -> None:
    fresh = load_base(base.spec, dtype="float32")
    with pytest.raises(ConfigError, match="nonsense"):
        attach(fresh, AdapterOptions(targets="nonsense"))
    with pytest.raises(ConfigError, match="'magic'"):
        attach(fresh, AdapterOptions(method="magic"))
    with pytest.raises(ConfigError, match="CUDA"):
        load_base(base.spec, quantize=True)
