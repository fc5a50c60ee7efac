"""Matplotlib figures without pyplot, as PNG or as SVG text for a page.

    figure, axes = new_figure(height=5)
    axes.plot([1, 2, 3])
    path.write_bytes(to_png(figure))

Threads may draw at once, and nothing needs to be closed. Projects that draw require matplotlib.
"""

from __future__ import annotations

import io
import threading
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Text stays text, which is smaller and searchable; equal figures get equal files.
_SVG: Any = {"svg.fonttype": "none", "svg.hashsalt": "seedbed"}
_settings_lock = threading.Lock()  # matplotlib's settings are global


def new_figure(
    width: float = 10.0, height: float = 4.0, rows: int = 1, columns: int = 1
) -> tuple[Figure, Any]:
    """A figure of `width` × `height` inches, and its axes: an array if there are several."""
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=100, layout="constrained")
    return figure, figure.subplots(rows, columns)


def to_png(figure: Figure) -> bytes:
    """The figure as PNG with 100 pixels per inch."""
    return _save(figure, "png")


def to_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element, without the XML header, so that HTML can contain it."""
    from matplotlib import rc_context

    with _settings_lock, rc_context(_SVG):
        text = _save(figure, "svg", metadata={"Date": None}).decode()
    return text[text.index("<svg") :]


def _save(figure: Figure, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # characters that the font lacks are drawn as boxes
        figure.savefig(out, format=form, **options)
    return out.getvalue()
