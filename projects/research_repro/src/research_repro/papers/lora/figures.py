"""The figures of the paper, drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from research_repro.paper import Figure, Results
from seedbed.runs.training import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


def methods(results: Results) -> Drawing | None:
    """BLEU over the number of trained parameters, one point for each seed (like Figure 2)."""
    models = {"smollm2": "SmolLM2", "tiny": "tiny Llama"}
    cells = ("full", "lora", "lora-qv")
    groups = {title: [f"{model}-{cell}" for cell in cells] for model, title in models.items()}
    present = {title: names for title, names in groups.items() if any(map(results.of, names))}
    if not present:
        return None
    figure, axes = new_figure(5 * len(present), 4, columns=len(present))
    panels = axes if len(present) > 1 else [axes]
    for axis, (title, names) in zip(panels, present.items(), strict=True):
        for name in filter(results.of, names):
            runs = results.of(name)
            shares = [100 * run["trained_parameters"] / run["parameters"] for run in runs]
            label = name.split("-", 1)[1]
            style = {"color": f"C{cells.index(label)}", "alpha": 0.7, "label": label}
            axis.plot(shares, [run["bleu"] for run in runs], "o", **style)
        axis.set(title=title, xscale="log", xlabel="trained parameters (%)", ylabel="BLEU")
        axis.legend(fontsize=8)
    return figure


def subspace_ranks(results: Results) -> Drawing | None:
    """φ(A of r = 8, A of r = 64, i, j) for W_q and W_v of the last layer."""
    return _subspaces(results, ("ranks",), "j of r = 64", "i of r = 8")


def subspace_seeds(results: Results) -> Drawing | None:
    """φ of two seeds with r = 64 for W_q and W_v of the last layer, and of random matrices."""
    return _subspaces(results, ("seeds", "random"), "j / 4", "i / 4")


def _subspaces(results: Results, keys: Sequence[str], x: str, y: str) -> Drawing | None:
    runs = results.of("subspaces")
    if not runs:
        return None
    layers = runs[0]["tables"]
    tables = [(name, layer[keys[0]]) for name, layer in layers.items()]
    tables += [(key, next(iter(layers.values()))[key]) for key in keys[1:]]
    figure, axes = new_figure(5 * len(tables), 3.6, columns=len(tables))
    for axis, (title, table) in zip(axes, tables, strict=True):
        image = axis.imshow(table, vmin=0, vmax=1, aspect="auto")
        axis.set(title=title, xlabel=x, ylabel=y)
    figure.colorbar(image, ax=axes, label="φ")
    return figure


FIGURES = (
    Figure("methods", "Figure 2", "Few parameters give the score of fine-tuning.", methods),
    Figure("subspace-ranks", "Figure 3", "r = 8 and r = 64 share directions.", subspace_ranks),
    Figure("subspace-seeds", "Figure 4", "Two seeds share directions.", subspace_seeds),
)
