"""A confusion matrix and loss curves as PNG, 1000 pixels wide. Safe to call from threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seedbed.runs.training import new_figure, to_png

_MOST = 40  # names of a confusion matrix with its counts: more cannot be read at this width
_LONGEST = 28  # characters of a name
_OTHER = "(other)"


def confusion_picture(
    expected: Sequence[str], answered: Sequence[str | None], *, title: str = ""
) -> bytes:
    """PNG of how often each name was answered where each was expected.

    Answers without a name, or with one that is never expected, are "(other)".
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    targets = set(expected)
    names = sorted({*targets, _OTHER})
    figure, axes = new_figure(height=min(max(3.5, 2.6 + 0.36 * len(names)), 18))
    ConfusionMatrixDisplay.from_predictions(
        expected,
        [name if name in targets else _OTHER for name in answered],
        labels=names,
        display_labels=[_short(name) for name in names],
        include_values=len(names) <= _MOST,
        xticks_rotation="vertical",
        cmap="Blues",
        colorbar=False,
        ax=axes,
    )
    axes.set(title=_short(title), xlabel="answered", ylabel="expected", aspect="auto")
    return to_png(figure)


def loss_picture(progress: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG of the losses in a run's progress rows: `step`, `loss`, `eval_loss`."""
    figure, axes = new_figure(height=5)
    for key, label in (("loss", "training"), ("eval_loss", "evaluation")):
        rows = [row for row in progress if row.get(key) is not None]
        if rows:
            steps, losses = [row["step"] for row in rows], [row[key] for row in rows]
            axes.plot(steps, losses, ".-", label=label)
    if axes.lines:
        axes.legend()
    axes.grid(alpha=0.3)
    axes.set(title="Loss", xlabel="step", ylabel="loss (nats per token)")
    return to_png(figure)


def _short(name: str) -> str:
    """A name in one line that is not read as a formula."""
    name = " ".join(name.encode("utf-8", "replace").decode().split())  # no lone surrogates
    half = _LONGEST // 2  # long names often differ at their end only
    name = name if len(name) <= _LONGEST else f"{name[: half - 1]}…{name[-half:]}"
    return name.replace("$", r"\$")
