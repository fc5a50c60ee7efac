"""A dot plot of one claim as SVG: a dot for each seed, the mean, and the tolerance as a band."""

from __future__ import annotations

import math
from html import escape

from markupsafe import Markup

from research_repro.paper import Tolerance, Verdict
from research_repro.report import numbers

_WIDTH, _HEIGHT, _MARGIN = 176, 30, 6


def dot_plot(verdict: Verdict, tolerance: Tolerance) -> Markup:
    """The plot, described in words for screen readers; empty for a claim that was not measured.

    The axis includes the values and the limits; the confidence interval is cut off at its ends.
    """
    if verdict.measured is None:
        return Markup()
    limits = [limit for limit in (tolerance.low, tolerance.high) if math.isfinite(limit)]
    points = [*verdict.values, *limits]
    pad = (max(points) - min(points) or abs(points[0]) or 1.0) * 0.3
    start, end = min(points) - pad, max(points) + pad

    def x(value: float) -> float:
        share = (min(max(value, start), end) - start) / (end - start)
        return round(_MARGIN + share * (_WIDTH - 2 * _MARGIN), 1)

    left, right = x(tolerance.low), x(tolerance.high)
    band = f"x='{left}' width='{max(right - left, 2)}' y='3' height='{_HEIGHT - 6}'"
    middle = _HEIGHT / 2
    marks = [f"<path class='axis' d='M{_MARGIN} {middle}h{_WIDTH - 2 * _MARGIN}'/>"]
    marks.append(f"<rect class='band' {band}/>")
    marks += [f"<path class='limit' d='M{x(limit)} 1V{_HEIGHT - 1}'/>" for limit in limits]
    if verdict.interval:
        low, high = map(x, verdict.interval)
        marks.append(f"<path class='interval' d='M{low} {middle}H{high}'/>")
    marks.append(f"<path class='mean' d='M{x(verdict.measured)} {middle - 8}v16'/>")
    marks += [f"<circle cx='{x(value)}' cy='{middle}' r='3.4'/>" for value in verdict.values]
    seeds = ", ".join(map(numbers.number, verdict.values))
    label = escape(f"Seeds: {seeds}. Tolerance: {verdict.tolerance}.")
    start_tag = (
        f"<svg class='dots' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='{label}'>"
    )
    return Markup(f"{start_tag}<title>{label}</title>{''.join(marks)}</svg>")
