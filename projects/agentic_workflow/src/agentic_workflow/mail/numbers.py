"""Numbers as people write them."""

import re
from decimal import Decimal


def number_value(number: str) -> Decimal:
    """The value of digits with separators of any language: one or two at the end are decimals.

    >>> number_value("1.150,00"), number_value("1 150"), number_value("49.9")
    (Decimal('1150.00'), Decimal('1150'), Decimal('49.9'))
    """
    *whole, last = re.split(r"\D", number)
    decimals = bool(whole) and len(last) <= 2
    return Decimal(f"{''.join(whole)}.{last}" if decimals else "".join((*whole, last)))
