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
which is fixed before anything is run. Git shows if one was changed afterwards.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from research_repro.runs.workspace import Workspace

Scale = Literal["smoke", "laptop"]
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
    """JSON values that the result depends on. A result stored with other values is not reused."""
    cores: int = 1
    """CPU cores to reserve; 0 reserves all, for timing."""

    @property
    def id(self) -> str:
        return f"{self.name}-seed{self.seed}"


@dataclass(frozen=True)
class Results:
    """The results of the finished cells of one run, by cell name and seed."""

    by_cell: Mapping[tuple[str, int], Result]

    def of(self, name: str) -> list[Result]:
        """The results of a cell, in the order of its seeds.

        >>> Results({("full", 0): {"bleu": 54.0}}).of("full")
        [{'bleu': 54.0}]
        """
        return [row for (row,) in self.pairs(name)]

    def pairs(self, *names: str) -> list[tuple[Result, ...]]:
        """For each seed with results of all these cells: the results in the order of `names`."""
        seeds = sorted({seed for _, seed in self.by_cell})
        rows = [tuple(self.by_cell.get((name, seed)) for name in names) for seed in seeds]
        return [tuple(r for r in row if r is not None) for row in rows if None not in row]


@dataclass(frozen=True)
class Tolerance:
    """The range of values for which a claim holds, limits included."""

    low: float = -math.inf
    high: float = math.inf
    unit: str = ""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        """The tolerance as text, to twelve digits.

        >>> str(at_most(2, "BLEU")), str(within(-0.5, 0.5)), str(at_least(20, "×"))
        ('≤ 2 BLEU', '-0.5 to 0.5', '≥ 20 ×')
        """
        if math.isinf(self.low):
            text = f"≤ {self.high:.12g}"
        elif math.isinf(self.high):
            text = f"≥ {self.low:.12g}"
        elif self.low == self.high:
            text = f"exactly {self.low:.12g}"
        else:
            text = f"{self.low:.12g} to {self.high:.12g}"
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
    tested_at: tuple[Scale, ...] = SCALES
    """Scales large enough to test it; at others it is measured, but not judged."""
    not_reproduced: str = ""
    """For a claim that was tested and fails: date and reason, "2026-11-27: the task is easier"."""
    note: str = ""
    """What to know when reading the result, e.g. why it cannot be tested at a small scale."""


Status = Literal["holds", "not reproduced", "fails", "not measured", "not tested"]


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
    """None if it could not be measured, or cannot be tested at this scale."""
    tested: bool
    """Whether the scale is one of those at which the claim can be tested."""
    not_reproduced: str = ""
    note: str = ""

    @property
    def status(self) -> Status:
        """The verdict as text; "fails" is a failure for which no reason is given."""
        if not self.tested:
            return "not tested"
        if self.holds is None:
            return "not measured"
        return "holds" if self.holds else "not reproduced" if self.not_reproduced else "fails"


@dataclass(frozen=True)
class Deviation:
    """A difference from the setting of the paper, and its reason."""

    paper: str
    here: str
    reason: str
    scales: tuple[Scale, ...] = SCALES


@dataclass(frozen=True)
class Figure:
    """A figure of the paper, drawn again from the results."""

    id: str
    source: str
    """Place in the paper, e.g. "Figure 3"."""
    title: str
    """What the figure shows, as one sentence."""
    draw: Callable[[Results], Drawing | None]
    """The drawing (made with `seedbed.runs.training.new_figure`); None if results are missing."""


@dataclass(frozen=True)
class Paper:
    """A reproduction: everything that the runner and the report need."""

    folder: Path
    """Its package: method, cells, claims, figures, and published results."""
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
    libraries: tuple[str, ...] = ("torch", "numpy")
    """Distributions whose versions are recorded with each cell."""

    def code_digest(self) -> str:
        """A digest of the code and data that compute cells; results of other code are not reused.

        Claims and figures only read results, and `__init__.py` describes the paper: they may change
        freely. The name of the whole package is left out, since a copied project has another one.
        """
        own_name = __name__.partition(".")[0].encode()
        free = {self.folder / name for name in ("__init__.py", "claims.py", "figures.py")}
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            place = path.relative_to(self.folder)
            if path.is_dir() or path in free or {"__pycache__", "published"} & {*place.parts}:
                continue
            content = path.read_bytes().replace(own_name, b"")
            digest.update(f"{place.as_posix()} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:12]


def judge(claim: Claim, results: Results, scale: Scale) -> Verdict:
    """Measure a claim and compare its mean with the tolerance.

    >>> claim = Claim("c", "Table 1", "It is small.", "0", lambda r: [1.0, 2.0, 3.0], at_most(2))
    >>> verdict = judge(claim, Results({}), "smoke")
    >>> verdict.measured, verdict.holds, verdict.status
    (2.0, True, 'holds')
    """
    values = tuple(float(value) for value in claim.measure(results))
    mean = math.fsum(values) / len(values) if values else None
    finite = mean is not None and math.isfinite(mean)
    tested = scale in claim.tested_at
    texts = ("id", "source", "statement", "expected", "not_reproduced", "note")
    return Verdict(
        **{name: getattr(claim, name) for name in texts},
        measured=mean if finite else None,
        interval=mean_interval(values) if finite else None,
        values=values if finite else (),
        tolerance=str(claim.tolerance),
        unit=claim.tolerance.unit,
        # A diverged training is a claim that failed, not one that was not measured.
        holds=None if mean is None or not tested else finite and mean in claim.tolerance,
        tested=tested,
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % confidence interval of the mean by Student's t; None with fewer than two values.

    >>> low, high = mean_interval([1.0, 2.0, 3.0])
    >>> round(low, 2), round(high, 2)
    (-0.48, 4.48)
    """
    if len(values) < 2:
        return None
    if len(set(values)) == 1:  # scipy returns NaN
        return values[0], values[0]
    from scipy import stats

    mean, error = math.fsum(values) / len(values), stats.sem(values)
    low, high = stats.t.interval(0.95, len(values) - 1, mean, error)
    return float(low), float(high)
