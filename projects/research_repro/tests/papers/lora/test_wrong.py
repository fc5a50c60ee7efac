"""Plausible mistakes in the method turn a claim red."""

from __future__ import annotations

from typing import Any

import pytest

from research_repro.paper import Cell
from research_repro.papers.lora import PAPER

MISTAKES = {
    "scale_missing": ("self.scale = alpha / rank", "self.scale = 1.0", "equation"),
    "scale_without_rank": ("alpha / rank  #", "alpha  #", "equation"),
    "scale_of_rslora": ("alpha / rank  #", "alpha / rank**0.5  #", "equation"),
    "a_starts_at_zero": ("/ self.in_features**0.5", "* 0", "b-zero"),
    "b_is_random": (
        "linear.weight.new_zeros(self.out_features, rank)",
        "torch.randn(self.out_features, rank)",
        "b-zero",
    ),
    "base_is_trained": ("    model.requires_grad_(False)\n", "", "only-ab"),
    "b_is_frozen": (
        "nn.Parameter(linear.weight.new_zeros(self.out_features, rank))",
        "nn.Parameter(linear.weight.new_zeros(self.out_features, rank), requires_grad=False)",
        "count",
    ),
    "base_without_bias": ("(x, self.weight, self.bias)\n", "(x, self.weight)\n", "equation"),
    "base_passes_no_gradient": (
        "F.linear(x, self.weight,",
        "F.linear(x.detach(), self.weight,",
        "equation",
    ),
    "update_passes_no_gradient": ("self.dropout(x)", "self.dropout(x.detach())", "equation"),
    "merge_without_scale": ("return self.scale * self.B @", "return self.B @", "merge"),
    "merge_subtracts": ("layer.weight += 0", "layer.weight -= 0", "merge"),
    "unmerge_adds": ("layer.weight -= layer.delta()", "layer.weight += layer.delta()", "merge"),
    "merged_adds_twice": ("if self.merged:", "if False:", "merge"),
    "count_of_full_matrices": ("(d_out + d_in) * rank", "d_out * d_in", "count"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_turns_its_claim_red(red_claims: Any, mistake: str) -> None:
    def measure(module: Any) -> dict[str, Any]:
        return {"method": module("tiny_cells").check_method(Cell("method", 0), None)}

    old, new, claim = MISTAKES[mistake]
    assert claim in red_claims(PAPER, old, new, measure)
