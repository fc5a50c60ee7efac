"""How much of a text that is still arriving can already be screened and passed on.

A `Holdback` takes a text piece by piece and gives it back in segments that no finding of
`seedbed.safety.personal_data` crosses, whatever comes later: screening segment by segment finds
what screening the whole text would. It knows where findings can and cannot continue, not what they
are.

Segments end behind white space or punctuation that no pattern there can run across. What can run
across a space: numbers in groups, account numbers, `password = …`, `Bearer …`, private keys, and
the terms that are blocked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from llm_service.gateway.guard.terms import terms_pattern

CONTEXT = 16  # what patterns look at before their first character: "version " is the longest

_LOOK = 256  # a URL's user:password@, the longest reach of a pattern that holds a breaker
_BREAK = re.compile(r"[\s,;!?*#&|<>{}\[\]$%^\\`]|[^\w\x00-\x7f]")
# Ends of a text that a pattern could run on from, over the space that they end with.
_OPEN = re.compile(
    r"(?:\d[ ().-]{0,2}"
    r"|[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){0,8}[ ]"
    r"|(?i:bearer[ ]{1,3})"
    r"|(?i:key|token|secret|passw(?:or)?d)[\"']?[ ]{0,3}(?:[:=][ ]{0,3})?)\Z"
)
_OPEN_ENDS = frozenset({"key", "ken", "ret", "ord", "swd", "rer"})  # the words in _OPEN

_BEGIN = "-----BEGIN"
_HEAD = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")
_HEAD_OPEN = re.compile(r"-----BEGIN[A-Z ]{0,42}-{0,4}")
_BODY_LIMIT = 20_000
_BODY = re.compile(rf"[\w+/=\s]{{0,{_BODY_LIMIT}}}")
_FOOT = re.compile(r"-----END[A-Z ]{0,40}-----")
_FOOT_OPEN = re.compile(r"-{1,5}|-----(?:E|EN|END[A-Z ]{0,40}-{0,4})")


def _beginnings(terms: Iterable[str]) -> tuple[re.Pattern[str] | None, int]:
    """What a text ends with where a term may continue behind a break, and its greatest length."""
    found: set[str] = set()
    longest = 0
    for term in terms:
        words = term.split()
        for i, word in enumerate(words):
            before = "".join(re.escape(w) + r"\s{1,4}" for w in words[:i])
            for j, char in enumerate(word):
                if _BREAK.match(char):
                    found.add(before + re.escape(word[: j + 1]))
            if i < len(words) - 1:
                found.add(before + re.escape(word) + r"\s{1,4}")
        longest = max(longest, len(term) + 4 * len(words))
    if not found:
        return None, 0
    # Longest first, as elsewhere; `(?<!\w)` as the terms themselves have it.
    ends = "|".join(sorted(found, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{ends})\Z", re.IGNORECASE), longest + 1


class Terms:
    """Blocked terms, compiled once: `pattern` finds them, `open` where one may have begun."""

    def __init__(self, terms: Iterable[str]) -> None:
        terms = tuple(terms)
        self.pattern = terms_pattern(terms)
        self.open, self.reach = _beginnings(terms)


def _key_end(text: str, begin: int) -> tuple[int | None, bool]:
    """Where the private key that may begin here ends, as its pattern has it; None: not yet known.

    Where it is none after all, the place behind its first dash. And whether the text ends in the
    key's body.
    """
    head = _HEAD.match(text, begin)
    if head is None:
        return (None if _HEAD_OPEN.fullmatch(text, begin) else begin + 1), False
    body = _BODY.match(text, head.end())
    assert body is not None
    if body.end() == len(text):
        return None, True
    foot = _FOOT.match(text, body.end())
    if foot is not None:
        return foot.end(), False
    return (None if _FOOT_OPEN.fullmatch(text, body.end()) else body.end()), False


class Holdback:
    """One text that arrives in pieces."""

    def __init__(self, terms: Terms | None = None) -> None:
        self._terms = terms if terms is not None and terms.open is not None else None
        self._look = max(_LOOK, self._terms.reach if self._terms else 0)
        self._parts: list[str] = []
        self._tail = ""  # the last of the text so far, or all since a private key began
        self._in_key = self._in_body = False

    def feed(self, piece: str) -> str:
        """What can be screened now, after this piece; often empty."""
        self._parts.append(piece)
        seen = self._tail + piece
        if self._in_key and self._still_key(piece):
            self._tail = seen
            return ""
        start, end = len(self._tail), -1
        begin, search = 0, max(0, start - len(_BEGIN) + 1)
        while True:
            if not self._in_key:
                begin = seen.find(_BEGIN, search)
                end = max(end, self._last_break(seen, start, len(seen) if begin < 0 else begin))
                if begin < 0:
                    self._tail = seen[-self._look :]
                    break
                self._in_key = True
            closed, self._in_body = _key_end(seen, begin)
            if closed is None:
                self._tail = seen[begin:]
                break
            self._in_key, start, search = False, closed, closed
        return self._take(len(seen) - end) if end >= 0 else ""

    def _still_key(self, piece: str) -> bool:
        """Whether the piece is only more of a key's body: a long one is not read from its start."""
        return (
            self._in_body
            and len(self._tail) + len(piece) < _BODY_LIMIT
            and _BODY.fullmatch(piece) is not None
        )

    def rest(self) -> str:
        """What is left when the text has ended."""
        return self._take(0)

    def _take(self, keep: int) -> str:
        held = "".join(self._parts)
        cut = len(held) - keep
        self._parts = [held[cut:]] if keep else []
        return held[:cut]

    def _last_break(self, seen: str, start: int, stop: int) -> int:
        """The last place behind `start`, up to `stop`, that nothing can run across; -1: none."""
        places = [match.end() for match in _BREAK.finditer(seen, start, stop)]
        return next((place for place in reversed(places) if self._closed(seen, place)), -1)

    def _closed(self, seen: str, place: int) -> bool:
        last = seen[place - 1]
        before = seen[max(0, place - self._look) : place]
        if self._terms is not None and self._terms.open.search(before):  # type: ignore[union-attr]
            return False
        if last == " ":
            word = before[-24:].rsplit(None, 1)[-1:]
            if word and word[0].islower() and word[0].isalpha() and word[0][-3:] not in _OPEN_ENDS:
                return True  # as nearly always, without a search
            return _OPEN.search(before[-64:]) is None
        if last.isspace():
            return True
        # Passwords in URLs hold any punctuation, and IPv6 looks ahead for a digit; both need a
        # colon in the same run of characters that are not white space.
        return ":" not in before.rsplit(None, 1)[-1]
