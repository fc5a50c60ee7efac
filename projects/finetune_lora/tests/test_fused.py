"""Fused layers give the numbers and the gradients of those that they replace."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers

from finetune_lora.model import fused_layers
from finetune_lora.model.adapter import attach
from finetune_lora.model.base import Base

IDS = torch.tensor([[5, 9, 2, 7, 7, 3], [8, 1, 4, 4, 2, 6]])


def _model(family: str = "Llama") -> Any:
    """A tiny model with random weights, norms and biases."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=16,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
    )
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    model.set_attn_implementation("eager")  # rounds less than torch's own attention
    for name, weight in model.named_parameters():
        if "norm" in name or name.endswith("bias"):
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model


def _adapted(family: str = "Llama", **options: Any) -> Any:
    base = Base(_model(family), None, "", None, "")  # type: ignore[arg-type]
    model = attach(base, r=4, alpha=8, **options)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return model


def _fused(model: Any) -> Any:
    again = copy.deepcopy(model)
    fused_layers.fuse(again)
    return again


def _learn(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    logits = model(input_ids=IDS).logits
    logits.square().sum().backward()
    return logits.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def _replaced(model: Any) -> set[str]:
    return {type(m).__name__ for m in model.modules() if "forward" in vars(m)}


@pytest.mark.parametrize(
    ("family", "method", "replaced"),
    [
        ("Llama", "lora", {"Linear", "LlamaRMSNorm"}),
        ("Qwen2", "rslora", {"Linear", "Qwen2RMSNorm"}),  # its query, key and value have a bias
        ("Gemma2", "lora", {"Linear"}),  # its norm is computed in another way
        ("Llama", "dora", {"LlamaRMSNorm"}),
    ],
)
def test_fused_layers_compute_what_plain_layers_do(
    family: str, method: str, replaced: set[str]
) -> None:
    plain = _adapted(family, method=method)
    fused = _fused(plain)
    assert (_replaced(plain), _replaced(fused)) == (set(), replaced)
    logits, gradients = _learn(plain)
    same_logits, same_gradients = _learn(fused)
    torch.testing.assert_close(same_logits, logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(same_gradients, gradients, atol=1e-4, rtol=1e-3)


def test_fused_layers_differ_in_half_precision_by_rounding_alone() -> None:
    plain = _adapted()
    for name, weight in plain.named_parameters():
        if "lora" not in name:
            weight.data = weight.data.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        logits, gradients = _learn(plain)
        same_logits, same_gradients = _learn(_fused(plain))
    assert same_logits.dtype == logits.dtype == torch.bfloat16
    torch.testing.assert_close(same_logits, logits, atol=0.05, rtol=0.05)
    for name, gradient in gradients.items():
        assert same_gradients[name].dtype == torch.float32
        assert (same_gradients[name] - gradient).norm() < 0.05 * gradient.norm()


def test_dropout_and_trained_norms_stay_as_they_are() -> None:
    assert _replaced(_fused(_adapted(dropout=0.5))) == {"LlamaRMSNorm"}
    assert "model.norm.weight" in _learn(_fused(_model()))[1]
