"""Measures of quality: ranking metrics, intervals, quantiles, paired comparisons, reports, MLflow.

    report = Report("demo", {"accuracy": Figure.share(81, 100)})
    print(report.to_markdown())

Numbers go in, numbers with their uncertainty come out; models and data are up to the caller.
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from seedbed.errors import BadInput, ConfigError, MissingExtra
from seedbed.guardrails import reason
from seedbed.observe.startup import silence_dependencies

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Read by MLflow's client; its own defaults are 7 tries of 120 s.
_MLFLOW = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_Number = TypeVar("_Number", bound=float)


def ndcg_at_k(ranked: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """DCG / ideal DCG with binary gains: sum over hits at rank i <= k of 1 / log2(i + 1).

    Järvelin and Kekäläinen, 2002; https://doi.org/10.1145/582415.582418. 0.0 without any relevant.
    """
    _distinct(ranked)
    wanted = set(relevant)
    gain = sum(1 / math.log2(i + 2) for i, doc in enumerate(ranked[:k]) if doc in wanted)
    ideal = sum(1 / math.log2(i + 2) for i in range(min(len(wanted), k)))
    return gain / ideal if ideal else 0.0


def recall_at_k(ranked: Sequence[str], relevant: Collection[str], k: int = 100) -> float:
    """The share of the relevant documents that stand in the first k. 0.0 if nothing is relevant."""
    _distinct(ranked)
    wanted = set(relevant)
    return len(wanted.intersection(ranked[:k])) / len(wanted) if wanted else 0.0


def mrr_at_k(ranked: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """1 / rank of the first relevant document within the first k, else 0 (TREC-8 QA, 1999)."""
    wanted = set(relevant)
    return next((1 / (i + 1) for i, doc in enumerate(ranked[:k]) if doc in wanted), 0.0)


def _distinct(ranked: Sequence[str]) -> None:
    if len(set(ranked)) != len(ranked):
        raise BadInput("A ranking names a document twice.", hint="Remove the repeats first.")


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a proportion (95 % by default); (0, 1) for n = 0. Holds near 0 and 1, small n.

    Centre (p + z²/2n) / (1 + z²/n), half width z·sqrt(p(1-p)/n + z²/4n²) / (1 + z²/n).
    Wilson, 1927; https://doi.org/10.1080/01621459.1927.10502953
    """
    if not 0 <= successes <= n:
        raise BadInput(f"{successes} successes of {n} are impossible.")
    if n == 0:
        return 0.0, 1.0
    p, scale = successes / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    # At the ends the formula is exact but for the last bit of a float.
    return (
        0.0 if successes == 0 else centre - half,
        1.0 if successes == n else centre + half,
    )


def newcombe_interval(
    a: tuple[int, int], b: tuple[int, int], z: float = 1.959964
) -> tuple[float, float]:
    """Interval of share(a) - share(b), two independent groups, each given as (successes, n).

    From the Wilson intervals of both: Newcombe, 1998, method 10;
    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
    For two systems on the same cases use `paired_bootstrap`.

    >>> low, high = newcombe_interval((56, 70), (48, 80))  # the example of the paper
    >>> f"{low:.4f} to {high:.4f}"
    '0.0524 to 0.3339'
    """
    (low_a, high_a), (low_b, high_b) = wilson_interval(*a, z), wilson_interval(*b, z)
    if not (a[1] and b[1]):
        return -1.0, 1.0
    p, q = a[0] / a[1], b[0] / b[1]
    return p - q - math.hypot(p - low_a, high_b - q), p - q + math.hypot(high_a - p, q - low_b)


def quantile(values: Sequence[_Number], share: float) -> _Number:
    """The value below which a `share` (0 to 1) of the values lie; always one of them, not between.

    >>> quantile([30, 10, 20], 0.5)
    20
    >>> quantile([0.1, 0.2, 0.9], 0.95)
    0.9
    """
    if not values:
        raise BadInput("Quantiles need at least one value.")
    if not 0 <= share <= 1:
        raise BadInput(f"share={share} must be from 0 to 1.")
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@dataclass(frozen=True)
class Difference:
    """mean(a) - mean(b) with its 95 % interval; `significant` when the interval leaves out 0."""

    difference: float
    low: float
    high: float
    n: int

    @property
    def significant(self) -> bool:
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    a: Sequence[float], b: Sequence[float], n: int = 10_000, seed: int = 0
) -> Difference:
    """mean(a) - mean(b) over the same cases in the same order, 95 % percentile interval.

    Resamples the cases n times with replacement. Efron and Tibshirani, 1993, chapter 13; for
    systems on one test set: Koehn, 2004, https://aclanthology.org/W04-3250.
    """
    if len(a) != len(b) or not a:
        raise BadInput(
            f"A paired comparison needs the same cases on both sides: {len(a)} and {len(b)}."
        )
    deltas = [x - y for x, y in zip(a, b, strict=True)]
    size, rng = len(deltas), random.Random(seed)
    means = sorted(math.fsum(rng.choices(deltas, k=size)) / size for _ in range(n))
    low, high = means[int(0.025 * (n - 1))], means[math.ceil(0.975 * (n - 1))]
    return Difference(math.fsum(deltas) / size, low, high, size)


