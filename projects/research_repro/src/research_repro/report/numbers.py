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


def number(value: float | None, size: float = 0.0) -> str:
    """A number with three significant digits; counts up to 999,999 in full.

    `size` is the magnitude of a larger number beside it, which then sets the decimals.

    >>> [number(x) for x in (0.5, -2.0, 54.123, 28_900.4, 7680.0, 134_515_008.0, 2e-7, None)]
    ['0.500', '-2', '54.1', '28,900', '7,680', '1.35e+08', '2.00e-07', '–']
    >>> number(0.5, size=1.49)
    '0.50'
    """
    if value is None:
        return "–"
    size = max(abs(value), size)
    if size < 1e6 and value == round(value):
        return f"{value:,.0f}"
    if not 1e-3 <= size < 1e6:
        return f"{value:.2e}"
    digits = 2 - int(f"{size:.2e}".partition("e")[2])
    return f"{round(value, digits):,.{max(digits, 0)}f}"


def measured(verdict: Verdict) -> str:
    """The mean over the seeds, with its unit."""
    if verdict.measured is None:
        return "not finite" if verdict.holds is False else "–"
    return f"{number(verdict.measured, _size(verdict))} {verdict.unit}".rstrip()


def interval(verdict: Verdict) -> str:
    """The 95 % confidence interval of the mean; empty if all seeds are equal or there is one."""
    low, high = verdict.interval or (0.0, 0.0)
    size = _size(verdict)
    return f"{number(low, size)} to {number(high, size)}" if low != high else ""


def _size(verdict: Verdict) -> float:
    return max(map(abs, verdict.interval or (0.0,)))


def duration(seconds: float) -> str:
    """A time in the two largest of its units.

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
