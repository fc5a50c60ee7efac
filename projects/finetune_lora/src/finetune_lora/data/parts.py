"""The splits of a dataset, cleaned: what goes where, and what was taken out for which reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finetune_lora.data.clean import Exact, cluster, without_duplicates, without_leaks
from finetune_lora.data.split import TRAIN, assign
from finetune_lora.example import Example
from seedbed.errors import BadInput

SPLITS = (TRAIN, "dev", "test")


@dataclass(frozen=True)
class Parts:
    """`splits` has no empty one. `removed`: reason → rows. `largest`: the share of the rows that
    the largest cluster of near duplicates contains; a split cannot divide it."""

    splits: dict[str, tuple[Example, ...]]
    removed: dict[str, int]
    exact: Exact
    largest: float


def divide(
    examples: Sequence[Example],
    fixed: Mapping[str, Sequence[Example]],
    shares: Mapping[str, float],
    *,
    seed: int,
) -> Parts:
    """Clean `examples` and split off `shares` of them for dev and test, except those in `fixed`.

    A fixed test set stays as it is; its questions are removed from a fixed dev set, and those of
    both from train. Raises BadInput if nothing is left, or too little to split.
    """
    held = {name: tuple(rows) for name, rows in fixed.items()}
    exact = without_duplicates(examples)
    pool, leaks = exact.remaining, 0
    if "dev" in held and "test" in held:
        clean, leaks = without_leaks(held["dev"], held["test"])
        held["dev"] = tuple(clean)
    if held:
        pool, more = without_leaks(pool, [e for rows in held.values() for e in rows])
        leaks += more
    clusters = cluster(pool)
    removed = {
        "duplicates": exact.duplicates,
        "labels_in_conflict": sum(map(len, exact.conflicts)),
        "near_duplicates": clusters.near_duplicates,
        "leaks": leaks,
    }
    if not clusters.remaining:
        counts = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in removed.items() if n)
        raise BadInput(f"No rows are left for training ({counts}).", hint="Use other data.")
    shares = {name: share for name, share in shares.items() if name not in held}
    names = assign(clusters.groups, [e.label or "" for e in clusters.remaining], shares, seed)
    splits = {
        split: tuple(e for e, name in zip(clusters.remaining, names, strict=True) if name == split)
        for split in (TRAIN, *shares)
    } | held
    largest = Counter(clusters.groups).most_common(1)[0][1] / len(clusters.remaining)
    return Parts({s: splits[s] for s in SPLITS if splits.get(s)}, removed, exact, largest)
