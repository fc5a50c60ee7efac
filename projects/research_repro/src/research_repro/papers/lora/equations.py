"""LoRA's equations as numbers that are 0 up to rounding, for the claims and for wrong variants.

check_equations(model, input_ids, ["q_proj", "v_proj"])["equation"]       # 3e-07
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from research_repro.papers.lora.method import (
    LoRALinear,
    add_lora,
    lora_layers,
    merge,
    parameter_count,
    unmerge,
)


@torch.no_grad()
def check_equations(
    model: nn.Module,
    input_ids: Tensor,
    targets: Sequence[str],
    rank: int = 4,
    alpha: float = 8.0,
    layer: type[LoRALinear] = LoRALinear,
) -> dict[str, float]:
    """Compare LoRA layers on a copy of `model` with the paper; all numbers are 0 up to rounding.

    `b-zero`: largest |B| or change of a logit at the start; 1 if A is not random. `only-ab`: share
    of the trainable parameters that are not A or B. `count`: their number minus the formula's.
    Then, with a random B, relative differences: `equation`, of each layer and its gradient from
    eq. 3 in float64; `merge`, of logits.
    """
    model = copy.deepcopy(model).eval()
    before = _logits(model, input_ids)
    trainable = add_lora(model, targets, rank, alpha, layer=layer)
    layers = lora_layers(model)
    start = [(_logits(model, input_ids) - before).abs().max()]
    start += [lora.B.abs().max() for lora in layers.values()]
    start += [(lora.A.std() == 0).float() for lora in layers.values()]
    others = [
        p for n, p in model.named_parameters() if p.requires_grad and n[-2:] not in (".A", ".B")
    ]
    formula = parameter_count([lora.weight.shape for lora in layers.values()], rank)
    generator = torch.Generator().manual_seed(0)
    for lora in layers.values():
        lora.B.copy_(torch.randn(lora.B.shape, generator=generator) / 10)
    equation = max(_equation_error(lora, rank, alpha, generator) for lora in layers.values())
    unmerged = _logits(model, input_ids)
    merge(model)
    merged = _logits(model, input_ids)
    unmerge(model)
    return {
        "b-zero": float(torch.stack(start).max()),
        "only-ab": sum(p.numel() for p in others) / max(1, trainable),
        "count": float(trainable - formula),
        "equation": equation,
        "merge": max(_error(merged, unmerged), _error(_logits(model, input_ids), unmerged)),
    }


def _equation_error(
    layer: LoRALinear, rank: int, alpha: float, generator: torch.Generator
) -> float:
    x = torch.randn(8, layer.in_features, generator=generator)
    W0, A, B, x64 = (tensor.double() for tensor in (layer.weight, layer.A, layer.B, x))
    W = W0 + alpha / rank * B @ A
    expected = x64 @ W.T + (0 if layer.bias is None else layer.bias.double())
    with torch.enable_grad():  # layers below learn through x
        h = layer(x.requires_grad_())
        (gradient,) = torch.autograd.grad(h.sum(), x)
    errors = [_error(h, expected), _error(gradient, W.sum(0).expand(8, -1))]
    return float(torch.tensor(errors).max())  # NaN is the largest


def _error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max())


def _logits(model: nn.Module, input_ids: Tensor) -> Tensor:
    logits: Tensor = model(input_ids).logits
    return logits
