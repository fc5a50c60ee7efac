"""Numbers as people write them."""

import re
from decimal import Decimal


def number_value(number: str) -> Decimal:
    """The value of digits with separators of any language: one or two at the end are decimals.

    >>> [str(number_value(n)) for n in ("1.150,00", "1,150.00", "1'150", "1 150", "49,9", "2'50")]
    ['1150.00', '1150.00', '1150', '1150', '49.9', '2.50']
    """
    *whole, last = re.split(r"\D", number)
    decimals = bool(whole) and len(last) <= 2
    return Decimal(f"{''.join(whole)}.{last}" if decimals else "".join((*whole, last)))
