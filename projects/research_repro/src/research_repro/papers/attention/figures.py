"""The figures: attention, Table 3 as bars, and learning curves."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

from research_repro.paper import Figure, Results
from seedbed.runs.training import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

ROWS = "base no-positions learned heads-1 heads-16 small-d_k no-smoothing few few-dropout"


def attention(results: Results) -> Drawing | None:
    """How four heads of the last decoder layer attend to a German sentence."""
    for result in results.of("base"):
        figure, axes = new_figure(13, 4.2, columns=len(result["maps"]))
        for head, (axis, weights) in enumerate(zip(axes, result["maps"], strict=True), 1):
            axis.imshow(weights, cmap="Blues", vmin=0, vmax=1)
            axis.set_title(f"head {head}")
            axis.set_xticks(range(len(weights[0])), [*result["german"], "end"], rotation=90)
            axis.set_yticks(range(len(weights)), [*result["english"], "end"] if head == 1 else [])
        return figure
    return None


def table_3(results: Results) -> Drawing | None:
    """Perplexity of each row, and the loss while it was trained."""
    rows = {name: results.of(name) for name in ROWS.split() if results.of(name)}
    if not rows:
        return None
    figure, (left, right) = new_figure(12, 4.5, columns=2)
    for name, runs in rows.items():
        values = [exp(sum(run["nats"][:-1]) / len(run["nats"][:-1])) for run in runs]
        left.barh(name, sum(values) / len(values), color="tab:blue", alpha=0.5)
        left.plot(values, [name] * len(values), "k.")
        losses = runs[0]["losses"]
        means = [sum(losses[i : i + 5]) / 5 for i in range(0, len(losses) - 4, 5)]
        right.plot([25 * i + 12 for i in range(len(means))], means, label=name)
    left.invert_yaxis()
    left.set(xlabel="perplexity per token, a dot per seed", xlim=(1, None))
    right.set(xlabel="step", ylabel="training loss of the first seed")
    right.legend(fontsize=8)
    return figure


FIGURES = (
    Figure(
        "attention", "Figures 3 to 5", "Each English word attends to its German one.", attention
    ),
    Figure("table-3", "Table 3", "Perplexity of the variations, and learning curves.", table_3),
)
