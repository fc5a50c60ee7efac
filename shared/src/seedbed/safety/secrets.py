"""Keys, tokens and passwords in texts that are logged or shown.

    redact_secrets("Authorization: Bearer abc.DEF-123456789")    # "Authorization: [SECRET]"
    raise WeightsError(f"Cannot download: {reason(error)}")      # another library's message

Patterns only, with bounded repeats: the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Finding:
    """One match of a check, at `text[start:end]`.

    `kind` is a stable name to switch on; `reason` completes "The text …", for messages to users.
    """

    kind: str
    reason: str
    start: int
    end: int


def without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in reading order. Where some overlap, the first one remains and covers all."""
    merged: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.start, -f.end)):
        if not merged or finding.start >= merged[-1].end:
            merged.append(finding)
        elif finding.end > merged[-1].end:
            merged[-1] = replace(merged[-1], end=finding.end)
    return merged


def replace_findings(text: str, findings: Iterable[Finding]) -> str:
    """The text with each finding replaced by its kind; they are in order."""
    parts, position = [], 0
    for finding in findings:
        parts += [text[position : finding.start], f"[{finding.kind.upper()}]"]
        position = finding.end
    return "".join(parts) + text[position:]


_SECRETS = tuple(
    re.compile(pattern)
    for pattern in (
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\w+/=\s]{0,20000}(?:-----END[A-Z ]{0,40}-----)?",
        r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,200}",
        r"\b(?:gh[pousr]_|github_pat_|hf_|glpat-|xox[abprs]-|npm_|pypi-)[A-Za-z0-9_-]{16,255}",
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        r"\bAIza[A-Za-z0-9_-]{35}",
        r"\beyJ[\w-]{10,2000}\.[\w-]{10,4000}\.[\w-]{10,1000}",
        r"(?i:\bbearer[ ]{1,3})[A-Za-z0-9._~+/-]{12,2000}={0,2}",
        r"(?<=://)[^\s/:@\"']{1,100}:[^\s/:@\"']{1,100}(?=@)",
        # Letters and digits together: `api_key=YOUR_API_KEY` and `token: str` are code.
        r"(?i)(?<![A-Za-z0-9])(?:api[_-]?key|access[_-]?token|auth[_-]?token|token|secret"
        r"|passw(?:or)?d)[\"']?[ ]{0,3}[:=][ ]{0,3}[\"']?(?=[a-z_./+~-]{0,499}\d)"
        r"(?=[0-9_./+~-]{0,499}[a-z])[a-z0-9_./+~-]{12,500}",
    )
)


def find_secrets(text: str) -> Iterator[Finding]:
    """Keys, tokens and passwords; some may overlap."""
    for pattern in _SECRETS:
        for match in pattern.finditer(text):
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
