"""LoRA layers and the training loop against the paper's equations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research_repro.paper import Cell
from research_repro.papers.lora.equations import check_equations
from research_repro.papers.lora.method import (
    add_lora,
    delta_weight,
    lora_layers,
    lora_state,
    merge,
    parameter_count,
    target_loss,
    train,
    unmerge,
)
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput

from .conftest import logits, make_batch, make_model

TARGETS = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "tiny": ["attention.query", "attention.value"],
}
KINDS = list(TARGETS)
CELL = Cell("lora", seed=0)


def lora_model(kind: str, *, seed: int = 0, random_b: bool = True) -> Any:
    """A model with LoRA; with a random B, as if it were trained."""
    model = make_model(kind)
    add_lora(model, TARGETS[kind], rank=4, alpha=8, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in lora_layers(model).values():
        if random_b:
            layer.B.data = 0.1 * torch.randn(layer.B.shape, generator=generator)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_lora_at_start_reproduces_base(kind: str) -> None:
    batch = make_batch(0)
    expected = logits(make_model(kind), batch)
    assert torch.equal(logits(lora_model(kind, random_b=False), batch), expected)
    assert not torch.equal(logits(lora_model(kind), batch), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_and_b_receive_gradients(kind: str) -> None:
    model = lora_model(kind)
    target_loss(model, make_batch(0)).backward()
    names = {name for name, p in model.named_parameters() if p.grad is not None}
    assert names == set(lora_state(model))
    assert all(model.get_parameter(name).grad.abs().max() > 0 for name in names)


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


def test_gradient_of_b_is_projection_of_full_gradient() -> None:
    """With B = 0, dL/dB = α/r · dL/dW · Aᵀ."""
    model, full, batch = lora_model("llama", random_b=False), make_model("llama"), make_batch(0)
    target_loss(model, batch).backward()
    target_loss(full, batch).backward()
    for name, layer in lora_layers(model).items():
        gradient = full.get_parameter(f"{name}.weight").grad
        torch.testing.assert_close(layer.B.grad, 2 * gradient @ layer.A.T)


@pytest.mark.parametrize("kind", KINDS)
def test_merged_model_runs_plain_linear_layers(kind: str) -> None:
    model, batch = lora_model(kind), make_batch(0)
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


@pytest.mark.parametrize(
    ("kind", "targets", "expected"),
    [
        ("llama", ["q_proj", "v_proj"], 2 * 4 * ((32 + 32) + (32 + 16))),  # grouped queries
        ("tiny", ["blocks.1.mlp.down"], 4 * (128 + 32)),
    ],
)
def test_trainable_parameters_equal_formula(kind: str, targets: list[str], expected: int) -> None:
    model = make_model(kind)
    assert add_lora(model, targets, rank=4, alpha=4) == expected
    shapes = [layer.weight.shape for layer in lora_layers(model).values()]
    assert parameter_count(shapes, rank=4) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_check_equations_accepts_the_method(kind: str) -> None:
    errors = check_equations(make_model(kind), make_batch(0)["input_ids"], TARGETS[kind])
    assert {name: errors[name] for name in ("b-zero", "only-ab", "count")} == {
        "b-zero": 0,
        "only-ab": 0,
        "count": 0,
    }
    assert max(errors["equation"], errors["merge"]) < 1e-5


def test_target_without_layer_is_bad_input() -> None:
    with pytest.raises(BadInput, match="'quary'") as error:
        add_lora(make_model("tiny"), ["quary"], rank=4, alpha=8)
    assert "query" in str(error.value.hint)


def test_target_loss_equals_loss_of_transformers() -> None:
    model, batch = make_model("llama"), make_batch(0)
    torch.testing.assert_close(target_loss(model, batch), model(**batch).loss)


def test_train_lowers_the_loss_and_leaves_the_base_alone(workspace: Workspace) -> None:
    model, base = lora_model("tiny", random_b=False), make_model("tiny")
    losses = train(
        model, lambda _: make_batch(0), workspace, CELL, steps=30, learning_rate=0.03, warmup=5
    )
    assert len(losses) == 30
    assert losses[-1] < losses[0] - 0.1
    assert torch.equal(
        model.blocks[0].attention.query.weight, base.blocks[0].attention.query.weight
    )
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

    resumed, whole = lora_model("tiny"), lora_model("tiny")
    with pytest.raises(KeyboardInterrupt):
        run(lora_model("tiny"), "interrupted")
    losses = run(resumed, "interrupted")
    assert steps == [0, 1, 2, 3, 3, 4, 5]
    assert losses == run(whole, "whole")
    assert all(map(torch.equal, resumed.parameters(), whole.parameters()))


def test_train_in_bf16_keeps_weights_in_float32(workspace: Workspace) -> None:
    model = lora_model("llama")
    losses = train(model, make_batch, workspace, CELL, steps=2, learning_rate=0.01, bf16=True)
    exact = target_loss(lora_model("llama"), make_batch(0)).item()
    assert losses[0] != exact
    assert losses[0] == pytest.approx(exact, rel=0.01)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
