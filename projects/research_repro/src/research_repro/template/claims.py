"""The claims of the paper, each with the tolerance that decides it, fixed before the first run."""

from __future__ import annotations

from research_repro.paper import Claim, Results, within


def speedup(results: Results) -> list[float]:
    """Steps of gradient descent per step of the heavy ball, one value per seed."""
    pairs = results.pairs("gradient-descent", "heavy-ball")
    return [plain["steps"] / heavy["steps"] for plain, heavy in pairs]


CLAIMS = (
    Claim(
        id="speedup",
        source="Heavy-ball method",
        statement="Momentum needs fewer steps, by about the root of the condition number.",
        expected="rates of (κ−1)/(κ+1) and (√κ−1)/(√κ+1): 10 times fewer steps for κ = 100",
        measure=speedup,
        tolerance=within(7, 13, "×"),
        note="Momentum first overshoots, which costs it some steps.",
    ),
)
