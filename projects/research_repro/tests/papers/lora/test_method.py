"""Gradients of LoRA, and its training loop; equations are in `test_wrong`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research_repro.paper import Cell
from research_repro.papers.lora.method import add_lora, lora_layers, target_loss, train
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput

from .conftest import make_batch, make_model

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CELL = Cell("lora", seed=0)


def lora_model() -> Any:
    """A model with LoRA and a random B, as if it were trained."""
    model = make_model()
    add_lora(model, TARGETS, rank=4, alpha=8)
    generator = torch.Generator().manual_seed(0)
    for layer in lora_layers(model).values():
        layer.B.data = 0.1 * torch.randn(layer.B.shape, generator=generator)
    return model


def test_gradients_of_a_layer_are_those_of_its_formula() -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    add_lora(model, ["0"], rank=1, alpha=3)
    (layer,) = lora_layers(model).values()
    nn.init.normal_(layer.B)
    model.double()  # so that rounding makes no difference
    x = torch.randn(2, 3, dtype=torch.double, requires_grad=True)
    expected = F.linear(x, layer.weight + 3 * layer.B @ layer.A, layer.bias)
    parts = [x, layer.A, layer.B]
    ours, theirs = (torch.autograd.grad(h.square().sum(), parts) for h in (model(x), expected))
    torch.testing.assert_close(ours, theirs)


def test_target_without_layer_is_bad_input() -> None:
    with pytest.raises(BadInput, match="'query'") as error:
        add_lora(make_model(), ["query"], rank=4, alpha=8)
    assert "q_proj" in str(error.value.hint)


def test_target_loss_equals_loss_of_transformers() -> None:
    model, batch = make_model(), make_batch(0)
    torch.testing.assert_close(target_loss(model, batch), model(**batch).loss)


def test_interrupted_training_continues_with_the_same_numbers(workspace: Workspace) -> None:
    steps: list[int] = []

    def recorded(step: int) -> dict[str, Tensor]:
        steps.append(step)
        if steps == [0, 1, 2, 3]:
            raise KeyboardInterrupt
        return make_batch(step)

    def run(model: nn.Module, name: str) -> list[float]:
        place = replace(workspace, clock=lambda: 60.0 * len(steps))  # saves after each step
        return train(model, recorded, place, Cell(name, 0), steps=6, learning_rate=0.01)

    resumed, whole = lora_model(), lora_model()
    with pytest.raises(KeyboardInterrupt):
        run(lora_model(), "interrupted")
    losses = run(resumed, "interrupted")
    assert steps == [0, 1, 2, 3, 3, 4, 5]
    assert losses == run(whole, "whole")
    assert all(map(torch.equal, resumed.parameters(), whole.parameters()))


def test_train_in_bf16_keeps_weights_in_float32(workspace: Workspace) -> None:
    model = lora_model()
    losses = train(model, make_batch, workspace, CELL, steps=2, learning_rate=0.01, bf16=True)
    exact = target_loss(lora_model(), make_batch(0)).item()
    assert losses[0] != exact
    assert losses[0] == pytest.approx(exact, rel=0.01)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
