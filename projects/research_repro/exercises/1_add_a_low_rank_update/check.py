"""Checks of exercise 1: the output of a LoRA layer, and what it costs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from research_repro.papers.lora.method import LoRALinear, add_lora, lora_layers, merge, unmerge

Matrix = Sequence[Sequence[float]]
X = [1.0, 2.0]


def lora_model(
    W0: Matrix, A: Matrix, B: Matrix, bias: Sequence[float] = (), dropout: float = 0.0
) -> nn.Sequential:
    """A model of one layer with these weights, in evaluation mode; alpha / r is 3."""
    linear = nn.Linear(len(W0[0]), len(W0), bias=bool(bias))
    linear.weight.data = torch.tensor(W0)
    if bias:
        linear.bias.data = torch.tensor(bias)
    model = nn.Sequential(linear)
    add_lora(model, ["0"], rank=len(A), alpha=3 * len(A), dropout=dropout)
    layer_of(model).A.data, layer_of(model).B.data = torch.tensor(A), torch.tensor(B)
    return model.eval()


def small_model(**options: float) -> nn.Sequential:
    """For X, W0 x + bias is [11, 12, 13], A x is [3, 2], B A x is [3, 2, 5], h is [20, 18, 28]."""
    W0, B = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    return lora_model(W0, [[1.0, 1.0], [0.0, 1.0]], B, bias=[10.0, 10.0, 10.0], **options)


def layer_of(model: nn.Module) -> LoRALinear:
    (layer,) = lora_layers(model).values()
    return layer


def output(model: nn.Module, x: Sequence[float] = X) -> Tensor:
    with torch.no_grad():
        h = model(torch.tensor([x]))
    assert isinstance(h, Tensor), f"expected a tensor, got {h!r}"
    return h[0]


def expect(h: Tensor, expected: Sequence[float], case: str) -> None:
    wanted, got = (", ".join(f"{value:g}" for value in row) for row in (expected, h.tolist()))
    assert got == wanted, f"{case}: expected h = {wanted}, got {got}"


def flops(model: nn.Module) -> int:
    """Floating-point operations of the products for one x of ones."""
    with FlopCounterMode(display=False) as counter:
        output(model, [1.0] * layer_of(model).in_features)
    return int(counter.get_total_flops())


def wide_model() -> nn.Sequential:
    """64 × 64 weights and r = 1."""
    return lora_model([[1.0] * 64] * 64, [[1.0] * 64], [[1.0]] * 64)


def check_1_the_result_is_that_of_the_frozen_layer_while_B_is_0() -> None:
    model = small_model()
    layer_of(model).B.data.zero_()
    expect(output(model), [11, 12, 13], "B is 0, W0 x is [1, 2, 3], the bias [10, 10, 10]")


def check_1_a_layer_may_have_no_bias() -> None:
    model = lora_model([[1.0, 1.0]], [[1.0, 1.0]], [[0.0]])
    expect(output(model), [3], "no bias, B is 0, W0 x is [3]")


def check_1_x_may_have_any_number_of_dimensions() -> None:
    h = small_model()(torch.ones(4, 5, 2))
    case = "x of the shape (4, 5, 2), 3 outputs"
    assert h.shape == (4, 5, 3), f"{case}: expected the shape (4, 5, 3), got {tuple(h.shape)}"


def check_2_x_may_have_one_dimension() -> None:
    case = "x of the shape (2,), h is [20, 18, 28]"
    h = small_model()(torch.tensor(X))
    assert h.shape == (3,), f"{case}: expected the shape (3,), got {tuple(h.shape)}"
    expect(h.detach(), [20, 18, 28], case)


def check_2_the_update_is_scaled_and_added() -> None:
    case = "W0 x + bias is [11, 12, 13], B A x is [3, 2, 5], alpha / r is 3"
    expect(output(small_model()), [20, 18, 28], case)


def check_2_the_product_of_B_and_A_is_not_computed() -> None:
    actual, most = flops(wide_model()), 2 * 64 * 64 + 2 * (64 + 64)
    case = "64 × 64 weights, r = 1, one x"
    assert actual <= most, f"{case}: expected at most {most} operations, got {actual}"


def check_2_A_and_B_receive_gradients() -> None:
    model = small_model()
    model(torch.ones(1, 2)).sum().backward()
    named = {"A": layer_of(model).A, "B": layer_of(model).B}
    missing = [name for name, p in named.items() if p.grad is None or not p.grad.any()]
    assert not missing, f"expected gradients of A and B, got none of {' and '.join(missing)}"


def gradient_of_x(model: nn.Module) -> Tensor:
    x = torch.tensor([X], requires_grad=True)
    model(x).sum().backward()
    assert x.grad is not None, "expected a gradient of x, got None"
    return x.grad[0]


def check_1_x_receives_a_gradient_through_the_frozen_layer() -> None:
    model = small_model()
    layer_of(model).B.data.zero_()
    case = "B is 0, the columns of W0 add up to 2 and 2: the gradient of x"
    actual = gradient_of_x(model).tolist()
    assert actual == [2, 2], f"{case}: expected [2, 2], got {actual}"


def check_2_x_receives_a_gradient_through_the_update_too() -> None:
    case = "the columns of W0 + 3 B A add up to 8 and 14: the gradient of x"
    actual = gradient_of_x(small_model()).tolist()
    assert actual == [8, 14], f"{case}: expected [8, 14], got {actual}"


def dropout_model() -> nn.Sequential:
    """For x of ones, W0 x is 300, and each of 3 entries adds 1, 2 or 4 to A x."""
    return lora_model([[100.0, 100.0, 100.0]], [[1.0, 2.0, 4.0]], [[1.0]], dropout=0.5)


def check_3_dropout_acts_on_the_x_of_the_update_alone() -> None:
    torch.manual_seed(0)
    h = dropout_model().train()(torch.ones(1000, 3))
    # Of the three entries any may be zero, and the others are doubled.
    expected = [300 + 3 * 2 * n for n in range(8)]
    actual = [round(value) for value in h.unique().tolist()]
    case = "W0 x is 300, A x is 1 + 2 + 4, dropout 0.5, 1000 times"
    assert actual == expected, f"{case}: expected the results {expected}, got {actual}"


def check_3_dropout_leaves_x_as_it_is() -> None:
    x = torch.ones(1000, 3)
    dropout_model().train()(x)
    actual = sorted(set(x.flatten().tolist()))
    assert actual == [1], f"x of ones, dropout 0.5: expected x of ones afterwards, got {actual}"


def check_3_dropout_has_no_effect_after_training() -> None:
    for _ in range(20):
        expect(output(dropout_model(), [1.0, 1.0, 1.0]), [321], "evaluation mode, dropout 0.5")


def check_4_a_merged_layer_returns_the_same() -> None:
    model = small_model()
    merge(model)
    expect(output(model), [20, 18, 28], "merged, h is [20, 18, 28] unmerged")
    unmerge(model)
    expect(output(model), [20, 18, 28], "merged and unmerged again")


def check_4_a_merged_layer_costs_what_a_plain_layer_does() -> None:
    model = wide_model()
    merge(model)
    actual, expected = flops(model), 2 * 64 * 64
    case = "64 × 64 weights, merged, one x"
    assert actual <= expected, f"{case}: expected {expected} operations, got {actual}"
