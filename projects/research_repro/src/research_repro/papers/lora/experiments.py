"""The cells of each scale: the equations and the tiny GPT first, SmolLM2 or GPT-2 for the headline.

cells("laptop", [0, 1, 2])       # the most important first
run_cell(cells("smoke", [0])[0], workspace)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from research_repro.paper import Cell, Result, Scale
from research_repro.runs.workspace import Workspace

_QV = ["query", "value"]
# Options and learning rate of each method; all but full train about 1 % of the parameters.
_METHODS: dict[str, tuple[dict[str, Any], float]] = {
    "full": ({}, 1e-3),
    "lora": ({"targets": _QV, "rank": 4, "alpha": 8.0}, 1e-2),
    "bitfit": ({}, 2e-2),
    "adapter": ({"width": 2}, 1e-2),
    "prefix": ({"length": 8}, 3e-2),
}
# Table 5 without W_q and W_v, which is `tiny-lora`: the same number of parameters for all.
_MATRICES: dict[str, tuple[list[str], int]] = {
    **{name[0]: ([name], 8) for name in ("query", "key", "value", "output")},
    "qk": (["query", "key"], 4),
    "qkvo": (["query", "key", "value", "output"], 2),
}
_BASES = ("strong", "middle", "weak")
_SIZES: dict[Scale, dict[str, Any]] = {
    "smoke": {
        "base": {"width": 64, "layers": 2, "steps": 400, "learning_rate": 1e-2},
        "tuning": {"steps": 60, "batch": 16, "records": 500, "test_records": 60},
        "grid": {"batches": [1, 16], "lengths": [1, 64], "rounds": 20},
    },
    "laptop": {
        "base": {"width": 128, "layers": 4, "steps": 1000, "learning_rate": 5e-3},
        "tuning": {"steps": 150, "batch": 16, "records": 1000, "test_records": 300},
        "grid": {"batches": [1, 4, 16], "lengths": [1, 16, 64], "rounds": 40},
    },
}


def cells(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    """All cells of a scale, in the order of their importance."""
    from research_repro.papers.lora import gpt2, smollm2

    if scale == "paper":
        return gpt2.cells(scale, seeds)
    headline = smollm2.cells(scale, seeds)
    first, rest = headline[: 2 * len(seeds)], headline[2 * len(seeds) :]
    tiny = [cell for seed in seeds for cell in _tiny_cells(scale, seed)]
    return [*first, *tiny, *rest]


def _tiny_cells(scale: Scale, seed: int) -> list[Cell]:
    size = _SIZES[scale]
    bases = {kind: {"kind": kind, "batch": 32, "records": 2500, **size["base"]} for kind in _BASES}

    def tuned(name: str, method: str, base: str = "strong", **changes: Any) -> Cell:
        options, rate = _METHODS[method]
        settings = {"part": "fine_tune", "base": bases[base], "method": method, **size["tuning"]}
        settings |= {"options": {**options, **changes}, "learning_rate": rate}
        if base != "strong":  # more to learn; in fewer steps fine-tuning reaches nothing either
            settings |= {"steps": 2 * settings["steps"], "learning_rate": max(rate, 3e-3)}
        return Cell(f"tiny-{name}", seed, settings)

    lora = tuned("lora", "lora")
    result = [
        Cell("method", seed, {"part": "check_method"}),
        tuned("full", "full"),
        lora,
        tuned("r1", "lora", rank=1),
        tuned("r64", "lora", rank=64),
        Cell("memory", seed, {**lora.settings, "part": "measure_memory"}),
        Cell("latency", seed, {"part": "time_forward", "grid": size["grid"]}, cores=0),
        Cell("subspaces", seed, {**lora.settings, "part": "compare_subspaces"}),
    ]
    if scale == "laptop":
        result += [tuned(f"{m}-{b}", m, b) for b in _BASES[1:] for m in ("full", "lora")]
        result += [tuned(name, name) for name in ("bitfit", "adapter", "prefix")]
        result += [tuned(f"r{rank}", "lora", rank=rank) for rank in (2, 8)]
        result += [
            tuned(f"w-{name}", "lora", targets=targets, rank=rank)
            for name, (targets, rank) in _MATRICES.items()
        ]
    return result


def run_cell(cell: Cell, workspace: Workspace) -> Result:
    """Run a cell: the function of `tiny_experiments` that it names, or data-to-text without one."""
    part = cell.settings.get("part")
    if part is None:
        from research_repro.papers.lora.data_to_text import run

        return run(cell, workspace)
    from research_repro.papers.lora import tiny_experiments

    return dict(getattr(tiny_experiments, part)(cell, workspace))
