"""The same numbers as PEFT, from the same weights, data and steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from research_repro.paper import Cell
from research_repro.papers.lora.method import add_lora, lora_layers, merge, train
from research_repro.runs.workspace import Workspace

from .conftest import logits, make_batch, make_model

peft = pytest.importorskip("peft", reason="peft is not installed: pip install peft")

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def test_training_equals_peft(workspace: Workspace) -> None:
    ours, theirs = make_model(), make_model()
    add_lora(ours, TARGETS, rank=4, alpha=8, seed=3)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, lora_dropout=0.0)
    peft_model = peft.get_peft_model(theirs, config)
    # PEFT replaces the layers of `theirs` in place.
    peers: dict[str, Any] = {name: theirs.get_submodule(name) for name in lora_layers(ours)}
    for name, layer in lora_layers(ours).items():
        peers[name].lora_A["default"].weight.data.copy_(layer.A)

    options: dict[str, Any] = {"steps": 8, "learning_rate": 5e-3, "warmup": 2}
    losses = train(ours, make_batch, workspace, Cell("ours", 0), **options)
    expected = train(theirs, make_batch, workspace, Cell("peft", 0), **options)

    assert losses == pytest.approx(expected, abs=1e-5)
    assert losses[0] != losses[-1]
    for name, layer in lora_layers(ours).items():
        torch.testing.assert_close(layer.A, peers[name].lora_A["default"].weight, atol=1e-5, rtol=0)
        torch.testing.assert_close(layer.B, peers[name].lora_B["default"].weight, atol=1e-5, rtol=0)
    merge(ours)
    merged, batch = peft_model.merge_and_unload(), make_batch(9)
    torch.testing.assert_close(logits(ours, batch), logits(merged, batch), atol=1e-5, rtol=0)
