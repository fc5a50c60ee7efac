"""The claims in the order of the paper's argument, with tolerances fixed before the first run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from research_repro.paper import (
    Claim,
    Results,
    Scale,
    Tolerance,
    at_least,
    at_most,
    within,
)

_LAPTOP: tuple[Scale, ...] = ("laptop",)
_SHORT = "At smoke scale the model is too small and its training too short."
_ZERO = within(0, 0)
Measure = Callable[[Results], list[float]]


def exact(key: str, source: str, statement: str, tolerance: Tolerance) -> Claim:
    """A claim about a number of `equations.check_equations`."""
    measure = of_cell("method", lambda result: result[key])
    return Claim(key, source, statement, "0, up to rounding", measure, tolerance)


# What the claims measure: one value per seed from the results of cells


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


def layer_mean(value: Callable[[Any], float]) -> Measure:
    """The mean over the adapted matrices of a `subspaces` cell."""
    return of_cell("subspaces", lambda r: sum(map(value, r["layers"])) / len(r["layers"]))


def table_7(numerator: str, denominator: str) -> Measure:
    """The ratio of two norms for r = 8, as the mean over the adapted matrices."""
    return layer_mean(lambda layer: layer["table7"][numerator] / layer["table7"][denominator])


CLAIMS = (
    # 1. The method is the paper's.
    exact("b-zero", "Section 4.1", "At the beginning of training ΔW = BA is zero.", _ZERO),
    exact("equation", "Equation 3", "A layer is h = W0 x + (α / r) B A x.", at_most(1e-5)),
    exact("merge", "Section 4.1", "W0 + BA gives the same outputs.", at_most(1e-4)),
    exact("only-ab", "Section 4.1", "Only A and B are trained.", _ZERO),
    exact("count", "Section 5.1", "2 × L × d_model × r parameters are trained.", _ZERO),
    # 2. LoRA matches fine-tuning with far fewer trained parameters.
    Claim(
        "smollm2",
        "Tables 2 to 4",
        "SmolLM2: LoRA on all linear layers (r = 4, 0.9 % of the parameters) matches fine-tuning.",
        "BLEU 70.4 against 68.2 (GPT-2 medium on E2E, Table 3)",
        difference("smollm2-lora", "smollm2-full"),
        at_least(-3, "BLEU"),
        _LAPTOP,
    ),
    Claim(
        "smollm2-qv",
        "Tables 2 to 4",
        "SmolLM2: LoRA on W_q and W_v alone (0.2 %) comes close to fine-tuning.",
        "BLEU 70.4 against 68.2 (GPT-2 medium on E2E, Table 3)",
        difference("smollm2-lora-qv", "smollm2-full"),
        at_least(-5, "BLEU"),
        _LAPTOP,
        "2026-11-27: grouped queries make its value projection narrow, so this is a small budget.",
    ),
    Claim(
        "smollm2-slots",
        "Tables 2 to 4",
        "SmolLM2: the texts state as many slots correctly as after fine-tuning.",
        "not measured in the paper; BLEU hides wrong facts",
        difference("smollm2-lora", "smollm2-full", "slots"),
        at_least(-3, "points"),
        _LAPTOP,
    ),
    Claim(
        "tiny",
        "Tables 2 to 4",
        "Tiny model: LoRA (W_q and W_v, r = 4) matches fine-tuning from a strong base.",
        "on par or better on all tasks",
        difference("tiny-lora", "tiny-full"),
        at_least(-2, "BLEU"),
        _LAPTOP,
        note=_SHORT,
    ),
    Claim(
        "share",
        "Section 1",
        "LoRA trains a small share of the parameters.",
        "0.1 % (GPT-2 medium) to 0.01 % (GPT-3); the share falls with the width",
        of_cell("tiny-lora", lambda r: 100 * r["trained_parameters"] / r["parameters"]),
        at_most(2, "%"),
    ),
    Claim(
        "bases",
        "Section 1",
        "A low rank suffices since the model is pre-trained: from a weak base it does not.",
        "a hypothesis: the change during adaptation has a low intrinsic rank",
        base_contrast,
        at_most(-10, "BLEU"),
        _LAPTOP,
    ),
    # 3. What is learned has a low rank.
    Claim(
        "rank",
        "Table 6",
        "A rank of 1 suffices.",
        "73.4 and 73.5 % for r = 1 and r = 64 (WikiSQL, W_q and W_v)",
        difference("tiny-r1", "tiny-r64"),
        at_least(-2, "BLEU"),
        _LAPTOP,
        note=_SHORT,
    ),
    Claim(
        "matrices",
        "Table 5",
        "Under one parameter budget, W_q and W_v together are better than one matrix.",
        "73.7 % against 70.0 to 73.2 % (WikiSQL)",
        query_and_value,
        at_least(0, "BLEU"),
        _LAPTOP,
        "2026-11-27: the differences at this scale are as small as those between seeds.",
    ),
    Claim(
        "subspace-rank",
        "Figure 3",
        "The top direction of r = 8 is among the top 8 of r = 64.",
        "φ > 0.5 for the top direction, in the layers shown",
        layer_mean(lambda layer: layer["top"] / layer["chance"]),
        at_least(2, "× chance"),
        _LAPTOP,
        note=_SHORT,
    ),
    Claim(
        "subspace-seed",
        "Figure 4",
        "Two seeds learn common directions, φ(8, 8) at r = 64; random matrices share fewer.",
        "visibly more than two random matrices",
        layer_mean(lambda layer: layer["seeds_8"] / layer["chance"]),
        at_least(2, "× chance"),
        _LAPTOP,
        note=_SHORT,
    ),
    Claim(
        "correlation",
        "Table 7",
        "ΔW correlates more with W than a random matrix does (r = 8).",
        "0.32 against 0.02, 16 × (r = 4)",
        table_7("in_delta", "in_random"),
        at_least(1, "×"),
    ),
    Claim(
        "emphasis",
        "Table 7",
        "ΔW does not repeat the directions that W emphasises (r = 8).",
        "0.32 against 21.67, 0.015 × (r = 4)",
        table_7("in_delta", "in_weight"),
        at_most(0.5, "×"),
    ),
    Claim(
        "amplification",
        "Table 7",
        "ΔW amplifies its directions strongly (r = 8).",
        "21.5 × for r = 4, 1.9 × for r = 64",
        table_7("delta_norm", "in_delta"),
        at_least(2, "×"),
        _LAPTOP,
        note=_SHORT,
    ),
)
