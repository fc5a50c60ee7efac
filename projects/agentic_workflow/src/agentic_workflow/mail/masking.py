"""Masks payment cards, accounts, identity documents and secrets, before anything stores a text.

    mask("Refund to DE89 3704 0044 0532 0130 00")   # "Refund to [IBAN]"

Not strict about checksums: people mistype numbers, and with one wrong digit a number is still
private. Order and tracking numbers, dates and amounts survive. Names, addresses and phone numbers
are not masked, as the answer needs them.
"""

from agentic_workflow.mail.payment_numbers import find_numbers
from seedbed.safety.personal_data import redact

KINDS = ("account", "passport", "tax", "password", "secret")


def mask(text: str) -> str:
    """The text with `[CARD]`, `[IBAN]`, `[PASSPORT]` … for what is private.

    >>> mask("Order 10234, card 4111-1111-1111-1112, passport no. C01X00T47")
    'Order 10234, card [CARD], passport no. [PASSPORT]'
    """
    return redact(text, KINDS, more=find_numbers(text))
