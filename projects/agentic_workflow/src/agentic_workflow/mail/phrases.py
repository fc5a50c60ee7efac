"""The word lists in phrases.toml, each as one regular expression.

pattern("reply", "closing").fullmatch("Best regards, Bob")
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any


@cache
def phrases(room: str) -> dict[str, Any]:
    """A table of phrases.toml."""
    path = Path(__file__).with_name("phrases.toml")
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))[room]
    return table


@cache
def pattern(room: str, *names: str) -> re.Pattern[str]:
    """The alternatives of one list; ^ matches at each line."""
    entry = phrases(room)
    for name in names:
        entry = entry[name]
    return re.compile("|".join(entry), re.IGNORECASE | re.MULTILINE)
