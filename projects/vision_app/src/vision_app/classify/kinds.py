"""Everyday words for labels of ImageNet, from `kinds.toml`; labels of other classifiers have none.

kinds_of("beagle")      # ("animal", "dog", "puppy")
"""

import tomllib
from functools import cache
from pathlib import Path

from vision_app.classify.model.image_model import imagenet_labels


def kinds_of(label: str) -> tuple[str, ...]:
    """The everyday words for a label.

    >>> kinds_of("sports car")
    ('vehicle', 'car')
    """
    return tuple(kind for kind, labels in _labels().items() if label in labels)


@cache
def _labels() -> dict[str, set[str]]:
    kinds, names = tomllib.loads(Path(__file__).with_suffix(".toml").read_text()), imagenet_labels()
    ranges = {kind: [part.split("-") for part in row.split()] for kind, row in kinds.items()}
    return {
        kind: {label for part in parts for label in names[int(part[0]) : int(part[-1]) + 1]}
        for kind, parts in ranges.items()
    }
