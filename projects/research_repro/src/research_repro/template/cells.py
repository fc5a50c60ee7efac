"""The cells: what is run for each seed, and what each returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from research_repro.paper import Cell, Result, Scale
from research_repro.template.method import (
    best_settings,
    curvatures,
    minimise,
    predicted_steps,
)

if TYPE_CHECKING:
    from research_repro.runs.workspace import Workspace

CONDITION = 100.0
SIZES: dict[Scale, int] = {"smoke": 20, "laptop": 200}


def cells(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    """All methods with the first seed, then with the second, so that a time limit drops seeds."""
    return [
        Cell(name, seed, {"size": SIZES[scale], "momentum": name == "heavy-ball"})
        for seed in seeds
        for name in ("gradient-descent", "heavy-ball")
    ]


def run_cell(cell: Cell, workspace: Workspace) -> Result:
    """Minimise one quadratic."""
    del workspace  # a longer cell trains in `for step in workspace.steps(…)`
    curvature = curvatures(CONDITION, cell.settings["size"], cell.seed)
    step_size, momentum = best_settings(CONDITION, momentum=cell.settings["momentum"])
    distances = minimise(curvature, step_size, momentum, tolerance=1e-6, max_steps=5000)
    predicted = predicted_steps(CONDITION, momentum=cell.settings["momentum"], tolerance=1e-6)
    steps = len(distances) - 1
    return {"steps": steps, "predicted": predicted, "distances": distances[::5]}
