"""The answers that a task allows: learned from its training data, kept by decoding.

Where all answers are JSON objects, the data shows which fields go together, which values a field
has, and which values are copied from the request (a user's name, a number). A decoder that keeps to
that spells no name wrong and invents no value; which answer is right is left to the model.

It knows texts; the tokens of one model are `Walk`'s business.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finetune_lora.example import Example

_CLOSED = 64  # distinct values of a field that may be listed
_SHORTEST_PHONE = 5  # digits
_TIME = r"(?i)(?<!\d)(\d\d?)(?:[:.h][0-5]\d|(?<=\d\d)[0-5]\d)?(?!\d)\s*(?:([ap])\.?m)?"
_COPIED = 0.9  # share of a field's values that stand in the request, if it is copied
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_NUMBERS = {word: n for n, word in enumerate(_ONES.split(" "))} | {
    "dozen": 12, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
    "eighty": 80, "ninety": 90, "hundred": 100,
}  # fmt: skip


def words(text: str) -> list[str]:
    """Names and addresses as they stand, and in lower case; without what surrounds them."""
    found = re.findall(r"\w(?:[\w.@+-]*\w)?", text)
    return [*found, *(word.lower() for word in found)]


def lower_words(text: str) -> list[str]:
    """The same, all in lower case."""
    return words(text.lower())


def digits(text: str) -> list[str]:
    """Runs of digits."""
    return re.findall(r"\d+", text)


def phones(text: str) -> list[str]:
    """Groups of digits that may be one number together, without what stands between them."""
    found = []
    for run in re.findall(r"\+?\(?\d[\d ()./\u2010-\u2013-]*\d", text):
        # Another number may stand beside it, with a blank between them.
        groups = ["".join(re.findall(r"\+?\d", group)) for group in run.split()]
        for start in range(len(groups)):
            for end in range(start + 1, len(groups) + 1):
                number = "".join(groups[start:end])
                if len(number) >= _SHORTEST_PHONE:
                    found.append(number)
    return found


def numbers(text: str) -> list[str]:
    """Numbers as JSON writes them, from figures and from words."""
    found = [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]
    found += _spelt(re.sub(r"half a dozen", "six", text, flags=re.I))
    return [json.dumps(int(n) if n == int(n) else n) for n in found]


def hours(text: str) -> list[str]:
    """Hours of the day, 0 to 23; before and after noon where the text does not say which."""
    found = [12] * bool(re.search(r"noon|midday|lunch", text, re.I))
    found += [0] * bool(re.search(r"midnight", text, re.I))
    times = re.findall(_TIME, text)
    # Where one says pm, a bare number beside it is none.
    for hour, half in [time for time in times if time[1]] or times:
        found += _hours(int(hour), half.lower())
    for n in _spelt(text):
        found += _hours(n)
    if re.search(r"\bto\b", text):  # a quarter to five
        found += [(hour - 1) % 24 for hour in found]
    return [str(hour) for hour in dict.fromkeys(found)]


def _hours(n: int, half: str = "") -> list[int]:
    if n > 24:
        return []
    if half:
        return [n % 12 + 12 * (half == "p")]
    return [n % 24, (n + 12) % 24] if n <= 12 else [n % 24]


def _spelt(text: str) -> Iterator[int]:
    """Numbers in words: two hundred and forty-five."""
    total: int | None = None
    for word in re.findall(r"[a-z]+", text.lower()):
        n = _NUMBERS.get(word)
        if n is None:
            if total is not None and word != "and":
                yield total
                total = None
        elif word in ("hundred", "dozen"):
            total = (total or 1) * n
        elif total and (total % 100 == 0 or (total % 10 == 0 and total % 100 >= 20 > 10 > n)):
            total += n
        else:
            if total is not None:
                yield total
            total = n
    if total is not None:
        yield total


_COPIES: dict[str, Callable[[str], list[str]]] = {
    "digits": digits,
    "phones": phones,
    "numbers": numbers,
    "hours": hours,
    "lower words": lower_words,
    "words": words,
}
_BARE = ("numbers", "hours")  # stand in JSON without quotes


@dataclass(frozen=True)
class Slot:
    """A field's values: a list of them, and those that stand in the request behind a `prefix`."""

    values: tuple[str, ...] = ()
    copied: str = ""
    prefix: str = ""

    def candidates(self, request: str) -> list[str]:
        """What the field may be for this request, as text within JSON."""
        found = dict.fromkeys(_COPIES[self.copied](request) if self.copied else ())
        if self.copied not in _BARE:
            found = {self.prefix + json.dumps(value, ensure_ascii=False)[1:-1]: None
                     for value in found}  # fmt: skip
        return [*found, *(value for value in self.values if value not in found)]


