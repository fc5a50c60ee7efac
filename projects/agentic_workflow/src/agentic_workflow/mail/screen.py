"""Screens a mail for spam, and for attempts to instruct the model that may read it.

    screen(mail).injection     # "" or the reason, such as "asks to ignore the instructions"

Patterns in four languages (phrases.toml), on top of `seedbed.safety.injection`.
They reduce risk: what the desk may do is up to the policy, which no mail can change.
"""

import re

from agentic_workflow.mail.phrases import PHRASES, pattern
from agentic_workflow.store.case import Mail, Screening
from seedbed.safety.injection import screen_injection

_SPAM_SCORE = 3


def screen(mail: Mail) -> Screening:
    """What speaks for spam and for injection, with the reasons."""
    injection = _find_injection(mail)
    text = "\n".join((mail.subject, mail.text, *mail.warnings))
    signals = {
        reason: int(weight)
        for weight, reasons in PHRASES["spam"].items()
        for reason in reasons
        if pattern("spam", weight, reason).search(text)
    }
    # Cautious: no word is enough, and a customer who writes about an order needs many.
    own = 2 * bool(pattern("own", "business").search(text))
    return Screening(
        spam=sum(signals.values()) - own >= _SPAM_SCORE,
        injection=injection,
        reasons=(*filter(None, [injection]), *signals),
    )


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
