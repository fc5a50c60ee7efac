"""Word stems by English suffixes, for comparing texts word by word without a model.

    stem("installing") == stem("installs") == "install"

Deliberately three lines: snowballstemmer takes a third of a second to import.
"""

from __future__ import annotations

import re

_SUFFIX = re.compile(r"(ations?|ing|ed|ly|ies|es|s|y|e)$")


def stem(word: str) -> str:
    """A word in lower case without its suffix; a stem has at least three letters.

    >>> stem("currencies"), stem("currency"), stem("uses")
    ('currenc', 'currenc', 'uses')
    """
    stem = _SUFFIX.sub("", word)
    return stem if len(stem) >= 3 else word
