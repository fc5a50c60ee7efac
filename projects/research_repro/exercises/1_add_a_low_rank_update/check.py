"""Checks of exercise 1: the output of a LoRA layer, its gradients, and what it costs."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode

from research_repro.papers.lora.method import add_lora, lora_layers, merge


def lora_model(size: int = 3, bias: bool = True, dropout: float = 0.0) -> tuple:
    """A model of one layer with r = 1 and alpha / r = 3, and this layer."""
    model = nn.Sequential(nn.Linear(size, size, bias=bias))
    add_lora(model, ["0"], rank=1, alpha=3, dropout=dropout)
    (layer,) = lora_layers(model).values()
    nn.init.normal_(layer.B)
    return model.eval(), layer


def expect(case: str, actual: Tensor, expected: Tensor) -> None:
    same = actual.shape == expected.shape and torch.allclose(actual, expected, atol=1e-4)
    assert same, f"{case}: expected {expected.tolist()}, got {actual.tolist()}"


def operations(model: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter:
        model(torch.ones(1, 64))
    return int(counter.get_total_flops())


def check_1_the_result_is_that_of_the_frozen_layer_while_B_is_0() -> None:
    for bias, shape in ((True, (3,)), (False, (2, 4, 3))):
        model, layer = lora_model(bias=bias)
        layer.B.data.zero_()
        x = torch.randn(shape)
        expect(f"{bias=}, x of {shape}", model(x), linear(x, layer.weight, layer.bias))


def check_2_the_scaled_update_is_added_and_trained() -> None:
    model, layer = lora_model()
    x, weight = torch.randn(2, 3), layer.weight + 3 * layer.B @ layer.A
    expect("W0 x + 3 B A x plus the bias", model(x), linear(x, weight, layer.bias))
    count = operations(lora_model(64)[0])
    assert count <= 8448, f"expected 2 · 64 · (64 + 2) operations, got {count}"


def check_3_dropout_acts_on_the_x_of_the_update_in_training() -> None:
    model, layer = lora_model(bias=False, dropout=0.5)
    layer.weight.data[:], layer.A.data[:], layer.B.data[:] = 100, torch.tensor([1, 2, 4]), 1
    results = model.train()(torch.ones(1000, 3)).unique()
    expect("W0 x 300, any of 1 + 2 + 4 in A x, doubled", results, 300.0 + 6 * torch.arange(8))
    expect("in evaluation mode", model.eval()(torch.ones(1, 3)), torch.full((1, 3), 321.0))


def check_4_a_merged_layer_returns_the_same_and_costs_what_a_plain_one_does() -> None:
    x, (model, _) = torch.randn(2, 64), lora_model(64)
    before = model(x)
    merge(model)
    expect("merged", model(x), before)
    assert operations(model) <= 8192, f"expected 2 · 64 · 64 operations, got {operations(model)}"
