"""Masks payment cards, accounts, identity documents, dates of birth and secrets in a mail.

    mask("Refund to DE89 3704 0044 0532 0130 00")   # "Refund to [IBAN]"

Not strict about checksums: people mistype numbers, and with one wrong digit a number is still
private. Order and tracking numbers, other dates and amounts survive. Names, addresses and phone
numbers are not masked, as the answer needs them. Store, search, page, logs and models get the
masked text; the mailbox keeps the mail as it came.
"""

from agentic_workflow.mail.payment_numbers import find_numbers
from seedbed.safety.personal_data import redact

KINDS = ("account", "passport", "tax", "password", "birth_date", "secret")


def mask(text: str) -> str:
    """The text with `[CARD]`, `[IBAN]`, `[PASSPORT]` … for what is private.

    >>> mask("Order 10234, card 4111-1111-1111-1112, passport no. C01X00T47")
    'Order 10234, card [CARD], passport no. [PASSPORT]'
    """
    return redact(text, KINDS, more=find_numbers(text))
