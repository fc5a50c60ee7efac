"""Everyday words for labels of ImageNet: a beagle is a dog and an animal.

    kinds_of("beagle")      # ("animal", "dog", "puppy")

Labels of other classifiers have no kinds. The table is `kinds.toml`.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from functools import cache
from importlib import resources

from seedbed.models.image_model import imagenet_labels


def kinds_of(label: str) -> tuple[str, ...]:
    """The everyday words for a label, none for a label that ImageNet does not have.

    >>> kinds_of("sports car")
    ('vehicle', 'car')
    """
    return _kinds().get(label, ())


def is_kind(word: str) -> bool:
    """Whether labels have this kind."""
    return any(word in kinds for kinds in _kinds().values())


@cache
def _kinds() -> dict[str, tuple[str, ...]]:
    table = tomllib.loads((resources.files("vision_app.search") / "kinds.toml").read_text("utf-8"))
    labels, kinds = imagenet_labels(), defaultdict[str, list[str]](list)
    for kind, places in table.items():
        for place in places.split():
            first, _, last = place.partition("-")
            for label in labels[int(first) : int(last or first) + 1]:
                kinds[label].append(kind)
    return {label: tuple(words) for label, words in kinds.items()}
