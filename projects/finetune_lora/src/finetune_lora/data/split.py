"""Train, dev and test by a seed, with whole groups on one side and labels in equal shares.

Nothing of it depends on the process (no `hash`).
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from seedbed.errors import BadInput

TRAIN = "train"


def assign(
    groups: Sequence[int], labels: Sequence[str], shares: Mapping[str, float], seed: int
) -> list[str]:
    """The split of each row: a key of `shares`, or "train" for the rest.

    Rows of one group stay together. Each label gets its share as nearly as groups allow, and
    keeps its first group in train. Raises BadInput where a split would stay empty.
    """
    targets = {name: share for name, share in shares.items() if share > 0}
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    by_label: dict[str, list[int]] = defaultdict(list)
    for group, rows in members.items():
        # A group with several labels goes with its commonest; the first one if they are even.
        by_label[Counter(labels[row] for row in rows).most_common(1)[0][0]].append(group)
    sizes = {group: len(rows) for group, rows in members.items()}
    placed = _place(by_label, sizes, targets, seed)
    _fill_empty(placed, sizes, targets)
    return [placed[group] for group in groups]


def _place(
    by_label: Mapping[str, list[int]],
    sizes: Mapping[int, int],
    targets: Mapping[str, float],
    seed: int,
) -> dict[int, str]:
    chance = random.Random(seed)
    placed: dict[int, str] = {}
    got: Counter[str] = Counter()
    seen = 0
    for label in sorted(by_label):
        groups = by_label[label]
        chance.shuffle(groups)
        seen += sum(sizes[group] for group in groups)
        for position, group in enumerate(groups):
            # What one label's groups could not fill exactly is made up for by the next label's.
            room = (
                name for name, share in targets.items() if got[name] + sizes[group] <= share * seen
            )
            placed[group] = next(room, TRAIN) if position else TRAIN
            got[placed[group]] += sizes[group]
    return placed


def _fill_empty(
    placed: dict[int, str], sizes: Mapping[int, int], targets: Mapping[str, float]
) -> None:
    for name in targets:
        if name in placed.values():
            continue
        spare = [group for group, split in placed.items() if split == TRAIN]
        if len(spare) < 2:
            count = f"{len(sizes)} group{'s' * (len(sizes) != 1)} of distinct rows"
            raise BadInput(
                f"{count} cannot be split into {', '.join((TRAIN, *targets))}.",
                hint="Add more rows, or use --dev 0 --test 0.",
            )
        placed[min(spare, key=lambda group: (sizes[group], -group))] = name
