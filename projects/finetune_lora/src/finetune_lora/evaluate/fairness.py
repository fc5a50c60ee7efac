"""Does it serve some less well than others? The best and the worst slice, and what that says.

It knows outcomes by slice, no models. A gap between slices is a reason to look, never a cause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_lora.evaluate.metrics import share
from seedbed.runs.evaluation import newcombe_interval

ENOUGH = 10
"""A slice of fewer examples is left out: its interval spans more than half of all figures."""
_SHUFFLES = 2000


def fairness(
    slices: Sequence[Mapping[str, str]], correct: Sequence[bool], *, enough: int = ENOUGH
) -> list[dict[str, Any]]:
    """For each slice name: best and worst value with enough examples, their gap, a conclusion.

    `interval` is Newcombe's of the two shares. `p` is how often a gap as large appears between
    slices of these sizes when the outcomes are shuffled: the best and the worst are picked after
    the fact, which the interval does not know. It is called real at 0.05 / the number of names.
    """
    names = sorted({name for of in slices for name in of})
    found = [_gap(name, slices, correct, enough) for name in names]
    tested = sum("gap" in entry for entry in found)
    return [{**entry, "conclusion": _conclusion(entry, tested)} for entry in found]


def _gap(
    name: str, slices: Sequence[Mapping[str, str]], correct: Sequence[bool], enough: int
) -> dict[str, Any]:
    groups: dict[str, list[bool]] = {}
    for of, right in zip(slices, correct, strict=True):
        if name in of:
            groups.setdefault(of[name], []).append(right)
    large = {value: group for value, group in sorted(groups.items()) if len(group) >= enough}
    entry = {"slice": name, "values": len(groups), "compared": len(large), "enough": enough}
    if len(large) < 2:
        return entry
    by_share = sorted(large, key=lambda value: sum(large[value]) / len(large[value]))
    worst, best = by_share[0], by_share[-1]
    figures = share(large[best]), share(large[worst])
    return {
        **entry,
        "best": {"value": best, **figures[0]},
        "worst": {"value": worst, **figures[1]},
        "gap": figures[0]["exact_match"] - figures[1]["exact_match"],
        "interval": list(newcombe_interval(_counts(large[best]), _counts(large[worst]))),
        "p": _by_chance(list(large.values())),
    }


def _counts(correct: Sequence[bool]) -> tuple[int, int]:
    return sum(correct), len(correct)


def _by_chance(groups: Sequence[Sequence[bool]]) -> float:
    """The share of shuffles of all outcomes with at least this gap between best and worst."""
    import numpy as np

    outcomes = np.concatenate([np.asarray(group, float) for group in groups])
    sizes = np.array([len(group) for group in groups])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rng = np.random.default_rng(0)

    def spread() -> float:
        return float(np.ptp(np.add.reduceat(outcomes, starts) / sizes))

    observed, at_least = spread(), 0
    for _ in range(_SHUFFLES):
        rng.shuffle(outcomes)
        at_least += spread() >= observed - 1e-12
    return (at_least + 1) / (_SHUFFLES + 1)


def _conclusion(entry: Mapping[str, Any], tested: int) -> str:
    if "gap" not in entry:
        return (
            f"No conclusion: only {entry['compared']} of {entry['values']} slices have at least "
            f"{entry['enough']} examples, and a comparison needs two."
        )
    low, high = entry["interval"]
    gap = (
        f"{entry['best']['value']!r} scores {100 * entry['gap']:.0f} points higher than "
        f"{entry['worst']['value']!r} ({100 * low:.0f} to {100 * high:.0f})"
    )
    if entry["p"] < 0.05 / tested:
        return (
            f"{gap}. The difference is significant (p = {entry['p']:.4f}) for requests "
            "like these; it "
            "says nothing about the cause or about other requests."
        )
    return (
        f"{gap}. The difference is not significant (p = {entry['p']:.2f}): more examples "
        "are needed "
        "to tell whether there is one."
    )
