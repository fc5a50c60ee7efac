"""The terms that an operator blocks: each matches as whole words, in any case."""

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


class Terms:
    """Blocked terms, compiled once; false without any.

    >>> Terms(["acme"]).search("Ask ACME today")
    4
    """

    def __init__(self, terms: Iterable[str]) -> None:
        cleaned = sorted({term.strip() for term in terms} - {""}, key=len, reverse=True)
        words = "|".join(r"\s{1,4}".join(map(re.escape, term.split())) for term in cleaned)
        self._any = bool(cleaned)
        self._pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

    def __bool__(self) -> bool:
        return self._any

    def search(self, text: str) -> int | None:
        """Where the first term begins in the text, also one in look-alike letters."""
        plain, place_of = readable(text)
        for searched, place in ((text, int), (plain, place_of)):
            if self._any and (match := self._pattern.search(searched)):
                return place(match.start())
        return None
