"""The terms that an operator blocks.

    terms_pattern(read_terms(Path("terms.txt"))).search(text)    # a match, or None

A term matches as whole words, in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from llm_service.gateway.guard.look_alikes import readable
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


class Terms:
    """Blocked terms, compiled once."""

    def __init__(self, terms: Iterable[str]) -> None:
        terms = tuple(terms)
        self._pattern = terms_pattern(terms)
        # Up to four spaces may stand for each one.
        self.longest = max(len(term) + 4 * len(term.split()) for term in terms)

    def search(self, text: str, start: int = 0) -> tuple[int, int] | None:
        """The span of the first term in `text[start:]`, also one in look-alike letters."""
        plain, place_of = readable(text)
        for searched, place in ((text, int), (plain, place_of)):
            for match in self._pattern.finditer(searched):
                low, high = place(match.start()), place(match.end() - 1) + 1
                if low >= start:
                    return low, high
            if plain is text:
                break
        return None
