"""Words of English that several rooms of the offline brain read.

month_number("sept"), month_number("may")      # (9, 5)
"""

from __future__ import annotations

MONTHS = (
    "january february march april may june july august september october november december".split()
)
MONTH = "|".join(rf"{name}|{name[:4]}\b\.?|{name[:3]}\b\.?" for name in MONTHS)
"""A regular expression of months: "march", "sept.", "jan"."""


def month_number(text: str) -> int:
    """The number of a month, 1 to 12, from its first three letters.

    >>> month_number("sept."), month_number("may")
    (9, 5)
    """
    return [name[:3] for name in MONTHS].index(text[:3]) + 1
