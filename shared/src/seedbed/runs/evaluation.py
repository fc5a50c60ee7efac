"""Confidence intervals, paired comparisons, reports, and their log in MLflow.

    report = Report("demo", {"accuracy": Figure.share(81, 100)})
    print(report.to_markdown())
    log_to_mlflow(report)  # if MLFLOW_TRACKING_URI is set

All intervals are 95 % intervals.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from seedbed.errors import BadInput, ConfigError
from seedbed.runs.tracking import mlflow_client, mlflow_experiment
from seedbed.safety.secrets import reason

_Number = TypeVar("_Number", bound=float)
_NORMAL_QUANTILE = 1.959964  # of 95 %


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion; (0, 1) for n = 0.

    Accurate also near 0 and 1 and for small n. With z, the normal quantile of 95 %:
    centre (p + z²/2n) / (1 + z²/n), half width z·sqrt(p(1-p)/n + z²/4n²) / (1 + z²/n).
    Wilson, 1927; https://doi.org/10.1080/01621459.1927.10502953
    Raises BadInput unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise BadInput(f"The number of successes must be from 0 to n={n}, not {successes}.")
    if n == 0:
        return 0.0, 1.0
    z = _NORMAL_QUANTILE
    p, scale = successes / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    # At the ends rounding errors would give bounds such as -1e-17.
    return (
        0.0 if successes == 0 else centre - half,
        1.0 if successes == n else centre + half,
    )


def newcombe_interval(a: tuple[int, int], b: tuple[int, int]) -> tuple[float, float]:
    """Interval of the difference share(a) - share(b) of two independent groups.

    A group is (successes, n). Combines the Wilson intervals of both: Newcombe, 1998, method 10;
    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
    For two systems on the same cases use `paired_bootstrap`.
    """
    (low_a, high_a), (low_b, high_b) = wilson_interval(*a), wilson_interval(*b)
    if not (a[1] and b[1]):
        return -1.0, 1.0
    p, q = a[0] / a[1], b[0] / b[1]
    return p - q - math.hypot(p - low_a, high_b - q), p - q + math.hypot(high_a - p, q - low_b)


def quantile(values: Sequence[_Number], share: float) -> _Number:
    """The value below which a `share` (0 to 1) of the values lie, without interpolation.

    Raises BadInput without values, or for a share outside 0 to 1.
    """
    if not values:
        raise BadInput("Quantiles need at least one value.")
    if not 0 <= share <= 1:
        raise BadInput(f"share={share} must be from 0 to 1.")
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@dataclass(frozen=True)
class Difference:
    """The difference of two means over `n` cases, with its interval from `low` to `high`."""

    difference: float
    low: float
    high: float
    n: int

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(a: Sequence[float], b: Sequence[float], n: int = 10_000) -> Difference:
    """mean(a) - mean(b) over the same cases in the same order, with its 95 % percentile interval.

    Resamples the cases `n` times with replacement. Efron and Tibshirani, 1993, chapter 13; for
    systems on one test set: Koehn, 2004, https://aclanthology.org/W04-3250.
    Raises BadInput if there are no cases, or different numbers of them.
    """
    if len(a) != len(b) or not a:
        raise BadInput(
            f"A paired comparison needs the same cases for both systems, not {len(a)} and {len(b)}."
        )
    deltas = [x - y for x, y in zip(a, b, strict=True)]
    size, rng = len(deltas), random.Random(0)
    means = sorted(math.fsum(rng.choices(deltas, k=size)) / size for _ in range(n))
    low, high = means[int(0.025 * (n - 1))], means[math.ceil(0.975 * (n - 1))]
    return Difference(math.fsum(deltas) / size, low, high, size)


@dataclass(frozen=True)
class Figure:
    """One number of a report: its value, the number of cases behind it, and its interval."""

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    unit: str = ""

    @classmethod
    def share(cls, successes: int, n: int) -> Figure:
        """A proportion with its Wilson interval."""
        low, high = wilson_interval(successes, n)
        return cls(successes / n if n else 0.0, n, low, high)


@dataclass(frozen=True)
class Report:
    """The result of an evaluation."""

    name: str
    figures: Mapping[str, Figure]
    cases: Sequence[Mapping[str, Any]] = ()
    """The cases behind the figures: JSON objects with an `id` and a number per measure."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What was evaluated: model, data, settings."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    def to_markdown(self) -> str:
        """A heading, the `about` entries, and a table of the figures with interval and n."""
        lines = [f"### {self.name}", ""]
        lines += [f"- {name}: {value}" for name, value in self.about.items()]
        lines += [""] * bool(self.about) + ["| | value | 95 % interval | n |", "|---|---|---|---|"]
        for name, figure in self.figures.items():
            unit = f" {figure.unit}" if figure.unit else ""
            interval = "–" if figure.low is None else f"{figure.low:.3f} to {figure.high:.3f}"
            lines.append(f"| {name} | {figure.value:.3f}{unit} | {interval} | {figure.n} |")
        return "\n".join(lines) + "\n"


def log_to_mlflow(report: Report, experiment: str = "seedbed") -> str | None:
    """Log a report as an MLflow run and return the run's id; None without MLFLOW_TRACKING_URI.

    Figures become metrics, `about` the parameters, and the whole report an artifact. Raises
    MissingExtra without MLflow, and ConfigError if MLflow refuses the report.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    client = mlflow_client()
    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException
    from mlflow.tracking.context.registry import resolve_tags

    now, run_id = int(time.time() * 1000), ""
    try:
        id_ = mlflow_experiment(client, experiment)
        run_id = client.create_run(id_, run_name=report.name, tags=resolve_tags()).info.run_id
        client.log_batch(
            run_id,
            params=[Param(name, value) for name, value in report.about.items()],
            metrics=[
                # MLflow accepts letters, digits and these characters in a name.
                Metric(re.sub(r"[^\w\-./ ]", "_", name), figure.value, now, 0)
                for name, figure in report.figures.items()
            ],
        )
        client.log_text(run_id, report.to_json(), "report.json")
        client.set_terminated(run_id)
    except MlflowException as error:
        if run_id:
            with suppress(MlflowException):
                client.set_terminated(run_id, "FAILED")
        message = f"MLflow refused the report: {reason(error)}"
        raise ConfigError(message, hint="Check MLFLOW_TRACKING_URI.") from None
    return str(run_id)
