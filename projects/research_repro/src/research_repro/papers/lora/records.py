"""Restaurant descriptions after the pattern of the E2E data set, from a grammar of our own.

    record = generate(seed=0, count=300, split="test")[0]
    record.mr              # name[The Copper Kettle], food[Thai], area[riverside]
    record.references      # ('The Copper Kettle serves Thai food by the river.', …)
    mentions(record.slots, "The Copper Kettle is a Thai pub.")   # {"name": True, …, "area": False}

The phrases are in `phrases.toml`. No meaning representation is in two splits, whatever its name.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

Split = Literal["train", "dev", "test"]
REFERENCES = 8  # at most, for each meaning representation; E2E has 8.1 on average

NAMES = [
    f"The {first} {second}"
    for first in "Amber Bright Copper Crooked Golden Hidden Iron Ivory Little Merry Old Painted"
    " Quiet Royal Silver Velvet".split()
    for second in "Anchor Badger Barrel Bell Crown Falcon Garden Heron Kettle Oak Spoon".split()
]
LANDMARKS = [
    f"{first} {second}"
    for first in "Abbey Castle Harbour Juniper Linden Maple Mill Orchard Park Tower".split()
    for second in "Bridge Gallery Hall Hotel Library Market Museum Station".split()
]
_ADJECTIVE_ORDER = ("customer rating", "priceRange", "familyFriendly", "area", "food")


@dataclass(frozen=True)
class Record:
    """A meaning representation and texts that state it."""

    mr: str
    """As in E2E: name[The Quiet Oak], eatType[pub], familyFriendly[no]"""
    slots: Mapping[str, str]
    references: tuple[str, ...]


def _load_grammar() -> dict[str, Any]:
    tables = tomllib.loads(Path(__file__).with_name("phrases.toml").read_text("utf-8"))
    grammar = {slot.replace("_", " "): table for slot, table in tables.items()}
    for food, entry in grammar["food"]["values"].items():
        entry.setdefault("adjectives", [food])
        entry.setdefault("phrases", [f"{food} {noun}" for noun in ("food", "dishes", "cuisine")])
    close = ("near", "close to", "next to", "not far from")
    grammar["near"]["values"] = {p: {"phrases": [f"{c} {p}" for c in close]} for p in LANDMARKS}
    return grammar


_GRAMMAR = _load_grammar()


def values_of(slot: str) -> list[str]:
    """The values of a slot in generated records.

    >>> values_of("eatType")
    ['pub', 'restaurant', 'coffee shop']
    """
    return NAMES if slot == "name" else list(_GRAMMAR[slot]["values"])


def generate(seed: int, count: int, split: Split) -> list[Record]:
    """`count` different records of a split; the same for the same seed.

    >>> generate(0, 1, "test")[0].mr == generate(0, 2, "test")[0].mr
    True
    """
    random = Random(f"{split}-{seed}")
    records: dict[str, Record] = {}
    while len(records) < count:
        slots = _draw_slots(random)
        mr = ", ".join(f"{slot}[{value}]" for slot, value in slots.items())
        if _split_of(slots) == split and mr not in records:
            texts = dict.fromkeys(_draw_text(slots, random) for _ in range(2 * REFERENCES))
            records[mr] = Record(mr, slots, tuple(texts)[:REFERENCES])
    return list(records.values())


def _draw_slots(random: Random) -> dict[str, str]:
    """A name and three to seven further slots, in E2E's order."""
    drawn = ["name", *random.sample(list(_GRAMMAR), random.randint(3, 7))]
    return {slot: random.choice(values_of(slot)) for slot in ("name", *_GRAMMAR) if slot in drawn}


def _split_of(slots: Mapping[str, str]) -> Split:
    """The split of all records with these slots, the name left out."""
    key = "|".join(f"{slot}={value}" for slot, value in slots.items() if slot != "name")
    part = hashlib.sha256(key.encode()).digest()[0] % 10
    return "test" if part == 0 else "dev" if part == 1 else "train"


def _draw_text(slots: Mapping[str, str], random: Random) -> str:
    """A text that states all slots: as adjectives, after the noun, and as predicates."""
    noun = slots.get("eatType") or random.choice(("place", "venue"))
    rest = [slot for slot in slots if slot not in ("name", "eatType")]
    random.shuffle(rest)
    entries = {slot: _GRAMMAR[slot]["values"][slots[slot]] for slot in rest}
    able = [slot for slot in rest if "adjectives" in entries[slot]][: random.randint(0, 2)]
    front = [random.choice(entries[s]["adjectives"]) for s in _ADJECTIVE_ORDER if s in able]
    rest = [slot for slot in rest if slot not in able]
    after, last = rest[: (size := random.randint(0 if able else 1, 2))], rest[size:]

    def phrase(slot: str, form: str) -> str:
        frame = random.choice(_GRAMMAR[slot][form])
        return str(frame.format(random.choice(entries[slot]["phrases"])))

    head = " ".join([*front, noun])
    head = f"{'an' if head[0] in 'aeiouEI' else 'a'} {head}"
    place = phrase(after.pop(0), "after") if after and after[0] in ("area", "near") else ""
    tail = "".join(f" {phrase(slot, 'after')}" for slot in after)
    tail = re.sub(r"( with .+) with ", r"\1 and ", tail)  # "with low prices and great reviews"
    predicates = [phrase(slot, "predicates") for slot in last]

    # The opening sentence, and sentences with one or two predicates.
    name, near, opening = slots["name"], f" {place}" if place else "", random.randrange(4)
    if opening == 0 and place:
        text = f"{place[0].upper()}{place[1:]} is {head} called {name}{tail}."
    elif opening == 1 and predicates:
        text = f"{name}, {head}{near}{tail}, {predicates.pop(0)}."
    elif opening == 2:
        text = f"There is {head} called {name}{near}{tail}."
    else:
        text = f"{name} is {head}{near}{tail}."
    while predicates:
        subject, size = random.choice(("It", "It", "The place", name)), random.randint(1, 2)
        text += f" {subject} {' and '.join(predicates[:size])}."
        predicates = predicates[size:]
    return text


def mentions(slots: Mapping[str, str], text: str) -> dict[str, bool]:
    """Whether a text states each slot with its value.

    >>> mentions({"name": "The Old Oak", "familyFriendly": "no"}, "The Old Oak welcomes families.")
    {'name': True, 'familyFriendly': False}
    """
    text = text.lower()
    names = {slot: slots[slot].lower() for slot in ("name", "near") if slot in slots}
    rest = text
    for name in names.values():  # "The Quiet Oak" says nothing of the place
        rest = rest.replace(name, "_")
    return {
        slot: names[slot] in text if slot in names else _states(slot, value, rest)
        for slot, value in slots.items()
    }


def _states(slot: str, value: str, text: str) -> bool:
    """Whether one of the grammar's wordings of the value is in a text."""
    if slot == "familyFriendly" and value == "yes" and _states(slot, "no", text):
        return False  # "not family-friendly"
    entry = _GRAMMAR[slot]["values"][value]
    wordings = [*entry.get("adjectives", ()), *entry.get("phrases", ())] or [value]
    return any(
        re.search(rf"(?<!\w){re.escape(wording.lower().removeprefix('a '))}(?!\w)", text)
        for wording in wordings
    )
