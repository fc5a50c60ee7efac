"""The best and the worst slice of the evaluation data, and whether their gap is worth a look.

A gap between slices shows where to look. It is neither a cause nor a proof of unfairness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_lora.evaluate.metrics import share
from seedbed.runs.evaluation import newcombe_interval

ENOUGH = 10
"""A slice of fewer examples is left out: its interval spans more than half of all figures."""


def fairness(
    slices: Sequence[Mapping[str, str]], correct: Sequence[bool], *, enough: int = ENOUGH
) -> list[dict[str, Any]]:
    """For each slice name: best and worst value with enough examples, their gap, a conclusion.

    `interval` is Newcombe's interval of the difference. The best and the worst value are selected
    after the fact, which it does not account for: with many values some gap is to be expected.
    """
    names = sorted({name for of in slices for name in of})
    entries = [_gap(name, slices, correct, enough) for name in names]
    return [{**entry, "conclusion": _conclusion(entry)} for entry in entries]


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
    }


def _counts(correct: Sequence[bool]) -> tuple[int, int]:
    return sum(correct), len(correct)


def _conclusion(entry: Mapping[str, Any]) -> str:
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
    return f"Look here: {gap}." if low > 0 else f"No clear gap: {gap}."