@dataclass
class AnswerSpace:
    """Shapes: texts and the names of the slots between them, in turn; and what each slot holds."""

    shapes: tuple[tuple[str, ...], ...]
    slots: Mapping[str, Slot]
    _tree: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for shape in self.shapes:
            node = self._tree
            for piece in zip(shape[::2], (*shape[1::2], ""), strict=True):
                node = node.setdefault(piece, {})

    @classmethod
    def learn(cls, examples: Sequence[Example]) -> AnswerSpace | None:
        """What the answers of a dataset have in common; None where they are no JSON objects, or
        hold text that is neither one of a few values nor copied."""
        answers = [_pieces(example.answer) for example in examples]
        if not answers or None in answers:
            return None
        # The first value tells what the rest is about, a tool's name say, if it is one of a few.
        names = {pieces[1][1] for pieces in answers if pieces and len(pieces) > 1}
        known = 3 if len(names) <= min(_CLOSED, len(answers) // 2) else 1
        seen: Counter[tuple[str, ...]] = Counter()
        held: dict[str, list[tuple[str, str]]] = defaultdict(list)
        about: dict[str, tuple[str, bool]] = {}  # slot → its field, and whether it has no quotes
        named: dict[str, list[str]] = defaultdict(list)  # a field's values, whatever it belongs to
        for example, pieces in zip(examples, answers, strict=True):
            assert pieces is not None
            name = pieces[1][1] if known > 1 and len(pieces) > 1 else ""
            shape = ["".join(text for _, text in pieces[:known])]
            for path, text in pieces[known:]:
                slot = f"{name}.{path}"
                if path:
                    held[slot].append((text, example.text))
                    about[slot] = path, not shape[-1].endswith('"')
                    named[path].append(text)
                shape.append(slot if path else text)
            seen[tuple(shape)] += 1
        few = {path for path, all_ in named.items() if len(set(all_)) <= len(all_) / 2}
        slots = {
            slot: _slot(held[slot], bare=bare, few=path in few)
            for slot, (path, bare) in about.items()
        }
        if None in slots.values():
            return None
        return cls(tuple(sorted(seen)), {k: v for k, v in sorted(slots.items()) if v})

    def options(self, node: Mapping[Any, Any], request: str) -> Iterator[tuple[str, Any]]:
        """(text, next node) of every way to go on; the next node is empty at the end."""
        for (text, slot), then in node.items():
            if not slot:
                yield text, then
            else:
                for value in self.slots[slot].candidates(request):
                    yield text + value, then

    @property
    def start(self) -> Mapping[Any, Any]:
        return self._tree

    def as_json(self) -> dict[str, Any]:
        slots = {
            name: {k: v for k, v in vars(slot).items() if v} for name, slot in self.slots.items()
        }
        return {"shapes": self.shapes, "slots": slots}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AnswerSpace:
        slots = {
            name: Slot(**{**slot, "values": tuple(slot.get("values", ()))})
            for name, slot in data["slots"].items()
        }
        return cls(tuple(map(tuple, data["shapes"])), slots)


def _pieces(answer: str) -> list[tuple[str, str]] | None:
    """An answer as text and values in turn, each with its path; None if it is no JSON object."""
    try:
        value = json.loads(answer)
    except ValueError:
        return None
    if not isinstance(value, dict) or json.dumps(value, ensure_ascii=False) != answer:
        return None
    merged: list[tuple[str, str]] = [("", "")]
    for path, text in _emit(value, ""):
        if path:
            merged += [(path, text), ("", "")]
        else:
            merged[-1] = ("", merged[-1][1] + text)
    return merged


def _emit(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(path, text) for a value, ("", text) for what stands around it."""
    if isinstance(value, dict):
        yield "", "{"
        for i, (key, inner) in enumerate(value.items()):
            yield "", (", " if i else "") + json.dumps(key, ensure_ascii=False) + ": "
            yield from _emit(inner, f"{path}/{key}")
        yield "", "}"
    elif isinstance(value, list):
        yield "", "["
        for i, inner in enumerate(value):
            yield "", ", " if i else ""
            yield from _emit(inner, f"{path}/{i}")
        yield "", "]"
    elif isinstance(value, str):
        yield "", '"'
        yield path, json.dumps(value, ensure_ascii=False)[1:-1]
        yield "", '"'
    elif isinstance(value, bool) or value is None:
        yield "", json.dumps(value)
    else:
        yield path, json.dumps(value)


def _slot(pairs: Sequence[tuple[str, str]], *, bare: bool, few: bool) -> Slot | None:
    """What a field holds, by its (value, request) pairs; None if neither listed nor copied.

    `bare` values are numbers, without quotes; of `few` the same ones come again and again.
    """
    values = sorted({value for value, _ in pairs})
    prefix = re.match(r"\D*", values[0])[0]  # type: ignore[index]
    if not all(re.fullmatch(re.escape(prefix) + r"\d+", value) for value in values):
        prefix = ""
    for name, copies in _COPIES.items():
        if (name in _BARE) != bare or (prefix and name != "digits"):
            continue
        if few and "words" in name:
            continue  # they are a list
        others = [v for v, request in pairs if v.removeprefix(prefix) not in copies(request)]
        if len(others) <= (1 - _COPIED) * len(pairs):
            again = (value for value, n in Counter(others).items() if n > 1)
            return Slot(tuple(sorted(again)), copied=name, prefix=prefix)
    return Slot(values=tuple(values)) if len(values) <= _CLOSED else None


class Walk:
    """Decoding within a space for one request: which tokens may follow those so far.

    `encode` cuts text into token ids. Every option begins with punctuation, where a tokenizer cuts
    anyway, so its tokens are those that the whole answer has there.
    """

    def __init__(
        self, space: AnswerSpace, request: str, encode: Callable[[str], Sequence[int]], end: int
    ) -> None:
        self._space, self._request, self._encode, self._end = space, request, encode, end
        self._states = list(self._open(space.start))

    def allowed(self) -> list[int]:
        """The ids that may come next; the end's where an answer is complete."""
        return sorted({path[at] for path, at, _ in self._states})

    def push(self, token: int) -> None:
        """Go on by a token."""
        states = []
        for path, at, then in self._states:
            if path[at] != token:
                continue
            if at + 1 < len(path):
                states.append((path, at + 1, then))
            elif then is not None:
                states += self._open(then)
        self._states = states or [((self._end,), 0, None)]

    def _open(self, node: Mapping[Any, Any]) -> Iterator[tuple[Sequence[int], int, Any]]:
        if not node:
            yield (self._end,), 0, None
        for text, then in self._space.options(node, self._request):
            yield self._encode(text), 0, then
