"""The word lists in phrases.toml, each as one regular expression.

pattern("reply", "closing").fullmatch("Best regards, Bob")
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("phrases.toml")
PHRASES: dict[str, dict[str, Any]] = tomllib.loads(_FILE.read_text("utf-8"))


@cache
def pattern(*names: str) -> re.Pattern[str]:
    """The alternatives of one list; ^ matches at each line."""
    entry: Any = PHRASES
    for name in names:
        entry = entry[name]
    return re.compile("|".join(entry), re.IGNORECASE | re.MULTILINE)
