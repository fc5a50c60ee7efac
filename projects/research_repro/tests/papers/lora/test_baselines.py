"""The methods that LoRA is compared with: what they train, and that they start from the base."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from research_repro.paper import Cell
from research_repro.papers.lora.baselines import prepare
from research_repro.papers.lora.method import target_loss, train
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput

from .conftest import logits, make_batch, make_model

D, L, WIDTH = 32, 2, 3
SETTINGS: dict[str, dict[str, Any]] = {
    "full": {},
    "adapter": {"width": WIDTH},
}
ADAPTERS = 2 * (2 * D * WIDTH + WIDTH + D)


@pytest.mark.parametrize(
    ("kind", "method", "expected"),
    [
        ("llama", "adapter", L * (ADAPTERS + 2 * D)),
        ("tiny", "adapter", L * (ADAPTERS + 2 * 2 * D)),
    ],
)
def test_trainable_parameters_equal_formula(kind: str, method: str, expected: int) -> None:
    assert prepare(make_model(kind), method, SETTINGS[method]) == expected


@pytest.mark.parametrize("kind", ["llama", "tiny"])
def test_full_fine_tuning_trains_all_parameters(kind: str) -> None:
    model = make_model(kind)
    assert prepare(model, "full", {}) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("kind", ["llama", "tiny"])
def test_adapters_start_near_the_base(kind: str) -> None:
    model, batch = make_model(kind), make_batch(0)
    before = logits(model, batch)
    prepare(model, "adapter", SETTINGS["adapter"])
    assert (logits(model, batch) - before).abs().max() <= 0.01


@pytest.mark.parametrize("kind", ["llama", "tiny"])
@pytest.mark.parametrize("method", list(SETTINGS))
def test_method_trains_exactly_its_parameters(kind: str, method: str, workspace: Workspace) -> None:
    model = make_model(kind)
    prepare(model, method, SETTINGS[method])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = train(
        model, lambda _: make_batch(0), workspace, Cell(method, 0), steps=15, learning_rate=0.03
    )
    assert losses[-1] < losses[0]
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) is not parameter.requires_grad, name


def test_lora_is_prepared_by_name() -> None:
    model = make_model("tiny")
    settings = {"targets": ["query"], "rank": 1, "alpha": 1}
    assert prepare(model, "lora", settings) == 2 * 2 * D
    assert target_loss(model, make_batch(0)).requires_grad


def test_unknown_method_is_bad_input() -> None:
    with pytest.raises(BadInput, match="'ia3'") as error:
        prepare(make_model("tiny"), "ia3", {})
    assert "adapter" in str(error.value.hint)