@dataclass(frozen=True)
class Figure:
    """One number of a report: its value, how many cases it rests on, and its interval."""

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

    @classmethod
    def mean(cls, values: Sequence[float], *, unit: str = "") -> Figure:
        """A mean with its bootstrap interval."""
        if not values:
            return cls(0.0, 0, unit=unit)
        found = paired_bootstrap(values, [0.0] * len(values), n=2000)
        return cls(found.difference, found.n, found.low, found.high, unit)


@dataclass(frozen=True)
class Report:
    """Figures by name and the cases behind them (each a JSON object with an `id`)."""

    name: str
    figures: Mapping[str, Figure]
    cases: Sequence[Mapping[str, Any]] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Report:
        try:
            data = json.loads(text)
            figures = {name: Figure(**figure) for name, figure in data["figures"].items()}
            return cls(data["name"], figures, data.get("cases", ()), data.get("about", {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"This is no report: {error}.") from None

    def to_markdown(self) -> str:
        """A heading, what the run was about, and a table with n and the 95 % interval."""
        lines = [f"### {self.name}", ""]
        lines += [f"- {name}: {value}" for name, value in self.about.items()]
        lines += [""] * bool(self.about) + ["| | value | 95 % interval | n |", "|---|---|---|---|"]
        for name, figure in self.figures.items():
            unit = f" {figure.unit}" if figure.unit else ""
            between = "–" if figure.low is None else f"{figure.low:.3f} to {figure.high:.3f}"
            lines.append(f"| {name} | {figure.value:.3f}{unit} | {between} | {figure.n} |")
        return "\n".join(lines) + "\n"


def compare(now: Report, before: Report, measure: str) -> Difference:
    """`paired_bootstrap` of one number that the cases of both reports carry, matched by `id`."""
    old = {case["id"]: case[measure] for case in before.cases if measure in case}
    pairs = [(c[measure], old[c["id"]]) for c in now.cases if measure in c and c["id"] in old]
    if not pairs:
        raise BadInput(f"The reports share no case with {measure!r}.")
    return paired_bootstrap([float(a) for a, _ in pairs], [float(b) for _, b in pairs])


def log_to_mlflow(report: Report, experiment: str = "seedbed") -> str | None:
    """Log a report as an MLflow run, if MLFLOW_TRACKING_URI is set; returns the run's id.

    Figures become metrics, `about` becomes parameters, the whole report an artifact. Raises
    MissingExtra without MLflow, ConfigError where the server refuses the report.

    >>> import os
    >>> _ = os.environ.pop("MLFLOW_TRACKING_URI", None)
    >>> log_to_mlflow(Report("demo", {"accuracy": Figure.share(8, 10)})) is None
    True
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    client = mlflow_client()
    from mlflow.exceptions import MlflowException
    from mlflow.tracking.context.registry import resolve_tags

    try:
        run = client.create_run(
            mlflow_experiment(client, experiment), run_name=report.name, tags=resolve_tags()
        )
        run_id = str(run.info.run_id)
        try:
            _log_report(client, run_id, report)
        except BaseException:
            with suppress(MlflowException):
                client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id)
    except MlflowException as error:
        raise ConfigError(
            f"MLflow refused the report: {reason(error)}",
            hint="Check MLFLOW_TRACKING_URI.",
        ) from None
    return run_id


def _log_report(client: MlflowClient, run_id: str, report: Report) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        params=[Param(name, value) for name, value in report.about.items()],
        metrics=[Metric(_metric(k), f.value, now, 0) for k, f in report.figures.items()],
    )
    client.log_text(run_id, report.to_json(), "report.json")
    client.log_text(run_id, report.to_markdown(), "report.md")


def mlflow_client(uri: str | None = None) -> MlflowClient:
    """A client of the store at `uri` (None: MLFLOW_TRACKING_URI) that never waits for minutes.

    Quiet, without telemetry, and global to nothing: MLflow's active run is left alone. The import
    takes seconds. Raises MissingExtra.

        client = mlflow_client("sqlite:///var/mlflow.db")
        client.log_metric(run_id, "loss", 0.5)
    """
    silence_dependencies()
    for name, value in _MLFLOW.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise MissingExtra("mlflow", "mlflow") from None
    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    return MlflowClient(uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or uri)


def mlflow_experiment(client: MlflowClient, name: str, files: str | None = None) -> str:
    """The id of an experiment, which is created if it does not exist.

    MLFLOW_EXPERIMENT_NAME overrides `name`. `files` is the URI of a folder for the artifacts of a
    new experiment (None: where the server keeps them).

        run = client.create_run(mlflow_experiment(client, "my_app"))
    """
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, files))
        except MlflowException as error:
            found = client.get_experiment_by_name(name)  # another process may have created it
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
                raise
    return str(found.experiment_id)


def _metric(name: str) -> str:
    """A name MLflow accepts: letters, digits and `_-./ `."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name)
