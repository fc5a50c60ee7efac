"""Curves over steps as HTML and SVG, for a page without a chart library.

The picture is stretched to the room there is, so its words stand beside it as HTML and keep their
size. It knows numbers, no runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seedbed.server.html import escape

Point = tuple[float, float]
_MOST = 300  # points of a line: more than a screen shows


@dataclass(frozen=True)
class Series:
    """One curve; `colour` is a number from 0 to 5. A faint line stands behind the others."""

    name: str
    points: Sequence[Point]
    colour: int = 0
    style: Literal["line", "faint", "dots"] = "line"


def chart(
    title: str,
    series: Sequence[Series],
    *,
    until: float = 0,
    log: bool = False,
    small: bool = False,
) -> str:
    """A chart from step 0 to `until` at least; with `log` logarithmic for a span of over 1:20.

    Without a finite value it says that there is none yet.
    """
    shown = [s for s in series if s.points]
    ys = [y for s in shown for _, y in s.points]
    kind = "chart small" if small else "chart"
    if not ys:
        return (
            f"<figure class='{kind}'><figcaption><b>{escape(title)}</b></figcaption>"
            "<div class='plot none'>No data yet</div></figure>"
        )
    right = max([until, 1.0, *(x for s in shown for x, _ in s.points)])
    scale = _Scale(ys, log)
    named = [s for s in shown if s.style != "faint" and s.name]
    keys = "".join(
        f"<span class='key {s.style} c{s.colour}'>{escape(s.name)}</span>" for s in named
    )
    lines = "".join(
        f"<path class='grid' d='M0 {_n(scale.down(y))}H1000'/>" for y in scale.ticks
    ) + "".join(
        _path(s, [(x / right * 1000, scale.down(y)) for x, y in _fewer(s.points)]) for s in shown
    )
    marks = "".join(
        f"<span class='y' style='top:{scale.down(y) / 10:.2f}%'>{_short(y)}</span>"
        for y in scale.ticks
    )
    steps = "".join(
        f"<span class='x' style='left:{x / right * 100:.2f}%'>{_short(x)}</span>"
        for x in _round_ticks(0, right, 5)
    )
    note = " <small>(log scale)</small>" if scale.log else ""
    return (
        f"<figure class='{kind}'><figcaption><b>{escape(title)}{note}</b>{keys}</figcaption>"
        f"<div class='plot' role='img' aria-label='{escape(_spoken(title, shown))}'>"
        f"<svg viewBox='0 0 1000 1000' preserveAspectRatio='none' aria-hidden='true'>{lines}</svg>"
        f"{marks}{steps}</div></figure>"
    )


def smooth(points: Sequence[Point]) -> list[Point]:
    """The mean of each point and a few on both sides: one step's loss depends on its batch.

    As many on one side as on the other, so that a falling curve is not drawn late. It ends before
    the last few, which have too little behind them: its end would jump with every step.
    """
    most = max(1, len(points) // 50)
    end = max(len(points) - most, 2)
    found = []
    for i, (x, _) in enumerate(points[:end]):
        reach = min(most, i, len(points) - 1 - i)
        near = [y for _, y in points[i - reach : i + reach + 1]]
        found.append((x, sum(near) / len(near)))
    return found


def points(lines: Iterable[Mapping[str, object]], name: str) -> list[Point]:
    """(step, value) of the records that have a finite value of this name."""
    pairs = ((line.get("step"), line.get(name)) for line in lines)
    return [
        (float(x), float(y))
        for x, y in pairs
        if isinstance(x, (int, float)) and isinstance(y, (int, float)) and math.isfinite(y)
    ]


class _Scale:
    """From values to places: 1000 is the bottom, 0 the top."""

    def __init__(self, ys: Sequence[float], log: bool) -> None:
        low, high = min(ys), max(ys)
        self.log = log and low > 0 and high / low > 20
        if not self.log and 0 <= low < 0.7 * high:
            low = 0.0  # so that heights compare
        if high == low:
            low, high = low - abs(low) * 0.1 - 1e-9, high + abs(high) * 0.1 + 1e-9
        self._low, self._high = self._place(low), self._place(high)
        self.ticks = _log_ticks(low, high) if self.log else _round_ticks(low, high, 4)

    def down(self, y: float) -> float:
        share = (self._place(y) - self._low) / (self._high - self._low)
        return 985 - 970 * share

    def _place(self, y: float) -> float:
        return math.log10(y) if self.log else y


def _path(series: Series, places: Sequence[Point]) -> str:
    if series.style == "dots" or len(places) == 1:  # a line of no length has round ends
        drawn = "".join(f"M{_n(x)} {_n(y)}h0" for x, y in places)
        kind = "dots"
    else:
        drawn = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in places)
        kind = series.style
    return f"<path class='{kind} c{series.colour}' d='{drawn}'/>"


def _fewer(points: Sequence[Point]) -> list[Point]:
    """The means of so many neighbours that `_MOST` points remain."""
    size = math.ceil(len(points) / _MOST)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _round_ticks(low: float, high: float, about: int) -> list[float]:
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    tens = [10.0**p for p in powers if low <= 10.0**p <= high]
    return every if len(every) <= 6 else tens


def _spoken(title: str, series: Sequence[Series]) -> str:
    last = (f"{s.name} {_short(s.points[-1][1])}" for s in series if s.style != "faint" and s.name)
    return f"{title}: {', '.join(last)} at the end" if title else ""


def _short(value: float) -> str:
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
