"""Fused layers give the numbers and the gradients of those that they replace, and keep less."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import Module

from finetune_lora.model import fused_layers
from finetune_lora.model.adapter import AdapterOptions, attach
from finetune_lora.model.base import Base

IDS = torch.tensor([[5, 9, 2, 7, 7, 3], [8, 1, 4, 4, 2, 6]])


def _llama(**changes: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_sizes(), **changes))


def _qwen2() -> Any:
    """Its query, key and value have a bias."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    model = Qwen2ForCausalLM(Qwen2Config(**_sizes()))
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)
    return model


def _gemma2() -> Any:
    """It bounds its scores, and its norm is no RMSNorm of the usual kind."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(**_sizes(), head_dim=16, attn_logit_softcapping=0.5)
    return Gemma2ForCausalLM(config)


def _sizes() -> dict[str, int]:
    return {
        "vocab_size": 16,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }


def _adapted(make: Callable[[], Any] = _llama, method: str = "lora", **options: Any) -> Any:
    torch.manual_seed(0)
    made = make().eval()
    for name, weight in made.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    made.set_attn_implementation("eager")
    base = Base(made, None, "", None, "")  # type: ignore[arg-type]
    model = attach(base, AdapterOptions(method, r=4, alpha=8, **options))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return model


def _fused(model: Any) -> Any:
    again = copy.deepcopy(model)
    fused_layers.use_attention(again)
    fused_layers.fuse(again)
    return again


def _half(model: Any) -> Any:
    for name, weight in model.named_parameters():
        if "lora" not in name:
            weight.data = weight.data.bfloat16()
    return model


def _learn(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    logits = model(input_ids=IDS).logits
    logits.square().sum().backward()
    return logits.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def _replaced(model: Module) -> set[str]:
    return {type(m).__name__ for m in model.modules() if "forward" in vars(m)}


@pytest.mark.parametrize("make", [_llama, _qwen2, _gemma2])
@pytest.mark.parametrize("method", ["lora", "rslora"])
def test_numbers_and_gradients_are_those_of_plain_layers(
    make: Callable[[], Any], method: str
) -> None:
    plain = _adapted(make, method)
    quick = _fused(plain)
    assert "Linear" in _replaced(quick) and not _replaced(plain)
    logits, gradients = _learn(plain)
    same_logits, same_gradients = _learn(quick)
    torch.testing.assert_close(same_logits, logits, atol=1e-5, rtol=1e-4)
    assert gradients.keys() == same_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(same_gradients[name], gradient, atol=1e-4, rtol=1e-3)


def test_in_half_precision_they_differ_by_rounding_alone() -> None:
    plain = _half(_adapted())
    with torch.autocast("cpu", torch.bfloat16):
        logits, gradients = _learn(plain)
        same_logits, same_gradients = _learn(_fused(plain))
    assert same_logits.dtype == logits.dtype == torch.bfloat16
    torch.testing.assert_close(same_logits, logits, atol=0.05, rtol=0.05)
    for name, gradient in gradients.items():
        assert same_gradients[name].dtype == torch.float32
        assert (same_gradients[name] - gradient).norm() < 0.05 * gradient.norm()


def test_without_its_adapter_a_model_is_the_base() -> None:
    plain = _adapted()
    quick = _fused(plain)
    with torch.no_grad(), plain.disable_adapter(), quick.disable_adapter():
        torch.testing.assert_close(quick(input_ids=IDS).logits, plain(input_ids=IDS).logits)
    with torch.no_grad():
        answered = quick(input_ids=IDS).logits
        quick.merge_adapter()
        torch.testing.assert_close(quick(input_ids=IDS).logits, answered, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", [{"method": "dora"}, {"dropout": 0.5}])
def test_other_kinds_of_adapters_stay_as_they_are(options: dict[str, Any]) -> None:
    assert _replaced(_fused(_adapted(**options))) == {"LlamaRMSNorm"}


def test_a_norm_that_is_trained_still_is() -> None:
    model = _llama()
    fused_layers.fuse(model)
    assert "model.norm.weight" in _learn(model)[1]


def test_the_backward_pass_keeps_less() -> None:
    plain = _half(_adapted())
    assert 0 < _kept(_fused(plain)) < 0.75 * _kept(plain)


def _kept(model: Any) -> int:
    """Bytes that a forward pass leaves for the backward pass, without the weights."""
    weights = {weight.data_ptr() for weight in model.parameters()}
    sizes: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16),
    ):
        logits = model(input_ids=IDS.repeat(8, 8)).logits
    assert logits.requires_grad
    return sum(sizes.values())


def test_dropout_of_attention_is_kept() -> None:
    model = _fused(_adapted(lambda: _llama(attention_dropout=0.9))).train()
    with torch.no_grad():
        assert not torch.equal(model(input_ids=IDS).logits, model(input_ids=IDS).logits)
        model.eval()
        assert torch.equal(model(input_ids=IDS).logits, model(input_ids=IDS).logits)


def test_values_may_be_of_another_width() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 5, 16), torch.randn(2, 2, 5, 16)
    value = torch.randn(2, 2, 5, 8)
    found, _ = fused_layers.attention(torch.nn.Module().eval(), query, key, value, None, 0.25)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, scale=0.25, enable_gqa=True
    )
    torch.testing.assert_close(found, expected.transpose(1, 2))
