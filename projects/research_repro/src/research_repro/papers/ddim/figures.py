"""The figures of the paper, drawn again from the images and distances in the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from research_repro.paper import Figure, Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


def _distances(results: Results) -> Drawing | None:
    from seedbed.runs.training import new_figure

    if not (rows := results.of("digits")):
        return None
    drawing, axes = new_figure(8, 4)
    means = {k: sum(r["distance"][k] for r in rows) / len(rows) for k in rows[0]["distance"]}
    for eta in ("0", "0.2", "0.5", "1", "hat"):
        points = {int(k.split()[0]): v for k, v in means.items() if k.split()[1:] == [eta]}
        label = "σ̂ (DDPM's larger noise)" if eta == "hat" else f"η = {eta}"
        axes.plot(list(points), list(points.values()), marker="o", label=label)
    axes.axhline(means["test"], color="grey", linestyle=":", label="real test digits")
    axes.set(xscale="log", yscale="log", xlabel="steps", ylabel="distance")
    axes.legend()
    return drawing


def _grid(group: str) -> Callable[[Results], Drawing | None]:
    """Draw the rows of images that the first finished seed stored under this name."""

    def draw(results: Results) -> Drawing | None:
        import numpy as np

        from seedbed.runs.training import new_figure

        if not (finished := results.of("digits")):
            return None
        rows = finished[0]["images"][group]
        images = np.array(list(rows.values())).reshape(len(rows), -1, 8, 8)
        framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=8)
        drawing, axes = new_figure(8, 0.7 * len(rows))
        axes.imshow(framed.transpose(0, 2, 1, 3).reshape(10 * len(rows), -1), cmap="gray_r")
        axes.set_yticks([10 * i + 4.5 for i in range(len(rows))], list(rows))
        axes.set_xticks([])
        return drawing

    return draw


FIGURES = (
    Figure("distances", "Table 1", "Distance from the real digits by steps and η.", _distances),
    Figure(
        "samples", "Figure 3", "Samples by steps and η, from the same latents.", _grid("samples")
    ),
    Figure(
        "steps", "Figure 5", "Each column is one latent, in more and more steps.", _grid("steps")
    ),
    Figure("interpolation", "Figure 6", "Arcs between two latents.", _grid("interpolation")),
    Figure(
        "reconstruction", "Table 2", "Test digits, encoded and decoded.", _grid("reconstruction")
    ),
)
