"""Keys, tokens and passwords in texts that are logged or shown.

    redact_secrets("Authorization: Bearer abc.DEF-123456789")    # "Authorization: [SECRET]"
    raise WeightsError(f"Cannot download: {reason(error)}")      # another library's message

Patterns only, with bounded repeats: the time is linear in the length of the text. Personal data is
left to `personal_data`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from seedbed.safety.finding import Finding, replace_findings, without_overlaps


def _is_assigned_secret(text: str) -> bool:
    # Letters and digits together: `api_key=YOUR_API_KEY` and `token: str` are code, not secrets.
    value = re.split(r"[:=]", text, maxsplit=1)[1].strip(" \"'")
    return any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def _always(_: str) -> bool:
    return True


_SECRETS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\w+/=\s]{0,20000}(?:-----END[A-Z ]{0,40}-----)?",
        _always,
    ),
    (r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,200}", _always),
    (
        r"\b(?:gh[pousr]_|github_pat_|hf_|glpat-|xox[abprs]-|npm_|pypi-)[A-Za-z0-9_-]{16,255}",
        _always,
    ),
    (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", _always),
    (r"\bAIza[A-Za-z0-9_-]{35}", _always),
    (r"\beyJ[\w-]{10,2000}\.[\w-]{10,4000}\.[\w-]{10,1000}", _always),
    (r"(?i:\bbearer[ ]{1,3})[A-Za-z0-9._~+/-]{12,2000}={0,2}", _always),
    (r"(?<=://)[^\s/:@\"']{1,100}:[^\s/:@\"']{1,100}(?=@)", _always),
    (
        r"(?i)(?<![A-Za-z0-9])(?:api[_-]?key|access[_-]?token|auth[_-]?token|token|secret|passw(?:or)?d)"
        r"[\"']?[ ]{0,3}[:=][ ]{0,3}[\"']?[A-Za-z0-9_./+~-]{12,500}",
        _is_assigned_secret,
    ),
)
_COMPILED = tuple((re.compile(pattern), is_secret) for pattern, is_secret in _SECRETS)


def find_secrets(text: str) -> Iterator[Finding]:
    """Keys, tokens and passwords; some may overlap."""
    for pattern, is_secret in _COMPILED:
        for match in pattern.finditer(text):
            if is_secret(match.group()):
                yield Finding("secret", "looks like secret", *match.span())


def redact_secrets(text: str) -> str:
    """Replace keys, tokens and passwords only; for logs and error messages.

    >>> redact_secrets("bob@example.com: Bearer abc.DEF-123456789")
    'bob@example.com: [SECRET]'
    """
    return replace_findings(text, without_overlaps(find_secrets(text)))


def reason(error: BaseException) -> str:
    """The first line of another library's exception, without secrets, for an error message of ours.

    >>> reason(ValueError("no such model\\nTraceback …"))
    'no such model'
    """
    text = str(error).strip() or type(error).__name__
    return redact_secrets(text.partition("\n")[0].strip())
