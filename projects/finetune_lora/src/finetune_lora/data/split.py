"""Train, dev and test by a seed, with whole groups on one side and labels in equal shares."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from seedbed.errors import BadInput


def assign(
    groups: Sequence[str], labels: Sequence[str], shares: Mapping[str, float], seed: int
) -> list[str]:
    """The split of each row: a key of `shares`, or "train" for the rest.

    Rows of one group stay together. Each label gets its share as nearly as groups allow. Its first
    group is in train, unless an empty split needs it. Raises BadInput for too few groups.
    """
    shares = {name: share for name, share in shares.items() if share > 0}
    sizes = Counter(groups)
    first_labels: dict[str, str] = {}  # a group with several labels goes with its first
    for group, label in zip(groups, labels, strict=True):
        first_labels.setdefault(group, label)
    by_label: dict[str, list[str]] = defaultdict(list)
    for group, label in first_labels.items():
        by_label[label].append(group)
    # 1. Place the groups of one label after the other. What one label's groups could not fill
    #    exactly is made up for by the next label's.
    rng = random.Random(seed)
    placed: dict[str, str] = {}
    rows: Counter[str] = Counter()
    total = 0
    for label in sorted(by_label):
        rng.shuffle(by_label[label])
        total += sum(sizes[group] for group in by_label[label])
        for position, group in enumerate(by_label[label]):
            room = (name for name, s in shares.items() if rows[name] + sizes[group] <= s * total)
            placed[group] = next(room, "train") if position else "train"
            rows[placed[group]] += sizes[group]
    # 2. Few rows: a split that is still empty gets the smallest group of train.
    for name in shares:
        if name not in placed.values():
            spare = [group for group, split in placed.items() if split == "train"]
            if len(spare) < 2:
                count = f"{len(placed)} group{'s' * (len(placed) != 1)} of distinct rows"
                raise BadInput(
                    f"{count} cannot be split into {', '.join(('train', *shares))}.",
                    hint="Add more rows, or use --dev 0 --test 0.",
                )
            placed[min(spare, key=sizes.__getitem__)] = name
    return [placed[group] for group in groups]
