"""Checks of exercise 4: the gradient of RMSNorm, compared with differences of its values."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from finetune_lora.model.fused_layers import _Norm


def backward(x: Tensor, grad: Tensor, weight: Tensor, eps: float) -> Any:
    """What `backward` returns after `forward`, called as autograd does."""
    saved: list[Tensor] = []
    ctx: Any = SimpleNamespace(save_for_backward=lambda *tensors: saved.extend(tensors))
    _Norm.forward(ctx, x, weight, eps)
    return _Norm.backward(SimpleNamespace(saved_tensors=tuple(saved)), grad)


def expect(x: Tensor, grad: Tensor, weight: Tensor, eps: float = 0.0, error: float = 1e-3) -> None:
    """The gradient must be that of differences of the loss, sum(grad · y), in float64."""
    wide, s = x.double(), (grad * weight).double()

    def loss(x: Tensor) -> float:
        return float((s * x / (x.square().mean(-1, keepdim=True) + eps).sqrt()).sum())

    steps = 1e-5 * torch.eye(x.numel(), dtype=torch.float64).view(-1, *x.shape)
    slopes = [(loss(wide + step) - loss(wide - step)) / 2e-5 for step in steps]
    expected = torch.tensor(slopes, dtype=torch.float64).view(x.shape)
    actual = backward(x, grad, weight, eps)[0].double()
    case = f"x {x.flatten()[:4].tolist()} of the shape {tuple(x.shape)} and {x.dtype}, eps {eps}"
    size = float(expected.norm()) or 1.0
    assert float((actual - expected).norm()) / size < error, (
        f"{case}: expected {expected.flatten()[:4].tolist()}, got {actual.flatten()[:4].tolist()}"
    )


def check_1_three_values_are_returned_and_the_first_is_like_x() -> None:
    x = torch.ones(4, 3, 2, dtype=torch.bfloat16)
    first, *others = backward(x, x, torch.ones(2, dtype=torch.bfloat16), 0.0)
    actual, expected = (first.shape, first.dtype, *others), (x.shape, x.dtype, None, None)
    assert actual == expected, f"shape and type, weights, eps: expected {expected}, got {actual}"


def check_2_the_direct_part() -> None:
    # grad · weight is orthogonal to x: r = 5 is a constant, and only the direct part is left.
    expect(torch.tensor([18**0.5, 32**0.5]), torch.tensor([2.0, -1.0]), torch.tensor([2.0, 3.0]))


def check_3_the_part_through_r() -> None:
    torch.manual_seed(0)
    for shape, eps in (((5,), 0.0), ((3, 4), 0.5), ((2, 3, 4), 0.0)):
        expect(torch.randn(shape), torch.randn(shape), torch.randn(shape[-1]), eps)


def check_4_bfloat16_is_converted_before_and_not_within() -> None:
    torch.manual_seed(0)
    x = torch.randn(64).bfloat16()
    grad = (x + torch.randn(64) / 8).bfloat16()  # the two parts are nearly equal
    expect(x, grad, torch.ones(64, dtype=torch.bfloat16), 1e-5, error=4e-3)
