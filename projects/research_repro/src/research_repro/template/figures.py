"""The figures of the paper, drawn again from the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from research_repro.paper import Figure, Results
from seedbed.runs.training import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


def convergence(results: Results) -> Drawing | None:
    """The distance to the minimum over the steps, one line per method and seed."""
    if not results.by_cell:
        return None
    drawing, axes = new_figure()
    colours = {"gradient-descent": "tab:blue", "heavy-ball": "tab:orange"}
    for (name, seed), result in results.by_cell.items():
        steps = range(0, 5 * len(result["distances"]), 5)
        label = name if seed == min(seed for _, seed in results.by_cell) else None
        axes.semilogy(steps, result["distances"], color=colours[name], label=label)
    axes.set(xlabel="step", ylabel="distance to the minimum")
    axes.legend()
    return drawing


FIGURES = (
    Figure(
        id="convergence",
        source="Heavy-ball method",
        title="Distance to the minimum over the steps, with and without momentum.",
        draw=convergence,
    ),
)
