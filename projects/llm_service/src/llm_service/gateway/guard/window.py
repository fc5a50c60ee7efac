"""A window over a streamed text: what may follow is seen before what comes first is sent.

    window = Window(inspect)
    for piece in pieces:
        text = window.feed(piece)      # what can be sent now, often ""
    text = window.rest()

The last characters are held back, because a finding may begin in them. What is sent ends behind a
space or a character that is not ASCII, so that tokens and addresses of any length stay whole; the
window only has to be as long as the longest finding with spaces that is not recognized before its
end: groups of digits, `password = …`, a blocked term.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from seedbed.safety.secrets import Finding

HOLD = 64  # characters held back
STEP = 32  # characters that must have come before the text is searched again
CONTEXT = 16  # characters that patterns look back at: "version " is the longest
_MAX_HELD = 4096  # a longer run without any space is sent nevertheless
_BREAK = re.compile(r"\s|[^\x00-\x7f]")


class Screened(NamedTuple):
    """A part of a text as it may be sent."""

    text: str = ""
    findings: int = 0
    blocked: str = ""  # the rule that ends the answer behind this text
    consumed: int = 0  # characters of the original text


class Window:
    """One text that arrives in pieces.

    `find` returns the findings in a text, and `screen(text, start, end, findings)` what of
    `text[start:end]` may be sent. `hold` is raised to the length of the longest blocked term.
    """

    def __init__(
        self,
        find: Callable[[str], list[Finding]],
        screen: Callable[[str, int, int, list[Finding]], Screened],
        hold: int = HOLD,
    ) -> None:
        self._find, self._screen = find, screen
        self._hold = max(HOLD, hold)
        self._text = ""  # the context, then what is held
        self._start = 0  # where the unsent text begins
        self._search_at = self._hold + STEP

    def feed(self, piece: str) -> Screened:
        """What can be sent after this piece."""
        self._text += piece
        if len(self._text) < self._search_at:
            return Screened()
        return self._send(self._end_of_last_break(len(self._text) - self._hold))

    def rest(self) -> Screened:
        """What is left when the text has ended."""
        return self._send(len(self._text))

    def _send(self, end: int) -> Screened:
        if end <= self._start:
            self._search_at = len(self._text) + STEP
            return Screened()
        findings = self._find(self._text)
        if end < len(self._text):  # a finding that goes on, or may, stays whole
            crossing = (f.start for f in findings if f.start < end < f.end)
            end = max(self._start, min(crossing, default=end))
        screened = self._screen(self._text, self._start, end, findings)
        cut = max(0, end - CONTEXT)
        self._text, self._start = self._text[cut:], end - cut
        self._search_at = max(self._start + self._hold, len(self._text)) + STEP
        return screened

    def _end_of_last_break(self, place: int) -> int:
        if place - self._start > _MAX_HELD:
            return place
        matches = list(_BREAK.finditer(self._text, self._start, max(place, self._start)))
        return matches[-1].end() if matches else self._start
