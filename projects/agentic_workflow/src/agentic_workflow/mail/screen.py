"""Screens a mail for attempts to instruct the model that may read it, and for the mark of spam.

    screen(mail).injection     # "" or the reason, such as "asks to ignore the instructions"

A line a language (phrases.toml), beside `seedbed.safety.injection`. It labels the mail for people:
what the desk may do is up to the policy, which no mail can change. Spam that the mail server did
not mark is found by triage.
"""

import re

from agentic_workflow.case import Mail, Screening
from agentic_workflow.mail.parse import SPAM
from agentic_workflow.mail.phrases import PHRASES, pattern
from seedbed.safety.injection import screen_injection


def screen(mail: Mail) -> Screening:
    """Whether a mail is marked as spam, and what speaks for injection."""
    injection, spam = _find_injection(mail), SPAM in mail.warnings
    reasons = tuple(filter(None, (injection, SPAM if spam else "")))
    return Screening(spam=spam, injection=injection, reasons=reasons)


def _find_injection(mail: Mail) -> str:
    quoted = re.sub(r"^[> ]+", "", mail.quoted, flags=re.MULTILINE)
    visible = "\n".join((mail.subject, mail.text, quoted, mail.sender_name, *mail.attachments))
    # A line break within a phrase must not split it.
    flat = re.sub(r"[^\S\n]+|(?<=[^\n.:])\n(?=[^\n])", " ", visible)
    hidden = "\n".join(x[12:] for x in mail.warnings if x.startswith("hidden text:"))
    for text in (visible, flat, hidden):
        if finding := screen_injection(text):
            return finding.reason
        for reason in PHRASES["injection"]:
            if pattern("injection", reason).search(text):
                return reason
    return "instructs in hidden text" if pattern("hidden", "words").search(hidden) else ""
