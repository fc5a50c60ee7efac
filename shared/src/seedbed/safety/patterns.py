r"""Match untrusted regular expressions in linear time.

    pattern = compile_untrusted(r"^[A-Z]{2}-\d+$")
    pattern.search("AB-7")              # a match, or None

Python's `re` backtracks: `(a+)+$` takes minutes for 30 characters, while all other threads wait.
RE2 does not, but has neither look-around nor back-references. Our own patterns use `re`.
https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from seedbed.errors import BadInput, MissingExtra

MAX_LENGTH = 1000  # characters of a pattern
_MAX_MEMORY = 2_000_000  # bytes of a compiled pattern; re2 keeps the last 128
_UNICODE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


@dataclass(frozen=True)
class UntrustedPattern:
    """A compiled pattern; `search` returns a match like that of `re`, or None."""

    regex: Any

    def search(self, text: str) -> Any:
        """The first match in the text. Half a surrogate pair counts as a question mark."""
        return self.regex.search(text.encode("utf-8", "replace").decode())


def compile_untrusted(pattern: str) -> UntrustedPattern:
    r"""Compile a pattern with RE2, for `search` as in JSON Schema and `re`.

    Raises BadInput for what RE2 does not support, and for a pattern that is invalid or too large;
    MissingExtra without RE2. `\uXXXX`, which RE2 lacks, is accepted too.

    >>> compile_untrusted(r"\d+").search("No. 42")[0]
    '42'
    """
    MissingExtra.check("re2", extra="local")
    import re2

    if len(pattern) > MAX_LENGTH:
        raise BadInput(f"A pattern has {len(pattern):,} characters; the maximum is {MAX_LENGTH:,}.")
    options = re2.Options()
    options.max_mem, options.log_errors = _MAX_MEMORY, False
    source = _UNICODE.sub(lambda match: rf"\x{{{match[1]}}}" if match[1] else match[0], pattern)
    try:
        return UntrustedPattern(re2.compile(source, options))
    except UnicodeEncodeError:
        problem = "half a surrogate pair"
    except re2.error as error:
        problem = error.args[0].decode("utf-8", "replace")
    raise BadInput(
        f"The pattern {pattern[:80]!r} is not valid in RE2, which has no look-around, "
        f"back-references, conditions or possessive quantifiers: {problem}."
    )
