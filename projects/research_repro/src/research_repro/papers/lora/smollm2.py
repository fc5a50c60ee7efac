"""The headline at laptop scale: SmolLM2-135M on data-to-text, LoRA against full fine-tuning.

    cells("laptop", [0, 1, 2])[0].id        # 'smollm2-full-seed0'
    run(cells("laptop", [0])[1], workspace)["bleu"]

80 steps of 8 examples are 3 to 6 minutes a cell, with two cores that multiply bfloat16 (AVX-512 or
AMX); others take twice as long, for which RESEARCH_MINUTES sets a limit. The learning rates are
those of a first trial, not of a search; the paper tunes LoRA's (appendix D).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from research_repro.paper import Cell, Scale
from research_repro.papers.lora.data_to_text import Recipe, run

__all__ = ["LINEAR", "cells", "run"]

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Method, options, learning rate; the most important first. Parameters: adapters of width 16 have
# 1.18 M, all-linear LoRA 1.22 M, q,v LoRA 0.23 M and BitFit, with biases added, 0.16 M.
METHODS: dict[str, tuple[str, dict[str, Any], float]] = {
    "full": ("full", {}, 1e-4),
    "lora": ("lora", {"targets": LINEAR, "rank": 4, "alpha": 8}, 2e-3),
    "lora-qv": ("lora", {"targets": ["q_proj", "v_proj"], "rank": 4, "alpha": 8}, 2e-3),
    "bitfit": ("bitfit", {}, 5e-3),
    "adapter": ("adapter", {"width": 16}, 2e-3),
}
STEPS = 80
TEST_RECORDS = 300


def cells(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    """Full fine-tuning and LoRA for all seeds; BitFit and adapters once: no claim rests on them."""
    if scale != "laptop":
        return []
    pairs = [(name, seed) for seed in seeds for name in ("full", "lora")]
    pairs += [("lora-qv", seed) for seed in seeds]
    pairs += [(name, seed) for seed in seeds[:1] for name in ("bitfit", "adapter")]
    return [_cell(name, seed) for name, seed in pairs]


def _cell(name: str, seed: int) -> Cell:
    method, options, rate = METHODS[name]
    recipe = Recipe(
        "smollm2", method, options, rate, STEPS, group=16, warmup=10, test_records=TEST_RECORDS
    )
    return Cell(f"smollm2-{name}", seed, asdict(recipe), cores=2)
