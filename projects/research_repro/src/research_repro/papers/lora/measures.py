"""What the claims measure: one value per seed from the results of cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from research_repro.paper import Result, Results

Measure = Callable[[Results], list[float]]


def of_cell(cell: str, value: Callable[[Any], float]) -> Measure:
    """A value of the result of one cell."""
    return lambda results: [value(result) for result in results.of(cell)]


def difference(first: str, second: str, key: str = "bleu") -> Measure:
    """A score of the first cell minus that of the second, seed by seed."""
    return lambda results: [float(a[key] - b[key]) for a, b in results.pairs(first, second)]


def base_contrast(results: Results) -> list[float]:
    """BLEU of LoRA minus fine-tuning on the weak base, minus the same on the strong base."""
    cells = ("tiny-lora-weak", "tiny-full-weak", "tiny-lora", "tiny-full")
    scores = [[result["bleu"] for result in row] for row in results.pairs(*cells)]
    return [(a - b) - (c - d) for a, b, c, d in scores]


def query_and_value(results: Results) -> list[float]:
    """BLEU with W_q and W_v at r = 4, minus the best of one matrix at r = 8."""
    rows = results.pairs("tiny-lora", *(f"tiny-w-{name}" for name in "qkvo"))
    return [both["bleu"] - max(one["bleu"] for one in single) for both, *single in rows]


def overhead(variant: str, minus: int | None = None) -> Measure:
    """Latency above the base model's in % for the smallest batch and input.

    `minus` is the row whose overhead is subtracted, -1 for the largest batch and input.
    """

    def measure(result: Result) -> float:
        ratios = [float(row[variant]) for row in result["rows"]]
        return 100 * (ratios[0] - (1 if minus is None else ratios[minus]))

    return of_cell("latency", measure)


def layer_mean(value: Callable[[Any], float]) -> Measure:
    """The mean over the adapted matrices of a `subspaces` cell."""
    return of_cell("subspaces", lambda r: sum(map(value, r["layers"])) / len(r["layers"]))


def table_7(numerator: str, denominator: str) -> Measure:
    """The ratio of two norms for r = 8, as the mean over the adapted matrices."""
    return layer_mean(lambda layer: layer["table7"][0][numerator] / layer["table7"][0][denominator])


def share(part: str) -> Measure:
    """Bytes of LoRA in % of fine-tuning's."""
    return of_cell("memory", lambda result: 100 * result["lora"][part] / result["full"][part])
