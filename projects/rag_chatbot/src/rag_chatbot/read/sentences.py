"""Split text into sentences. Every sentence is a span of the text, so it can be cited.

    >>> text = "Dr. Ray measured 1.5 s, e.g. on Linux. Is that fast?"
    >>> [text[start:end] for start, end in sentence_spans(text)]
    ['Dr. Ray measured 1.5 s, e.g. on Linux.', 'Is that fast?']

Chunks are cut between sentences, quotes are made of them, and what a model writes is checked one
sentence at a time: all three use this module, so they agree on where a sentence ends. It knows
English abbreviations and CJK full stops, but no Markdown; see `markdown_lines` for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

Span = tuple[int, int]  # start and end, in characters

# What may end a sentence: stops with their closing quotes and brackets, an empty line, or the
# start of a list item.
_END = re.compile(
    r"[.!?…]+[\"'”’»)\]*_`]*(?=\s)|[。！？]+[」』”]?|\n[ \t]*\n"
    r"|\n(?=[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t])"
)
# A full stop after one of these does not end a sentence: abbreviations, initials ("J. Smith",
# "U.S. Army"), and the number of a list item ("1. Install it").
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|Dr|Mr|Mrs|Ms|Prof|St|No|no|Nos|Fig|fig|Figs|Eq|Sec|Ch|Vol|pp|al|ca"
    r"|approx|incl|resp|Inc|Ltd|Co|Jr|Sr|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)"
    r"|(?:^|[\s(])(?:[A-Za-z]\.)*[A-Za-z]|^\s*\d{1,3})\.$"
)
_LOOK_BACK = 12  # characters before a full stop in which an abbreviation is looked for
_LOOK_AHEAD = 40  # characters after it, of which the first that is not a space matters


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """Yield the spans of the sentences in `text[start:end]`, without the space around them.

    Offsets count from the beginning of `text`. A list item or an empty line ends a sentence too.
    """
    stop = len(text) if end is None else end
    first = start
    for match in _END.finditer(text, start, stop):
        if not _continues(text, first, match, stop):
            yield from _trimmed(text, first, match.end())
            first = match.end()
    yield from _trimmed(text, first, stop)


def _continues(text: str, first: int, stops: re.Match[str], stop: int) -> bool:
    """Whether the sentence from `first` goes on after `stops`, up to `stop` at most."""
    if stops[0][0] not in ".!?…":
        return False
    following = text[stops.end() : min(stops.end() + _LOOK_AHEAD, stop)].lstrip()[:1]
    if following.islower() and stops[0][-1] not in "!?":
        return True  # also after a quoted question: "And on Windows?" finds nothing
    before = text[max(first, stops.end() - _LOOK_BACK) : stops.end()]
    return bool(_ABBREVIATION.search(before))


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """The span without the white space at both ends; nothing if it is all white space."""
    part = text[start:end]
    left, right = start + len(part) - len(part.lstrip()), start + len(part.rstrip())
    if left < right:
        yield left, right


def stream_sentences(pieces: Iterable[str]) -> Iterator[str]:
    """Join pieces of text, as a model streams them, and yield each sentence once it is complete.

    A sentence is complete when the next one begins; a newline always ends one.
    """
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            yield from (line[start:end] for start, end in sentence_spans(line))
        *complete, (unfinished, _) = list(sentence_spans(rest)) or [(0, 0)]
        yield from (rest[start:end] for start, end in complete)
        rest = rest[unfinished:]
    yield from (rest[start:end] for start, end in sentence_spans(rest))
