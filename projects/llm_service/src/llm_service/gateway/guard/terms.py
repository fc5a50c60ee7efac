"""The terms that an operator blocks.

    terms_pattern(read_terms(Path("terms.txt"))).search(text)    # a match, or None

A term matches as whole words, in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from seedbed.errors import ConfigError


def read_terms(path: Path) -> tuple[str, ...]:
    """Read blocked terms, one per line, from a UTF-8 file; skips empty lines and # comments.

    Raises ConfigError for a file that cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"Cannot read the list of blocked terms {str(path)!r}: {error}."
        ) from None
    return tuple(s for line in lines if (s := line.strip()) and not s.startswith("#"))


def terms_pattern(terms: Iterable[str]) -> re.Pattern[str]:
    """An expression that finds the terms, the longest first; it matches nothing without any.

    >>> terms_pattern(["acme"]).search("Ask ACME today").span()
    (4, 8)
    """
    cleaned = sorted({term.strip() for term in terms if term.strip()}, key=len, reverse=True)
    if not cleaned:
        return re.compile(r"(?!)")  # matches nothing
    words = "|".join(r"\s{1,4}".join(map(re.escape, term.split())) for term in cleaned)
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
