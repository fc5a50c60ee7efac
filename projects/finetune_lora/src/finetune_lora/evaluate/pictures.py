"""A confusion matrix and loss curves as PNG, 1000 pixels wide. Threads may draw at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seedbed.runs.training import new_figure, to_png

_MOST = 40  # names of a confusion matrix with its counts: more cannot be read at this width
_LONGEST = 28  # characters of a name
Point = tuple[float, float]


def confusion_picture(
    expected: Sequence[str], answered: Sequence[str | None], *, title: str = ""
) -> bytes:
    """PNG of how often each name was answered where each was expected.

    Answers without a name, or with one that is never expected, are "other".
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    names = [*sorted(set(expected)), "other"]
    index = {name: number for number, name in enumerate(names[:-1])}
    numbers = [-1 if name is None else index.get(name, -1) for name in answered]
    count = len(names)
    figure, axes = new_figure(height=min(max(3.5, 2.6 + 0.36 * count), 18))
    ConfusionMatrixDisplay.from_predictions(
        [index[name] for name in expected],
        [number % count for number in numbers],
        labels=range(count),
        include_values=count <= _MOST,
        cmap="Blues",
        colorbar=False,
        ax=axes,
    )
    small = {"fontsize": 10 if count <= 20 else 8, "parse_math": False}
    short = [_short(name) for name in names]
    axes.set_xticks(range(count), short, rotation=90, **small)
    axes.set_yticks(range(count), short, **small)
    axes.set_title(title, parse_math=False)
    axes.set(xlabel="answered", ylabel="expected", aspect="auto")
    return to_png(figure)


def loss_picture(progress: Sequence[Mapping[str, Any]], *, title: str = "Loss") -> bytes:
    """PNG of a run's progress rows (`step`, `loss`, `eval_loss`); values not finite are left out.

    Training loss is drawn as logged and, when there are many steps, smoothed.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure(height=5)
    train, held_out = _points(progress, "loss"), _points(progress, "eval_loss")
    if train:
        many = len(train) > 20
        steps, losses = zip(*train, strict=True)
        axes.plot(
            steps,
            losses,
            "-" if many else ".-",
            color="tab:blue",
            alpha=0.3 if many else 1,
            label="training",
        )
        if many:
            steps, losses = zip(*_smooth(train), strict=True)
            axes.plot(steps, losses, color="tab:blue", label="training (smoothed)")
    if held_out:
        steps, losses = zip(*held_out, strict=True)
        axes.plot(steps, losses, "o-", color="tab:orange", label="evaluation")
    if train or held_out:
        axes.legend()
        axes.set_ylim(bottom=0)
    else:
        axes.text(0.5, 0.5, "no finite loss values", ha="center", transform=axes.transAxes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.set(xlabel="step", ylabel="loss (nats per token)")
    axes.set_title(title, parse_math=False)
    return to_png(figure)


def _points(lines: Iterable[Mapping[str, object]], name: str) -> list[Point]:
    """(step, value) of the records that have a finite value of this name."""
    pairs = ((line.get("step"), line.get(name)) for line in lines)
    return [
        (float(x), float(y))
        for x, y in pairs
        if isinstance(x, (int, float)) and isinstance(y, (int, float)) and math.isfinite(y)
    ]


def _smooth(points: Sequence[Point]) -> list[Point]:
    """The mean of each point and a few on both sides: one step's loss depends on its batch.

    As many on one side as on the other, so that a falling curve is not drawn late.
    """
    most = max(1, len(points) // 50)
    means = []
    for i, (x, _) in enumerate(points):
        reach = min(most, i, len(points) - 1 - i)
        near = [y for _, y in points[i - reach : i + reach + 1]]
        means.append((x, sum(near) / len(near)))
    return means


def _short(name: str) -> str:
    name = " ".join(name.encode("utf-8", "replace").decode().split())  # half a pair draws nothing
    half = _LONGEST // 2  # long names often differ at their end only
    return name if len(name) <= _LONGEST else f"{name[: half - 1]}…{name[-half:]}"
