"""LoRA layers and the training loop against the paper's equations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research_repro.paper import Cell
from research_repro.papers.lora.method import (
    add_lora,
    delta_weight,
    lora_layers,
    merge,
    target_loss,
    train,
    unmerge,
)
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput

from .conftest import logits, make_batch, make_model

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CELL = Cell("lora", seed=0)


def lora_model(*, seed: int = 0, random_b: bool = True) -> Any:
    """A model with LoRA; with a random B, as if it were trained."""
    model = make_model()
    add_lora(model, TARGETS, rank=4, alpha=8, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in lora_layers(model).values():
        if random_b:
            layer.B.data = 0.1 * torch.randn(layer.B.shape, generator=generator)
    return model


def test_gradients_of_a_layer_are_those_of_its_formula() -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    add_lora(model, ["0"], rank=1, alpha=3)
    (layer,) = lora_layers(model).values()
    nn.init.normal_(layer.B)
    x = torch.randn(2, 3, requires_grad=True)
    expected = F.linear(x, layer.weight + 3 * layer.B @ layer.A, layer.bias)
    parts = [x, layer.A, layer.B]
    ours, theirs = (torch.autograd.grad(h.square().sum(), parts) for h in (model(x), expected))
    torch.testing.assert_close(ours, theirs)


def test_merged_model_runs_plain_linear_layers() -> None:
    model, batch = lora_model(), make_batch(0)
    unmerged = logits(model, batch)
    before = {name: layer.weight.clone() for name, layer in lora_layers(model).items()}
    merge(model)
    merge(model)  # changes nothing
    assert_merged(model, before)
    merged = logits(model, batch)
    torch.testing.assert_close(merged, unmerged)
    unmerge(model)
    unmerge(model)
    torch.testing.assert_close(logits(model, batch), unmerged)


def assert_merged(model: nn.Module, before: dict[str, Tensor]) -> None:
    for name, layer in lora_layers(model).items():
        x = torch.randn(3, layer.in_features)
        weight = before[name] + delta_weight(model)[name]
        assert torch.equal(layer(x), F.linear(x, weight, layer.bias))


def test_target_without_layer_is_bad_input() -> None:
    with pytest.raises(BadInput, match="'query'") as error:
        add_lora(make_model(), ["query"], rank=4, alpha=8)
    assert "q_proj" in str(error.value.hint)


def test_target_loss_equals_loss_of_transformers() -> None:
    model, batch = make_model(), make_batch(0)
    torch.testing.assert_close(target_loss(model, batch), model(**batch).loss)


def test_train_lowers_the_loss_and_leaves_the_base_alone(workspace: Workspace) -> None:
    model, base = lora_model(random_b=False), make_model()
    losses = train(
        model, lambda _: make_batch(0), workspace, CELL, steps=30, learning_rate=0.03, warmup=5
    )
    assert len(losses) == 30
    assert losses[-1] < losses[0] - 0.1
    name = "model.layers.0.self_attn.q_proj.weight"
    assert torch.equal(model.get_parameter(name), base.get_parameter(name))
    assert not model.training


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
