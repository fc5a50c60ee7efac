"""Numbers, durations and summaries as text, for the page and the terminal."""

from __future__ import annotations

from research_repro.paper import Verdict
from research_repro.results import Outcome

LABELS = {
    "holds": "✓ holds",
    "not reproduced": "✗ not reproduced",
    "fails": "✗ fails",
    "not measured": "○ not measured",
    "not tested": "– not tested",
}
"""A status with a symbol, so that it can be read without color."""


def number(value: float | None) -> str:
    """A number with three significant digits; whole numbers up to 999,999 in full.

    >>> [number(x) for x in (0.5, -2.0, 54.123, 7680.0, 134_515_008.0, 2e-7, None)]
    ['0.5', '-2', '54.1', '7,680', '1.35e+08', '2e-07', '–']
    """
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:,.3g}"


def measured(verdict: Verdict) -> str:
    """The mean over the seeds, with its unit."""
    if verdict.measured is None:
        return "not finite" if verdict.holds is False else "–"
    return f"{number(verdict.measured)} {verdict.unit}".rstrip()


def interval(verdict: Verdict) -> str:
    """The 95 % confidence interval of the mean; empty with one seed, or if all values are equal."""
    low, high = verdict.interval or (0.0, 0.0)
    return f"{number(low)} to {number(high)}" if low != high else ""


def duration(seconds: float) -> str:
    """A duration in its two largest units.

    >>> duration(42.4), duration(130), duration(3725)
    ('42 s', '2 min 10 s', '1 h 2 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def headline(outcome: Outcome) -> str:
    """How many of the claims that can be tested at this scale hold, in one sentence."""
    tested = [verdict for verdict in outcome.verdicts if verdict.tested]
    counts = {status: len(outcome.with_status(status)) for status in LABELS}
    text = f"{counts['holds']} of {len(tested)} claims tested at {outcome.scale} scale hold"
    parts = [f"{n} {status}" for status, n in counts.items() if n and status != "holds"]
    return f"{text}; {', '.join(parts)}." if parts else f"{text}."
