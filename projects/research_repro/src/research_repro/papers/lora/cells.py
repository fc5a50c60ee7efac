"""The cells of each scale: the equations and the tiny Llama first; SmolLM2 at laptop scale.

cells("laptop", [0, 1, 2])       # the most important first
run_cell(cells("smoke", [0])[0], workspace)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from research_repro.paper import Cell, Result, Scale
from research_repro.runs.workspace import Workspace

_QV = ["q_proj", "v_proj"]
_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Options and learning rate of each method: those of a first trial, not of a search. The paper tunes
# LoRA's (appendix D).
_TINY: dict[str, tuple[dict[str, Any], float]] = {
    "full": ({}, 1e-3),
    "lora": ({"targets": _QV, "rank": 4, "alpha": 8.0}, 1e-2),  # 1 % of the parameters
}
_SMOLLM2: dict[str, tuple[str, dict[str, Any], float]] = {
    "full": ("full", {}, 1e-4),
    "lora": ("lora", {"targets": _LINEAR, "rank": 4, "alpha": 8}, 2e-3),  # 1.22 M parameters
    "lora-qv": ("lora", {"targets": _QV, "rank": 4, "alpha": 8}, 2e-3),  # 0.23 M
}
_SIZES: dict[Scale, dict[str, Any]] = {
    "smoke": {
        "base": {"width": 64, "layers": 2, "steps": 400, "learning_rate": 1e-2},
        "tuning": {"steps": 60, "batch": 16, "records": 500, "test_records": 60},
    },
    "laptop": {
        "base": {"width": 128, "layers": 4, "steps": 1000, "learning_rate": 5e-3},
        "tuning": {"steps": 150, "batch": 16, "records": 1000, "test_records": 300},
    },
}


def cells(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    """All cells of a scale, in the order of their importance."""
    tiny = [cell for seed in seeds for cell in _tiny_cells(scale, seed)]
    if scale == "smoke":
        return tiny
    headline = [_smollm2_cell(name, seed) for seed in seeds for name in ("full", "lora")]
    return [*headline, *tiny, *(_smollm2_cell("lora-qv", seed) for seed in seeds)]


def _tiny_cells(scale: Scale, seed: int) -> list[Cell]:
    size = _SIZES[scale]

    def tuned(name: str, method: str, base: str = "strong", **changes: Any) -> Cell:
        options, rate = _TINY[method]
        pretraining = {"kind": base, "batch": 32, "records": 2500, **size["base"]}
        settings = {"base": pretraining, "method": method, **size["tuning"]}
        settings |= {"options": {**options, **changes}, "learning_rate": rate}
        if base != "strong":  # more to learn; in fewer steps fine-tuning reaches nothing either
            settings |= {"steps": 2 * settings["steps"], "learning_rate": max(rate, 3e-3)}
        return Cell(f"tiny-{name}", seed, settings)

    lora = tuned("lora", "lora")
    result = [
        Cell("method", seed),
        tuned("full", "full"),
        lora,
        tuned("r1", "lora", rank=1),
        tuned("r64", "lora", rank=64),
        Cell("subspaces", seed, lora.settings),
    ]
    if scale == "laptop":
        result += [tuned(f"{method}-weak", method, "weak") for method in ("full", "lora")]
        # Table 5: one matrix with as many parameters as W_q and W_v have in `tiny-lora`.
        names = ("q_proj", "k_proj", "v_proj", "o_proj")
        result += [tuned(f"w-{name[0]}", "lora", targets=[name], rank=8) for name in names]
    return result


def _smollm2_cell(name: str, seed: int) -> Cell:
    method, options, rate = _SMOLLM2[name]
    settings = {"method": method, "options": options, "learning_rate": rate, "steps": 80}
    settings |= {"batch": 8, "warmup": 10, "test_records": 300}
    return Cell(f"smollm2-{name}", seed, settings, cores=2)


def run_cell(cell: Cell, workspace: Workspace) -> Result:
    """The result of a cell, by its name."""
    if cell.name.startswith("smollm2"):
        from research_repro.papers.lora.smollm2 import fine_tune

        return fine_tune(cell, workspace)
    from research_repro.papers.lora import tiny_cells

    special = {
        "method": tiny_cells.check_method,
        "subspaces": tiny_cells.compare_subspaces,
    }
    return special.get(cell.name, tiny_cells.fine_tune)(cell, workspace)
