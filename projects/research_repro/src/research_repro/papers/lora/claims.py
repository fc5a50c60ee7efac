"""The claims in the order of the paper's argument, with tolerances fixed before the first run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from research_repro.paper import (
    Claim,
    Result,
    Results,
    Scale,
    Tolerance,
    at_least,
    at_most,
    within,
)

_LAPTOP: tuple[Scale, ...] = ("laptop",)
_PAPER: tuple[Scale, ...] = ("paper",)
_TINY: tuple[Scale, ...] = ("smoke", "laptop")  # the tiny GPT is not part of the paper's scale
_SHORT = "Not expected at smoke scale, whose model is too small and its training too short."
_Measure = Callable[[Results], list[float]]


def of_cells(cell: str, value: Callable[[Any], float]) -> _Measure:
    """A value of the result of one cell."""
    return lambda results: [value(result) for result in results.of(cell)]


def difference(first: str, second: str, key: str = "bleu") -> _Measure:
    """A score of the first cell minus that of the second, seed by seed."""
    return lambda results: [float(a[key] - b[key]) for a, b in results.pairs(first, second)]


def exact(key: str, source: str, statement: str, tolerance: Tolerance) -> Claim:
    """A claim about a number that `equations` computes."""
    measure = of_cells("method", lambda result: result[key])
    return Claim(key, source, statement, "0, up to rounding", measure, tolerance, expected_at=_TINY)


def base_contrast(results: Results) -> list[float]:
    """BLEU of LoRA minus full fine-tuning on the weak base, minus the same on the strong base."""
    names = ("tiny-lora-weak", "tiny-full-weak", "tiny-lora", "tiny-full")
    return [
        (a["bleu"] - b["bleu"]) - (c["bleu"] - d["bleu"]) for a, b, c, d in results.pairs(*names)
    ]


def query_and_value(results: Results) -> list[float]:
    """BLEU with W_q and W_v at r = 4, minus the best of one matrix at r = 8."""
    rows = results.pairs("tiny-lora", *(f"tiny-w-{name}" for name in "qkvo"))
    return [float(both["bleu"] - max(one["bleu"] for one in single)) for both, *single in rows]


def overhead(result: Result, variant: str, batch: int, tokens: int) -> float:
    """Latency above the base model's in %; batch and tokens index the sorted grid's sizes."""
    rows = result["rows"]
    batches, lengths = (sorted({row[key] for row in rows}) for key in ("batch", "tokens"))
    size = (batches[batch], lengths[tokens])
    (ratio,) = (row[variant] for row in rows if (row["batch"], row["tokens"]) == size)
    return 100 * (float(ratio) - 1)


def layer_mean(value: Callable[[Any], float]) -> _Measure:
    """The mean over the adapted matrices of a `subspaces` cell."""

    def mean(result: Result) -> float:
        values = [value(layer) for layer in result["layers"]]
        return sum(values) / len(values)

    return of_cells("subspaces", mean)


def overlap_of_ranks(results: Results) -> list[float]:
    """φ(1, 8) of r = 8 and r = 64 as a multiple of chance, 8 / d: the mean over the matrices."""
    widths = [result["width"] for result in results.of("subspaces")]
    means = layer_mean(lambda layer: layer["ranks"][0][7])(results)
    return [mean * width / 8 for mean, width in zip(means, widths, strict=True)]


CLAIMS = (
    # 1. The method is the paper's.
    exact(
        "b-zero",
        "Section 4.1",
        "ΔW = BA is zero at the beginning of training, as B is zero.",
        within(0, 0, "(|B| or change of a logit)"),
    ),
    exact(
        "equation",
        "Equation 3",
        "An adapted layer computes h = W0 x + (α / r) B A x.",
        at_most(1e-5, "(relative to float64)"),
    ),
    exact(
        "merge",
        "Section 4.1",
        "W = W0 + BA gives the same outputs, and W0 is recovered by subtracting BA.",
        at_most(1e-4, "(relative)"),
    ),
    exact(
        "only-ab",
        "Section 4.1",
        "Only A and B are trained.",
        within(0, 0, "(share of other parameters)"),
    ),
    exact(
        "count",
        "Section 5.1",
        "The number of trained parameters is 2 × L × d_model × r.",
        within(0, 0, "parameters off"),
    ),
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
        "Its value projection is narrow (grouped queries), so that this is a small budget.",
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
        "gpt2",
        "Table 3",
        "GPT-2 medium: LoRA is on par or better than fine-tuning on E2E.",
        "BLEU 70.4 against 68.2",
        difference("gpt2-lora", "gpt2-full"),
        at_least(0, "BLEU"),
        _PAPER,
    ),
    Claim(
        "tiny",
        "Tables 2 to 4",
        "Tiny GPT: LoRA (W_q and W_v, r = 4) matches fine-tuning from a strong base.",
        "on par or better on all tasks",
        difference("tiny-lora", "tiny-full"),
        at_least(-2, "BLEU"),
        _LAPTOP,
        _SHORT,
    ),
    Claim(
        "share",
        "Section 1",
        "LoRA trains a small share of the parameters.",
        "0.1 % (GPT-2 medium) to 0.01 % (GPT-3); the share falls with the width",
        of_cells("tiny-lora", lambda r: 100 * r["trained_parameters"] / r["parameters"]),
        at_most(2, "%"),
        _TINY,
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
    # 3. No added latency, less memory.
    Claim(
        "latency-merged",
        "Section 4.1",
        "Merged LoRA adds no latency (one token, batch of one).",
        "19.8 ms for both (Table 1)",
        of_cells("latency", lambda result: overhead(result, "merged", 0, 0)),
        within(-10, 10, "%"),
        _TINY,
    ),
    Claim(
        "latency-adapter",
        "Table 1",
        "Adapters add latency to a single short input.",
        "+20.7 % and +30.3 % (batch 1, 128 tokens)",
        of_cells("latency", lambda result: overhead(result, "adapter", 0, 0)),
        at_least(15, "%"),
        _TINY,
    ),
    Claim(
        "latency-batch",
        "Figure 5",
        "The latency that adapters add grows as batch and input shrink.",
        "+30.3 % at batch 1 × 128, +3.0 % at batch 32 × 512",
        of_cells(
            "latency",
            lambda result: overhead(result, "adapter", 0, 0) - overhead(result, "adapter", -1, -1),
        ),
        at_least(10, "points"),
        _TINY,
    ),
    Claim(
        "memory",
        "Section 4.2",
        "Training needs less memory for weights, gradients and the optimizer's state.",
        "1.2 TB to 350 GB, 29 % (GPT-3)",
        of_cells("memory", lambda r: 100 * r["lora"]["state"] / r["full"]["state"]),
        at_most(40, "% of fine-tuning"),
        _TINY,
    ),
    Claim(
        "checkpoint",
        "Section 4.2",
        "Checkpoints are much smaller.",
        "350 GB to 35 MB, 0.01 % (GPT-3, r = 4)",
        of_cells("memory", lambda r: 100 * r["lora"]["checkpoint"] / r["full"]["checkpoint"]),
        at_most(5, "% of fine-tuning"),
        _TINY,
    ),
    # 4. What is learned has a low rank.
    Claim(
        "rank",
        "Table 6",
        "A rank of 1 suffices.",
        "73.4 and 73.5 % for r = 1 and r = 64 (WikiSQL, W_q and W_v)",
        difference("tiny-r1", "tiny-r64"),
        at_least(-2, "BLEU"),
        _LAPTOP,
        _SHORT,
    ),
    Claim(
        "matrices",
        "Table 5",
        "Under one parameter budget, W_q and W_v together are better than one matrix.",
        "73.7 % against 70.0 to 73.2 % (WikiSQL)",
        query_and_value,
        at_least(0, "BLEU"),
        (),
        "The differences at this scale are as small as those between seeds.",
    ),
    Claim(
        "subspace-rank",
        "Figure 3",
        "The top direction of r = 8 is among the top 8 of r = 64.",
        "φ > 0.5 for the top direction, in the layers shown",
        overlap_of_ranks,
        at_least(2, "× chance"),
        _LAPTOP,
        _SHORT,
    ),
    Claim(
        "subspace-seed",
        "Figure 4",
        "Two seeds learn common directions, φ(8, 8) at r = 64; random matrices share fewer.",
        "visibly more than two random matrices",
        layer_mean(lambda layer: layer["seeds_8"] / layer["random_8"]),
        at_least(2, "× random"),
        _LAPTOP,
        _SHORT,
    ),
    Claim(
        "correlation",
        "Table 7",
        "ΔW correlates more with W than a random matrix does (r = 4).",
        "0.32 against 0.02, 16 ×",
        layer_mean(lambda layer: layer["table7"][0]["in_delta"] / layer["table7"][0]["in_random"]),
        at_least(1, "×"),
        _TINY,
    ),
    Claim(
        "emphasis",
        "Table 7",
        "ΔW does not repeat the directions that W emphasises (r = 4).",
        "0.32 against 21.67, 0.015 ×",
        layer_mean(lambda layer: layer["table7"][0]["in_delta"] / layer["table7"][0]["in_weight"]),
        at_most(0.5, "×"),
        _TINY,
    ),
    Claim(
        "amplification",
        "Table 7",
        "ΔW amplifies its directions strongly (r = 4).",
        "21.5 ×: 6.91 / 0.32",
        layer_mean(lambda layer: layer["table7"][0]["factor"]),
        at_least(2, "×"),
        _TINY,
    ),
)
