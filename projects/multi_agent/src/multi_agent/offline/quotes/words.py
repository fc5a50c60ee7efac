"""Words of content of questions and documents, in a form in which they can be compared.

content("How long is the warranty on three kettles?")    # {'warranti', '3', 'kettl'}
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

from multi_agent.documents.index import stems

DATA: dict[str, Any] = tomllib.loads(
    resources.files(__package__).joinpath("kinds.toml").read_text("utf-8")
)
_SAME = {
    stem: next(stems(line))
    for line in DATA["words"]["same"].strip().splitlines()
    for stem in stems(line)
}
_IGNORED = frozenset(stems(DATA["words"]["ignored"]))


@lru_cache(100_000)
def content(text: str) -> frozenset[str]:
    """The stems of a text without empty words; digits for numbers, one stem for synonyms.

    >>> content("Three kettles with a guarantee") == content("3 kettle warranties")
    True
    """
    from text_to_num import alpha2digit

    words = str(alpha2digit(text, "en", threshold=1))  # from two on: "one" is seldom a number
    return frozenset(_SAME.get(stem, stem.replace(",", "")) for stem in stems(words)) - _IGNORED
