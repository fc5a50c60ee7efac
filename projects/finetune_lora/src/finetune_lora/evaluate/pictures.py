"""A confusion matrix and loss curves as PNG, 1000 pixels wide. Threads may draw at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seedbed.runs.training import new_figure, to_png

_MOST = 40  # names of a confusion matrix: more cannot be read at this width
_LONGEST = 28  # characters of a name
Point = tuple[float, float]


def confusion_picture(matrix: Mapping[str, Any], *, title: str = "") -> bytes:
    """PNG of `metrics.confusion`'s result: rows are expected, columns answered, colour the share.

    Of more than 40 names those with the most wrong answers are drawn.
    """
    import numpy as np

    rows, columns, counts = _largest(matrix["rows"], matrix["columns"], matrix["counts"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    height = min(max(3.5, 2.6 + 0.36 * len(rows)), 18)
    figure, axes = new_figure(height=height)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    small = {"fontsize": 10 if len(columns) <= 20 else 8, "parse_math": False}
    axes.set_xticks(range(len(columns)), [_short(c) for c in columns], **small)
    axes.set_yticks(range(len(rows)), [_short(r) for r in rows], **small)
    if max(map(len, columns), default=0) * len(columns) > 90:  # side by side they would overlap
        many = len(columns) > 20
        for label in axes.get_xticklabels():
            label.set(rotation=90 if many else 45, rotation_mode="anchor", ha="right")
            label.set_va("center" if many else "top")
    for i, j in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[i, j] > 0.6 else "black"
        axes.text(j, i, int(counts[i, j]), ha="center", va="center", color=colour, **small)
    dropped = len(matrix["rows"]) - len(rows)
    note = f" ({dropped} more labels not drawn)" if dropped else ""
    axes.set_title((title or "Confusion matrix") + note, parse_math=False)
    axes.set(xlabel="answered", ylabel="expected")
    return to_png(figure)


def _largest(rows: Sequence[str], columns: Sequence[str], counts: Any) -> Any:
    """At most 40 rows, those with the most wrong answers; the other columns become one."""
    import numpy as np

    table = np.asarray(counts, int).reshape(len(rows), len(columns))
    if len(columns) <= _MOST + 2:
        return list(rows), list(columns), table
    wrong = table.sum(axis=1) - table.diagonal()[: len(rows)]
    worst = sorted(np.argsort(-wrong, kind="stable")[:_MOST].tolist())
    special = [i for i in range(len(rows), len(columns)) if columns[i] in ("unseen", "invalid")]
    rest = [i for i in range(len(columns)) if i not in {*worst, *special}]
    counted = table[worst]
    drawn = np.column_stack([counted[:, worst], counted[:, rest].sum(axis=1), counted[:, special]])
    names = [columns[i] for i in worst] + ["others"] + [columns[i] for i in special]
    return [rows[i] for i in worst], names, drawn


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
