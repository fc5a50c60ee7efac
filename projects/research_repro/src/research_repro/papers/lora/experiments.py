"""The cells of each scale: the equations and the tiny GPT first, SmolLM2 or GPT-2 for the headline.

cells("laptop", [0, 1, 2])       # the most important first
run_cell(cells("smoke", [0])[0], workspace)
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from research_repro.paper import Cell, Result, Scale
from research_repro.runs.workspace import Workspace

# The functions of `tiny_experiments` by the part that a cell's settings name.
_PARTS = {
    "method": "check_method",
    "tiny": "fine_tune",
    "subspaces": "compare_subspaces",
    "memory": "measure_memory",
    "latency": "time_forward",
}
_QV = ["query", "value"]
# Options and learning rate of each method; all but full train about 1 % of the parameters.
_METHODS: dict[str, tuple[dict[str, Any], float]] = {
    "full": ({}, 1e-3),
    "lora": ({"targets": _QV, "rank": 4, "alpha": 8.0}, 1e-2),
    "bitfit": ({}, 2e-2),
    "adapter": ({"width": 2}, 1e-2),
    "prefix": ({"length": 8}, 3e-2),
}
# Table 5: the rank falls with the number of matrices, so that all have the same parameters.
MATRICES: dict[str, tuple[list[str], int]] = {
    "q": (["query"], 8),
    "k": (["key"], 8),
    "v": (["value"], 8),
    "o": (["output"], 8),
    "qk": (["query", "key"], 4),
    "qv": (_QV, 4),
    "qkvo": (["query", "key", "value", "output"], 2),
}
RANKS = (1, 2, 4, 8, 64)  # Table 6
BASES = ("strong", "middle", "weak")
_SIZES: dict[Scale, dict[str, Any]] = {
    "smoke": {
        "base": {"width": 64, "layers": 2, "steps": 300, "learning_rate": 1e-2},
        "tuning": {"steps": 60, "batch": 16, "records": 500, "test_records": 60},
        "latency": {"batches": [1, 16], "lengths": [1, 64], "rounds": 20},
    },
    "laptop": {
        "base": {"width": 128, "layers": 4, "steps": 700, "learning_rate": 5e-3},
        "tuning": {"steps": 150, "batch": 16, "records": 1000, "test_records": 300},
        "latency": {"batches": [1, 4, 16], "lengths": [1, 16, 64], "rounds": 40},
    },
}


def cells(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    """All cells of a scale, in the order of their importance."""
    from research_repro.papers.lora import smollm2

    if scale == "paper":
        from research_repro.papers.lora import gpt2

        return gpt2.cells(scale, seeds)
    headline = smollm2.cells(scale, seeds)
    first, rest = headline[: 2 * len(seeds)], headline[2 * len(seeds) :]
    tiny = [cell for seed in seeds for cell in _tiny_cells(scale, seed)]
    return [*first, *tiny, *rest]


def _tiny_cells(scale: Scale, seed: int) -> list[Cell]:
    size, ablations = _SIZES[scale], scale == "laptop"
    bases = {kind: {"kind": kind, "batch": 32, "records": 2500, **size["base"]} for kind in BASES}

    def tuned(name: str, method: str, base: str = "strong", **changes: Any) -> Cell:
        options, rate = _METHODS[method]
        settings = {"part": "tiny", "base": bases[base], "method": method, **size["tuning"]}
        settings |= {"options": {**options, **changes}, "learning_rate": rate}
        return Cell(f"tiny-{name}", seed, settings)

    lora = tuned("lora", "lora")
    result = [
        Cell("method", seed, {"part": "method", "width": 64}),
        tuned("full", "full"),
        lora,
        tuned("r1", "lora", rank=1),
        tuned("r64", "lora", rank=64),
        Cell("memory", seed, {**lora.settings, "part": "memory"}),
        Cell("latency", seed, {"part": "latency", "width": 128, "layers": 4, **size["latency"]}, 0),
        Cell("subspaces", seed, {**lora.settings, "part": "subspaces"}),
    ]
    if ablations:
        result += [tuned(f"{m}-{b}", m, b) for b in BASES[1:] for m in ("full", "lora")]
        result += [tuned(name, name) for name in ("bitfit", "adapter", "prefix")]
        result += [tuned(f"r{rank}", "lora", rank=rank) for rank in (2, 8)]
        result += [
            tuned(f"w-{name}", "lora", targets=targets, rank=rank)
            for name, (targets, rank) in MATRICES.items()
            if name != "qv"  # is tiny-lora
        ]
    return result


def run_cell(cell: Cell, workspace: Workspace) -> Result:
    """Run a cell: a part of `tiny_experiments`, or data-to-text with a pre-trained model."""
    part = cell.settings.get("part")
    if part is None:
        from research_repro.papers.lora.data_to_text import run

        return run(cell, workspace)
    experiments = importlib.import_module("research_repro.papers.lora.tiny_experiments")
    result: Result = getattr(experiments, _PARTS[part])(cell, workspace)
    return result
