"""Checks of exercise 4: the gradient of RMSNorm, compared with differences of its values."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from finetune_lora.model.fused_layers import _Norm

ONES = (1.0, 1.0)


def backward(x: Tensor, grad: Tensor, weight: Tensor, eps: float = 0.0) -> Any:
    """What `backward` returns after `forward`, called as autograd does."""
    saved: list[Tensor] = []
    ctx: Any = SimpleNamespace(save_for_backward=lambda *tensors: saved.extend(tensors))
    _Norm.forward(ctx, x, weight, eps)
    before = [tensor.clone() for tensor in saved]
    result = _Norm.backward(SimpleNamespace(saved_tensors=tuple(saved)), grad)
    same = all(torch.equal(a, b) for a, b in zip(before, saved, strict=True))
    assert same, "the saved tensors: expected them as they were, got others"
    return result


def gradient(x: Any, grad: Any, weight: Any = ONES, eps: float = 0.0) -> Tensor:
    """The gradient of x; each argument is a tensor or a list."""
    tensors = [torch.as_tensor(value, dtype=torch.float32) for value in (x, grad, weight)]
    result = backward(*tensors, eps)
    gradient_of_x = result[0] if isinstance(result, tuple) else result
    assert isinstance(gradient_of_x, Tensor), f"expected a tensor for x, got {gradient_of_x!r}"
    return gradient_of_x


def differences(x: Tensor, grad: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The same from values of the loss, sum of grad · y, in float64."""
    x, grad, weight = (tensor.double() for tensor in (x, grad, weight))

    def loss(x: Tensor) -> float:
        r = (x.square().mean(-1, keepdim=True) + eps).sqrt()
        return float((grad * weight * x / r).sum())

    steps = 1e-5 * torch.eye(x.numel(), dtype=torch.float64).view(-1, *x.shape)
    slopes = [(loss(x + step) - loss(x - step)) / 2e-5 for step in steps]
    return torch.tensor(slopes).view(x.shape)


def expect(actual: Tensor, expected: Any, case: str) -> None:
    wanted = torch.as_tensor(expected, dtype=torch.float32)
    want, got = (
        ", ".join(f"{value:.4f}" for value in tensor.float().flatten()[:6])
        for tensor in (wanted, actual)
    )
    problem = f"{case}: expected the gradient {want}, got {got}"
    assert actual.shape == wanted.shape, f"{problem} of the shape {tuple(actual.shape)}"
    assert torch.allclose(actual.float(), wanted, rtol=1e-3, atol=1e-4), problem


def check_1_the_weights_and_eps_have_no_gradient() -> None:
    result = backward(torch.ones(2), torch.ones(2), torch.ones(2))
    problem = f"expected a tuple of three, got {result!r}"
    assert isinstance(result, tuple), problem
    assert len(result) == 3, problem
    assert result[1:] == (None, None), f"weights and eps: expected None, None, got {result[1:]}"


def check_1_the_gradient_has_the_shape_and_the_type_of_x() -> None:
    x = torch.ones(4, 3, 2, dtype=torch.bfloat16)
    (gradient_of_x, *_) = backward(x, x, torch.ones(2, dtype=torch.bfloat16))
    actual, expected = (gradient_of_x.shape, gradient_of_x.dtype), (x.shape, x.dtype)
    assert actual == expected, f"x of {expected}: expected a gradient like it, got {actual}"


def check_2_a_change_across_x_leaves_r_as_it_is() -> None:
    # grad is orthogonal to x, so r = 5 is a constant: only the direct part is left.
    case = "x 3√2, 4√2, r 5, grad 4, -3"
    expect(gradient([18**0.5, 32**0.5], [4, -3]), [0.8, -0.6], case)


def check_2_the_weights_count() -> None:
    case = "x 1, 1, r 1, grad 1, -0.5, weights 2, 4"
    expect(gradient([1, 1], [1, -0.5], [2, 4]), [2, -2], case)


def check_3_the_length_of_x_does_not_matter() -> None:
    expect(gradient([3, 4], [3, 4]), [0, 0], "x 3, 4, grad 3, 4, equal weights")
    expect(gradient([1, 1], [1, 0]), [0.5, -0.5], "x 1, 1, grad 1, 0, equal weights")


def check_3_the_gradient_equals_the_differences() -> None:
    torch.manual_seed(0)
    for shape in ((5,), (3, 4), (2, 3, 4)):
        for eps in (0.0, 0.5):
            x, grad, weight = torch.randn(shape), torch.randn(shape), torch.randn(shape[-1])
            case = f"x of the shape {shape}, eps {eps:g}"
            expect(gradient(x, grad, weight, eps), differences(x, grad, weight, eps), case)


def check_4_bfloat16_is_converted_before_and_not_within() -> None:
    torch.manual_seed(0)
    x, grad, weight = (torch.randn(256).bfloat16() for _ in range(3))
    (actual, *_) = backward(x, grad, weight, 1e-5)
    # `grad * weight` may be rounded to bfloat16, as in the forward pass.
    expected = differences(x, grad * weight, torch.ones(256), 1e-5)
    error = float((actual.double() - expected).norm() / expected.norm())
    case = "256 numbers in bfloat16: relative error"
    assert error < 0.004, f"{case}: expected less than 0.4 %, got {error:.2%}"
