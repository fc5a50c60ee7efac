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
from dataclasses import dataclass, field, replace
from typing import Any

from finetune_lora.answer.copied_values import BARE, COPIES
from finetune_lora.example import Example

_CLOSED = 64  # distinct values of a field that may be listed
_COPIED = 0.9  # share of a field's values that stand in the request, if it is copied
_TWICE = 0.01  # share of answers that may copy one place of the request more than once
_LOOKED_AT = 2000  # answers, about, to see whether they do


@dataclass(frozen=True)
class Slot:
    """A field's values: a list of them, and those that stand in the request behind a `prefix`."""

    values: tuple[str, ...] = ()
    copied: str = ""
    prefix: str = ""

    def candidates(self, request: str) -> dict[str, str]:
        """What the field may be, as text within JSON, each with what is left of the request when
        a copy is cut from it."""
        found: dict[str, str] = {}
        for copy in COPIES[self.copied](request) if self.copied else ():
            text = copy.value
            if self.copied not in BARE:
                text = self.prefix + json.dumps(text, ensure_ascii=False)[1:-1]
            if text not in found:
                found[text] = copy.cut_from(request)
        return found | {value: request for value in self.values if value not in found}


@dataclass
class AnswerSpace:
    """Shapes: texts and the names of the slots between them, in turn; and what each slot holds.

    With `once` no place of a request is copied twice: the digits of a phone number are no hour.
    """

    shapes: tuple[tuple[str, ...], ...]
    slots: Mapping[str, Slot]
    once: bool = False
    _tree: dict[tuple[str, str], Any] = field(default_factory=dict, init=False, repr=False)

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
        space = cls(tuple(sorted(seen)), {k: v for k, v in sorted(slots.items()) if v})
        once = replace(space, once=True)
        some = examples[:: -(-len(examples) // _LOOKED_AT)]
        lost = [e for e in some if not once.allows(e.answer, e.text)]
        twice = sum(space.allows(e.answer, e.text) for e in lost)
        return once if twice <= _TWICE * len(some) else space

    def allows(self, answer: str, request: str) -> bool:
        """Whether `answer` is one of those that may be given to `request`."""
        states = [(self.start, answer, request)]
        while states:
            node, left, rest = states.pop()
            if not node and not left:
                return True
            for text, then, after in self.options(node, rest):
                if left.startswith(text):
                    states.append((then, left[len(text) :], after))
        return False

    def options(
        self, node: Mapping[Any, Any], request: str
    ) -> Iterator[tuple[str, Mapping[Any, Any], str]]:
        """(text, next node, what is left of the request) of every way to go on.

        The next node is empty at the end.
        """
        for (text, slot), then in node.items():
            if not slot:
                yield text, then, request
            else:
                for value, rest in self.slots[slot].candidates(request).items():
                    yield text + value, then, rest if self.once else request

    @property
    def start(self) -> Mapping[Any, Any]:
        return self._tree

    def as_json(self) -> dict[str, Any]:
        slots = {
            name: {k: v for k, v in vars(slot).items() if v} for name, slot in self.slots.items()
        }
        return {"shapes": self.shapes, "slots": slots, "once": self.once}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AnswerSpace:
        slots = {
            name: Slot(**{**slot, "values": tuple(slot.get("values", ()))})
            for name, slot in data["slots"].items()
        }
        return cls(tuple(map(tuple, data["shapes"])), slots, once=data.get("once", False))


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
    for name, copies in COPIES.items():
        if (name in BARE) != bare or (prefix and name != "digits"):
            continue
        if few and "words" in name:
            continue  # they are a list
        others = [
            value
            for value, request in pairs
            if value.removeprefix(prefix) not in {copy.value for copy in copies(request)}
        ]
        if len(others) <= (1 - _COPIED) * len(pairs):
            again = (value for value, n in Counter(others).items() if n > 1)
            return Slot(tuple(sorted(again)), copied=name, prefix=prefix)
    return Slot(values=tuple(values)) if len(values) <= _CLOSED else None


# The tokens of an option, how many are written, what comes after it, what may still be copied.
_State = tuple[Sequence[int], int, Mapping[Any, Any] | None, str]


class Walk:
    """Decoding within a space for one request: which tokens may follow those so far.

    `encode` cuts text into token ids. Every option begins with punctuation, where a tokenizer cuts
    anyway, so its tokens are those that the whole answer has there.
    """

    def __init__(
        self, space: AnswerSpace, request: str, encode: Callable[[str], Sequence[int]], end: int
    ) -> None:
        self._space, self._encode, self._end = space, encode, end
        self._states = list(self._open(space.start, request))

    def allowed(self) -> list[int]:
        """The ids that may come next; the end's where an answer is complete."""
        return sorted({path[at] for path, at, *_ in self._states})

    def push(self, token: int) -> None:
        """Go on by a token."""
        states: list[_State] = []
        for path, at, then, request in self._states:
            if path[at] != token:
                continue
            if at + 1 < len(path):
                states.append((path, at + 1, then, request))
            elif then is not None:
                states += self._open(then, request)
        self._states = states or [((self._end,), 0, None, "")]

    def _open(self, node: Mapping[Any, Any], request: str) -> Iterator[_State]:
        if not node:
            yield (self._end,), 0, None, request
        for text, then, rest in self._space.options(node, request):
            yield self._encode(text), 0, then, rest
