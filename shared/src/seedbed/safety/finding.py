"""What a check has found in a text, and how it is replaced.

email = Finding("email", "looks like email", 5, 20)
replace_findings("Mail bob@example.com", [email])    # "Mail [EMAIL]"
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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
    """The findings in reading order. Where some overlap, the first one remains and covers all.

    >>> long, late = Finding("card", "", 3, 9), Finding("phone", "", 7, 12)
    >>> without_overlaps([late, long])
    [Finding(kind='card', reason='', start=3, end=12)]
    """
    merged: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.start, -f.end)):
        if not merged or finding.start >= merged[-1].end:
            merged.append(finding)
        elif finding.end > merged[-1].end:
            first = merged[-1]
            merged[-1] = Finding(first.kind, first.reason, first.start, finding.end)
    return merged


def replace_findings(text: str, findings: Iterable[Finding], start: int = 0) -> str:
    """`text[start:]` with each finding replaced by its kind; they are in order and don't overlap.

    >>> replace_findings("Mail bob@example.com now", [Finding("email", "looks like email", 5, 20)])
    'Mail [EMAIL] now'
    """
    parts, position = [], start
    for finding in findings:
        parts += [text[position : finding.start], f"[{finding.kind.upper()}]"]
        position = finding.end
    return "".join(parts) + text[position:]
