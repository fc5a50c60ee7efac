"""Finds the place where a generated text starts to go round in circles.

    loop_end("I'm glad. ", "I'm glad. I'm glad. ")    # None: too short to be sure

A small model often repeats its last sentence up to the token limit.
"""

from __future__ import annotations

MAX_PERIOD = 600  # characters of a passage whose repetition is noticed
_CONTEXT = 24  # characters that must recur before a passage is compared
_LONG_PASSAGE = 40  # characters; one immediate repetition of a passage as long is a loop …
_LONG_LOOP = 100  # … and so are three or more of a shorter one that are as long together


def loop_end(text: str, new: str) -> int | None:
    """The number of characters of `new` with which `text + new` first completes a loop, or None.

    The result does not depend on how the text is divided into `text` and `new`.

    >>> loop_end("", "She sells sea shells on the sea shore today. " * 3)
    90
    """
    window = text[-4 * MAX_PERIOD :] + new
    for end in range(len(window) - len(new) + 1, len(window) + 1):
        if _loops(window[:end]):
            return end - (len(window) - len(new))
    return None


def _loops(text: str) -> bool:
    tail = text[-_CONTEXT:]
    earlier = text.rfind(tail, 0, len(text) - 1)
    if len(text) < 2 * _CONTEXT or earlier < 0:
        return False
    period = len(text) - _CONTEXT - earlier
    if period >= _LONG_PASSAGE:
        return period <= MAX_PERIOD and text[-period:] == text[-2 * period : -period]
    repeats = max(3, -(-_LONG_LOOP // period))
    return text[-period:] * repeats == text[-period * repeats :]
