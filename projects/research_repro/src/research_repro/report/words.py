"""Numbers and verdicts in words, for the page and the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from research_repro.paper import Verdict

LABELS = {True: "✓ holds", False: "✗ does not hold", None: "○ not measured"}
"""A verdict with a symbol, so that it can be read without color."""
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, size: float = 0.0) -> str:
    """A number with three significant digits; counts up to 999,999 in full.

    `size` is the magnitude of a larger number beside it, which then sets the decimals.

    >>> [number(x) for x in (0.5, -2.0, 54.123, 28_900.4, 7680.0, 134_515_008.0, 2e-7, None)]
    ['0.500', '−2', '54.1', '28,900', '7,680', '1.35 × 10⁸', '2.00 × 10⁻⁷', '–']
    >>> number(0.5, size=1.49)
    '0.50'
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not finite"
    size = float(f"{max(abs(value), size):.2e}")
    if size < 1e6 and value == round(value):
        text = f"{value:,.0f}"
    elif 1e-3 <= size < 1e6:
        digits = 2 - math.floor(math.log10(size))
        text = f"{round(value, digits):,.{max(digits, 0)}f}"
    else:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return text.replace("-", "−")


def quantity(text: str, unit: str) -> str:
    """A number with its unit, which "×" follows without a space.

    >>> quantity("28.3", "×"), quantity("0.500", "BLEU"), quantity("7", "")
    ('28.3×', '0.500 BLEU', '7')
    """
    return f"{text}×" if unit == "×" else f"{text} {unit}".rstrip()


def measured(verdict: Verdict) -> str:
    """The mean over the seeds."""
    if verdict.measured is None:
        return "not finite" if verdict.holds is False else "–"
    return quantity(number(verdict.measured, _size(verdict)), verdict.unit)


def interval(verdict: Verdict) -> str:
    """The 95 % confidence interval of the mean; empty if all seeds are equal or there is one."""
    low, high = verdict.interval or (0.0, 0.0)
    size = _size(verdict)
    return f"{number(low, size)} to {number(high, size)}" if low != high else ""


def _size(verdict: Verdict) -> float:
    return max(map(abs, verdict.interval or (0.0,)))


def tolerance(verdict: Verdict) -> str:
    """The tolerance, with powers of ten and minus signs as in print.

    >>> from research_repro.paper import Claim, Results, judge, within
    >>> claim = Claim("c", "Table 1", "It is fast.", "3×", lambda _: [], within(-1, 20, "×"))
    >>> tolerance(judge(claim, Results({}), "smoke"))
    '−1 to 20×'
    """
    text = re.sub(r"-?[\d.]+e[+-]\d+", lambda match: number(float(match[0])), verdict.tolerance)
    text = re.sub(r"-(?=\d)", "−", text)
    return text.removesuffix(" ×") + "×" * text.endswith(" ×")


def duration(seconds: float) -> str:
    """A time in the two largest of its units.

    >>> duration(42.4), duration(130), duration(3725)
    ('42 s', '2 min 10 s', '1 h 2 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 10:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def headline(verdicts: Sequence[Verdict], scale: str) -> str:
    """How many claims hold, in one sentence.

    >>> headline([], "smoke")
    '0 of 0 claims hold at smoke scale.'
    """
    holding = sum(verdict.holds is True for verdict in verdicts)
    return f"{holding} of {len(verdicts)} claims hold at {scale} scale."


def exceptions(verdicts: Sequence[Verdict]) -> str:
    """The claims that do not hold or were not measured, counted, in one sentence for each kind."""
    failing = [verdict for verdict in verdicts if verdict.holds is False]
    failures = sum(verdict.expected_to_hold for verdict in failing)
    unexpected = len(failing) - failures
    missing = sum(verdict.holds is None for verdict in verdicts)
    sentences = [
        (failures, "{n} {does} not hold, although expected to."),
        (unexpected, "{n} {does} not hold, and {was} not expected to at this scale."),
        (missing, "{n} {was} not measured."),
    ]
    return " ".join(
        text.format(n=n, does="does" if n == 1 else "do", was="was" if n == 1 else "were")
        for n, text in sentences
        if n
    )
