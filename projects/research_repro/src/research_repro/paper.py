"""What a reproduction consists of: a paper, its claims, and the cells whose results decide them.

    Claim(
        id="rank",
        source="Table 6",
        statement="A rank of 1 suffices.",
        expected="validation accuracy differs by 0.2 points between r = 1 and r = 64",
        measure=lambda results: [
            low["bleu"] - high["bleu"] for low, high in results.pairs("r1", "r64")
        ],
        tolerance=at_least(-2, "BLEU"),
    )

A cell is one unit of work, such as one method trained with one seed; its result is a JSON object.
A claim turns the results into one value per seed. It holds if the mean lies within the tolerance,
which is written down before anything is run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from research_repro.runs.workspace import Workspace

Scale = Literal["smoke", "laptop", "paper"]
SCALES: tuple[Scale, ...] = get_args(Scale)
Result = Mapping[str, Any]
"""The outcome of a cell: a JSON object, e.g. {"bleu": 54.1, "trained_parameters": 7680}."""


@dataclass(frozen=True)
class Cell:
    """One unit of work. Cells are started in the order in which a paper lists them.

    >>> Cell("lora-r4", seed=1, settings={"rank": 4}).id
    'lora-r4-seed1'
    """

    name: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What it depends on besides its seed: JSON values. A stored result with others is not used."""
    cores: int = 1
    """Cores that it uses; 0 means all, so that no other cell disturbs a measurement of time."""

    @property
    def id(self) -> str:
        return f"{self.name}-seed{self.seed}"


@dataclass(frozen=True)
class Results:
    """The results of the finished cells of one run, by cell name and seed."""

    by_cell: Mapping[tuple[str, int], Result]

    def get(self, name: str, seed: int) -> Result | None:
        """The result of a cell, or None if it did not finish."""
        return self.by_cell.get((name, seed))

    def of(self, name: str) -> list[Result]:
        """The results of a cell over its seeds, by seed.

        >>> Results({("full", 0): {"bleu": 54.0}}).of("full")
        [{'bleu': 54.0}]
        """
        return [row for (row,) in self.pairs(name)]

    def pairs(self, *names: str) -> list[tuple[Result, ...]]:
        """For each seed with a result of all these cells: their results, in this order."""
        seeds = sorted({seed for _, seed in self.by_cell})
        rows = [tuple(self.by_cell.get((name, seed)) for name in names) for seed in seeds]
        return [tuple(r for r in row if r is not None) for row in rows if None not in row]


@dataclass(frozen=True)
class Tolerance:
    """The values with which a claim holds, limits included."""

    low: float = -math.inf
    high: float = math.inf
    unit: str = ""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        """The tolerance as text.

        >>> str(at_most(2, "BLEU")), str(within(-0.5, 0.5)), str(at_least(20, "×"))
        ('≤ 2 BLEU', '-0.5 to 0.5', '≥ 20 ×')
        """
        if math.isinf(self.low):
            text = f"≤ {self.high:g}"
        elif math.isinf(self.high):
            text = f"≥ {self.low:g}"
        elif self.low == self.high:
            text = f"exactly {self.low:g}"
        else:
            text = f"{self.low:g} to {self.high:g}"
        return f"{text} {self.unit}".rstrip()


def at_most(high: float, unit: str = "") -> Tolerance:
    """A tolerance with an upper limit only."""
    return Tolerance(high=high, unit=unit)


def at_least(low: float, unit: str = "") -> Tolerance:
    """A tolerance with a lower limit only."""
    return Tolerance(low=low, unit=unit)


def within(low: float, high: float, unit: str = "") -> Tolerance:
    """A tolerance with both limits."""
    return Tolerance(low, high, unit)


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, with the measurement that decides it."""

    id: str
    source: str
    """Place in the paper, e.g. "Table 6"."""
    statement: str
    expected: str
    """What the paper reports, in its own units."""
    measure: Callable[[Results], Sequence[float]]
    """One value per seed; an empty sequence if the cells that it needs did not finish."""
    tolerance: Tolerance
    expected_at: tuple[Scale, ...] = SCALES
    """Scales at which it is expected to hold; elsewhere a failure is reported, not an error."""
    note: str = ""
    """What to know when reading the result, e.g. why it is not visible at this scale."""


@dataclass(frozen=True)
class Verdict:
    """A claim as measured by one run."""

    id: str
    source: str
    statement: str
    expected: str
    measured: float | None
    """Mean over seeds; None if it could not be measured."""
    interval: tuple[float, float] | None
    """95 % confidence interval of the mean (Student's t); None with fewer than two values."""
    values: tuple[float, ...]
    """One value per seed."""
    tolerance: str
    unit: str
    holds: bool | None
    """None if it could not be measured."""
    expected_to_hold: bool
    note: str = ""


@dataclass(frozen=True)
class Deviation:
    """A difference from the setting of the paper, and its reason."""

    paper: str
    here: str
    reason: str
    scales: tuple[Scale, ...] = ("smoke", "laptop")


@dataclass(frozen=True)
class Figure:
    """A figure of the paper, drawn again from the results."""

    id: str
    source: str
    """Place in the paper, e.g. "Figure 3"."""
    title: str
    """What the figure shows, as one sentence."""
    draw: Callable[[Results], Drawing | None]
    """The drawing (made with `seedbed.runs.figures.new_figure`); None if results are missing."""


@dataclass(frozen=True)
class Paper:
    """A reproduction: everything that the runner and the report need to know."""

    name: str
    title: str
    authors: str
    year: int
    url: str
    summary: str
    """Two or three sentences: the idea of the paper and what is reproduced here."""
    claims: tuple[Claim, ...]
    cells: Callable[[Scale, Sequence[int]], list[Cell]]
    """The work of a scale for these seeds, the most important first."""
    run_cell: Callable[[Cell, Workspace], Result]
    seeds: Mapping[Scale, Sequence[int]]
    """Default seeds."""
    deviations: tuple[Deviation, ...] = ()
    figures: tuple[Figure, ...] = ()
    version: int = 1
    """Raise it when a cell's result changes its meaning: stored results are then not used."""


def judge(claim: Claim, results: Results, scale: Scale) -> Verdict:
    """Measure a claim and compare its mean with the tolerance.

    >>> claim = Claim("c", "Table 1", "It is small.", "0", lambda r: [1.0, 2.0, 3.0], at_most(2))
    >>> verdict = judge(claim, Results({}), "smoke")
    >>> verdict.measured, verdict.holds
    (2.0, True)
    """
    values = tuple(float(value) for value in claim.measure(results))
    mean = math.fsum(values) / len(values) if values else None
    finite = mean is not None and math.isfinite(mean)
    return Verdict(
        id=claim.id,
        source=claim.source,
        statement=claim.statement,
        expected=claim.expected,
        measured=mean if finite else None,
        interval=mean_interval(values) if finite else None,
        values=values if finite else (),
        tolerance=str(claim.tolerance),
        unit=claim.tolerance.unit,
        # A diverged training is a claim that failed, not one that was not measured.
        holds=None if mean is None else bool(finite and mean in claim.tolerance),
        expected_to_hold=scale in claim.expected_at,
        note=claim.note,
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % confidence interval of the mean by Student's t; None with fewer than two values.

    >>> low, high = mean_interval([1.0, 2.0, 3.0])
    >>> round(low, 2), round(high, 2)
    (-0.48, 4.48)
    """
    n = len(values)
    if n < 2:
        return None
    from scipy.stats import t

    mean = math.fsum(values) / n
    error = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
    half = float(t.ppf(0.975, n - 1)) * error
    return mean - half, mean + half
