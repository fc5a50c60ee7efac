"""Order numbers of any form, by WORKFLOW_ORDER_PATTERN.

    triager = OrderPattern(triager, "SO-[0-9]{5}")
    triager.triage(mail, screening).order_id       # "SO-00123", as the mail has it

Corrects what a triager found, whichever it is: without a pattern, order numbers are digits.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentic_workflow.store.case import Mail, Screening, Triage
from agentic_workflow.triage.triager import Triager
from seedbed.errors import BadInput, ConfigError
from seedbed.safety.patterns import compile_untrusted


class OrderPattern:
    """A triager whose orders have the form of a pattern. Raises ConfigError if it is not valid."""

    def __init__(self, triager: Triager, pattern: str) -> None:
        self._triager, self.paid = triager, triager.paid
        try:
            # Not inside a longer number or word; the pattern may have groups of its own.
            edge = "[^0-9A-Za-z]"
            self._pattern = compile_untrusted(f"(?i)(?:^|{edge})({pattern})(?:$|{edge})")
        except BadInput as error:
            raise ConfigError(f"WORKFLOW_ORDER_PATTERN: {error}") from None

    def triage(self, mail: Mail, screening: Screening) -> Triage:
        """The triage, with the first order of the new text, or else of the quoted thread."""
        triage = self._triager.triage(mail, screening)
        own = list(self._find(f"{mail.subject}\n{mail.text}"))
        ids = [*own, *self._find(mail.quoted)]
        guess = [id for id in ids if triage.order_id and id.upper() == triage.order_id.upper()]
        change = {"order_id": next(iter(guess or ids), None)}
        return triage.model_copy(update={**change, "order_ids": tuple(sorted(map(str.upper, own)))})

    def _find(self, text: str) -> Iterator[str]:
        while (match := self._pattern.search(text)) and match[1]:
            yield match[1]
            text = text[match.end(1) :]
