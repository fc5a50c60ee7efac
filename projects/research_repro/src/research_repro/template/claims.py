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
    Claim(
        id="rate",
        source="Heavy-ball method",
        statement="The distance falls at the rate (√κ−1)/(√κ+1) from the first step.",
        expected="log ε / log((√κ−1)/(√κ+1)) steps: 69 for ε = 1e-6 and κ = 100",
        measure=lambda results: [
            row["steps"] / row["predicted"] for row in results.of("heavy-ball")
        ],
        tolerance=within(0.9, 1.1, "×"),
        not_reproduced="2026-11-29: the rate is asymptotic. At the best settings the iteration has"
        " double roots, which add a factor that grows with the number of steps.",
    ),
)
