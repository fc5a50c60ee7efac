"""What an answer may copy from a request: names, numbers, phone numbers, hours of the day.

Each reader finds what may be meant, more than once where a text can be read in several ways. It
knows texts only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_SHORTEST_PHONE = 5  # digits
_TIME = r"(?i)(?<!\d)(\d\d?)(?:[:.h][0-5]\d|(?<=\d\d)[0-5]\d)?(?!\d)\s*(?:([ap])\.?m)?"
_BEFORE = r"(?i)\b(quarter|five|ten|twenty|half|\d\d?)(\s+min(ute)?s?)?\s+to\s+$"
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_NUMBERS = {word: n for n, word in enumerate(_ONES.split(" "))} | {
    "half a dozen": 6,
    "dozen": 12,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "hundred": 100,
}


class Copy(NamedTuple):
    """A value and where in the text it is from."""

    value: str
    start: int
    end: int

    def cut_from(self, text: str) -> str:
        """The text without it, other places left where they are."""
        return text[: self.start] + "\0" * (self.end - self.start) + text[self.end :]


def words(text: str) -> Iterator[Copy]:
    """Names and addresses as they stand, and in lower case; without what surrounds them."""
    for found in re.finditer(r"\w(?:[\w.@+-]*\w)?", text):
        yield Copy(found[0], *found.span())
        yield Copy(found[0].lower(), *found.span())


def lower_words(text: str) -> Iterator[Copy]:
    """The same, all in lower case."""
    return (copy._replace(value=copy.value.lower()) for copy in words(text))


def digits(text: str) -> Iterator[Copy]:
    """Runs of digits."""
    return (Copy(found[0], *found.span()) for found in re.finditer(r"\d+", text))


def phones(text: str) -> Iterator[Copy]:
    """Groups of digits that are one number together, without what stands between them."""
    for run in re.finditer(r"\+?\(?\d[\d ()./\u2010-\u2013-]*\d(?!\w)", text):
        groups = list(re.finditer(r"\S+", run[0]))
        # An hour or a count may stand beside it, with a blank between them.
        for first in (0, 1) if re.fullmatch(r"\d\d?", groups[0][0]) else (0,):
            for last in (-1, -2) if re.fullmatch(r"\d\d?", groups[-1][0]) else (-1,):
                if first - last > len(groups):
                    continue
                start, end = groups[first].start(), groups[last].end()
                number = "".join(re.findall(r"\+?\d", run[0][start:end]))
                if len(number) >= _SHORTEST_PHONE:
                    yield Copy(number, run.start() + start, run.start() + end)


def numbers(text: str) -> Iterator[Copy]:
    """Numbers as JSON writes them, from figures and from words."""
    for found in re.finditer(r"\d[\d,]*(?:\.\d+)?", text):
        n = float(found[0].replace(",", ""))
        yield Copy(json.dumps(int(n) if n == int(n) else n), *found.span())
    for number, start, end in _spelt(text):
        yield Copy(str(number), start, end)


def hours(text: str) -> Iterator[Copy]:
    """Hours of the day, 0 to 23; before and after noon where the text does not say which."""
    for hour, name in ((12, r"\bnoon|midday|lunch"), (0, "midnight")):
        for found in re.finditer(name, text, re.I):
            yield Copy(str(hour), *found.span())
    said = list(re.finditer(_TIME, text))
    # Where one says pm, a bare number beside it is none.
    said = [time for time in said if time[2]] or said
    times = [(int(time[1]), _half(time), *time.span()) for time in said]
    times += [(n, "", start, end) for n, start, end in _spelt(text)]
    for n, half, start, end in times:
        back = bool(re.search(_BEFORE, text[:start]))  # a quarter to five
        for hour in _hours(n, half):
            yield Copy(str((hour - back) % 24), start, end)


def _half(time: re.Match[str]) -> str:
    """a, p, or "" where it is not said: 06:30 is in the morning."""
    return (time[2] or "a" * time[1].startswith("0")).lower()


def _hours(n: int, half: str) -> list[int]:
    if n > 24:
        return []
    if half:
        return [n % 12 + 12 * (half == "p")]
    return [n % 24, (n + 12) % 24] if n <= 12 else [n % 24]


def _spelt(text: str) -> Iterator[tuple[int, int, int]]:
    """Numbers in words, two hundred and forty-five, with their place."""
    total: int | None = None
    start = end = 0
    for found in re.finditer(r"half a dozen|[A-Za-z]+", text, re.I):
        word = found[0].lower()
        n = _NUMBERS.get(word)
        if n is None:
            if total is not None and word != "and":
                yield total, start, end
                total = None
            continue
        start = found.start() if total is None else start
        if word in ("hundred", "dozen"):
            total = (total or 1) * n
        elif total and (total % 100 == 0 or (total % 10 == 0 and total % 100 >= 20 > 10 > n)):
            total += n
        else:
            if total is not None:
                yield total, start, end
            total, start = n, found.start()
        end = found.end()
    if total is not None:
        yield total, start, end


COPIES: dict[str, Callable[[str], Iterator[Copy]]] = {
    "digits": digits,
    "phones": phones,
    "numbers": numbers,
    "hours": hours,
    "lower words": lower_words,
    "words": words,
}
BARE = ("numbers", "hours")  # stand in JSON without quotes
