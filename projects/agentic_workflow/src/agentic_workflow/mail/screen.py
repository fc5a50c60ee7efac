"""Screens a mail for attempts to instruct the model that may read it.

    find_injection(mail)     # "" or the reason, such as "asks to ignore the instructions"

Patterns in four languages (phrases.toml), in addition to `seedbed.safety.injection`. The result
labels the mail for people: what the desk may do depends on the policy, which no mail can change.
"""

import re

from agentic_workflow.case import Mail
from agentic_workflow.mail.phrases import PHRASES, pattern
from seedbed.safety.injection import screen_injection


def find_injection(mail: Mail) -> str:
    """Why a mail seems to instruct a model; "" if it does not."""
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
