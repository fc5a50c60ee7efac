"""Values for the help desk's arguments, and the many ways in which people write each of them.

It knows nothing of sentences. Closed values have their words in `phrases/values.toml`; open ones
(user names, numbers, amounts) are made, and belong to one part each (`grammar.part_of`).
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from random import Random
from typing import Any

from tools.helpdesk.grammar import part_of
from tools.helpdesk.noise import guard

NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SYLLABLES = [start + vowel for start in "bdfghjklmnprstvwyz" for vowel in "aeio"]


@cache
def words() -> dict[str, Any]:
    """`phrases/values.toml`: slot -> value -> how it may be called; plus the names."""
    text = resources.files(__package__) / "phrases" / "values.toml"
    return tomllib.loads(text.read_text(encoding="utf-8"))


def name(rng: Random) -> tuple[str, str]:
    """A given name and a surname, from the lists or made of syllables."""
    names = words()["names"]
    made = "".join(rng.choices(_SYLLABLES, k=rng.choice((2, 3)))) + rng.choice(("", "n", "r", "s"))
    last = rng.choice(names["last"]) if rng.random() < 0.7 else made.capitalize()
    return rng.choice(names["first"]), last


def number_word(value: int) -> str:
    """A number below 100 in words."""
    if value < len(NUMBERS):
        return NUMBERS[value]
    tens = _TENS[value // 10 - 2]
    return f"{tens}-{NUMBERS[value % 10]}" if value % 10 else tens


def user(rng: Random, part: str) -> tuple[str, str]:
    """A user name or e-mail address (lower case), and as it is written."""
    while True:
        first, last = (n.lower() for n in name(rng))
        number = rng.choice(("", "", "", str(rng.randint(1, 99)), f"{rng.randint(0, 99):02}"))
        login = rng.choice(
            (
                f"{first[0]}{last}",
                f"{first[0]}{last}",
                f"{first[0]}.{last}",
                f"{first}.{last}",
                f"{first}.{last[0]}",
                f"{first}_{last[0]}",
                f"{first[0]}_{last}",
                f"{first}{last[0]}",
                f"{last}{first[0]}",
                f"{last}.{first[0]}",
                f"{first}-{last}",
                f"{first[:2]}{last[:3]}",
                first,
                f"{rng.choice('uxekm')}{rng.randint(1000, 99999)}",
            )
        )
        if rng.random() < 0.3:
            login += "@" + rng.choice(words()["names"]["domain"])
        elif not login[-1].isdigit():
            login += number
        if part_of(login) == part:
            break
    # a lone given name with a capital would be a person's name, which is no user name
    cased = login.title() if rng.random() < 0.08 and login != first else login
    return login, guard(cased)


def serial(
    rng: Random, part: str, letter: str, noun: str, *, alone: bool = False
) -> tuple[str, str]:
    """`T-104` or `A-2211`, and how it is written; `alone`: a bare number will do."""
    while True:
        low, high = rng.choice(((10, 99), (100, 999), (1000, 9999), (1000, 9999), (10000, 99999)))
        digits = str(rng.randint(low, high))
        if part_of(f"{letter}-{digits}") == part:
            break
    small = letter.lower()
    plain = rng.choice(
        (f"{letter}-{digits}",) * 5
        + (f"{small}-{digits}", f"{letter}{digits}", f"{small}{digits}")
        + (f"{letter} {digits}", f"#{letter}-{digits}")
    )
    bare = rng.choice((digits, digits, f"#{digits}", f"# {digits}"))
    if alone:
        return f"{letter}-{digits}", guard(plain if rng.random() < 0.5 else bare)
    lead = rng.choice(words()["lead"][noun])
    if rng.random() < 0.35:
        mark = rng.choice((f"{noun} ", f"{noun} ", f"{lead} ", f"{lead} "))
        return f"{letter}-{digits}", mark + guard(bare)
    if letter == "T" and rng.random() < 0.12:  # a bare #104 is a ticket, never an order
        return f"{letter}-{digits}", guard(f"#{digits}")
    mark = rng.choice(("", "", f"{noun} ", f"my {noun} ", f"{lead} "))
    return f"{letter}-{digits}", mark + guard(plain)


def amount(rng: Random, part: str) -> tuple[float | int, str]:
    """A sum of money as a number, and with its currency."""
    while True:
        euros = rng.choice((rng.randint(5, 99), rng.randint(100, 999), rng.randint(10, 40) * 10))
        cents = rng.choice((0, 0, 0, 50, 90, 95, 99, rng.randint(1, 99)))
        if part_of(f"{euros}.{cents}") == part:
            break
    value = euros if cents == 0 else round(euros + cents / 100, 2)
    text = str(euros) if cents == 0 and rng.random() < 0.8 else f"{euros}.{cents:02}"
    in_words = cents == 0 and euros < 100 and rng.random() < 0.25
    marked = guard(number_word(euros) if in_words else text)
    if in_words:
        return value, f"{marked} {rng.choice(('euros', 'dollars', 'pounds', 'bucks'))}"
    forms = "$#|$#|€#|£#|# euros|# dollars|# EUR|EUR #|# USD|# pounds|#€|#$".split("|")
    return value, rng.choice(forms).replace("#", marked)


def phone(rng: Random, part: str) -> tuple[str, str]:
    """A phone number as digits, and in groups with blanks, dashes, dots, slashes or parentheses."""
    while True:
        country = f"+{rng.choice((1, 31, 33, 34, 39, 41, 43, 44, 46, 48, 49, 61, 91, 351, 358))}"
        start = rng.choice((country, country, "", "", "0", f"00{country[1:]}"))
        sizes = rng.choice(
            ((3, 3, 4), (3, 4), (3, 7), (2, 4, 4), (3, 8), (4, 6), (3, 2, 2, 3), (8,))
        )
        groups = ["".join(rng.choices("0123456789", k=size)) for size in sizes]
        if part_of("".join(groups)) == part:
            break
    if start == "0":
        groups[0], start = f"0{groups[0]}", ""
    value = start + "".join(groups)
    between = rng.choice((" ", " ", "-", "-", "", "", ".", "/", " - "))
    text = between.join(groups)
    if not between and start:
        return value, guard(start + rng.choice(("", " ")) + text)
    if len(groups) > 2 and not start and rng.random() < 0.25:
        text = f"({groups[0]}) {rng.choice((' ', '-')).join(groups[1:])}".replace("  ", " ")
    return value, guard(f"{start}{rng.choice((' ', '-', ' ')) if start else ''}{text}")


def hour(rng: Random) -> tuple[int, str]:
    """An hour from 0 to 23, and how one says it."""
    value = rng.choice((*range(7, 20), *range(8, 19), *range(8, 19), *range(24)))
    twelve = value % 12 or 12
    half = "am" if value < 12 else "pm"
    word = NUMBERS[twelve]
    spoken = (
        "in the morning" if value < 12 else "in the afternoon" if value < 18 else "in the evening"
    )
    dotted = f"{half[0]}.m."
    minutes = rng.choice(("15", "30", "30", "45", "10", "20"))
    forms = [
        f"{twelve} {half}",
        f"{twelve}{half}",
        f"{twelve} {dotted}",
        f"{twelve} {half.upper()}",
    ] * 2
    forms += [
        f"{value}:00",
        f"{value}:00",
        f"{value:02}:00",
        f"{value}:{minutes}",
        f"{twelve}:{minutes} {half}",
    ]
    forms += [
        f"{twelve}:00 {half}",
        f"{twelve}:{minutes}{half}",
        f"{word} {half}",
        f"{value}h",
        f"{value}.00",
    ]
    if value >= 12 or value >= 8:
        forms += [f"{value} o'clock", f"{value} hours"]
    if 1 <= value <= 23 and value != 12 and not 0 < value < 5:
        at_night = "at night" if value >= 21 else spoken
        forms += [f"{twelve} {at_night}", f"{word} {at_night}", f"{word} o'clock {at_night}"] * 2
        forms += [f"half past {word} {at_night}", f"quarter past {twelve} {at_night}"]
    if 7 <= value <= 11:
        forms += [word, f"{value}", f"{word} o'clock", f"{word} sharp"]
    if value >= 13:
        forms += [f"{value}"]
    if value == 12:
        forms += ["noon", "noon", "midday", "12 noon", "12"] * 2
    if value == 0:
        forms = ["midnight", "12 am", "0:00", "00:00", "0:30"]
    return value, guard(rng.choice(forms))
