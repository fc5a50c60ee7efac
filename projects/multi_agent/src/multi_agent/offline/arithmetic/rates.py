"""Rates: the product or quotient of all quantities of a story that has the unit asked for.

    "A barrel holds 159 litres. How many hectolitres are 40 barrels?"  # 159 l * 40

Units and things count as dimensions. First an hour is no part of a day (7.5 hours a day, 5 days a
week); if nothing fits, it is.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from typing import Any

from multi_agent.offline.arithmetic.phrases import LISTS
from multi_agent.offline.arithmetic.story import ASK, NAME, SMALL, Story, asked_per, stem, target_of
from multi_agent.offline.arithmetic.tokens import Token
from multi_agent.offline.arithmetic.values import quantity, reduced, unit


def rates(story: Story) -> Token | None:
    """The product of all values to the power 1 or -1 that has the unit or the things asked for."""
    if not 2 <= len(names := story.names) <= 6 or any(n[0] in "DTPF" for n in names):
        return None
    target = target_of(story)
    for exact in (True, False):
        dimensions = [_dimension(story, name, exact) for name in names]
        if target is None or not all(dimensions):
            return None
        if isinstance(target, str):
            wanted = Counter({target: 1})
            if (per := asked_per(story)) is not None:
                wanted.subtract(_of_value(per, exact))
        else:
            wanted = Counter(_of_value(target, exact))
        fits = []
        for signs in product((1, -1), repeat=len(names)):
            result: Counter[str] = Counter()
            for sign, dimension in zip(signs, dimensions, strict=True):
                for key, exponent in dimension.items():
                    result[key] += sign * exponent
            if {k: v for k, v in result.items() if v} == dict(wanted):
                fits.append(signs)
        if len(fits) == 1:
            return _product(story, fits[0])
        is_time = not isinstance(target, str) and target.check("[time]")
        if len(fits) == 2 and not is_time:
            # A rule of three: what the question names is multiplied.
            last = [n in re.findall(NAME, story.question) for n in names]
            fits = [f for f in fits if all(s > 0 for s, late in zip(f, last, strict=True) if late)]
            return _product(story, fits[0]) if any(last) and len(fits) == 1 else None
        if fits:
            return None
    return None


def _product(story: Story, signs: tuple[int, ...]) -> Token:
    value, text = quantity(1), ""
    for sign, name in sorted(zip(signs, story.names, strict=True), key=lambda pair: -pair[0]):
        token = story.tokens.names[name]
        inner = (
            f"({token.expression})"
            if " " in token.expression and name[0] == "X"
            else token.expression
        )
        value = value * token.value if sign > 0 else value / token.value
        text = f"{text} {'*' if sign > 0 else '/'} {inner}" if text else inner
    time = {name for name in value._units if unit(name).is_compatible_with(unit("day"))}
    return Token(value if len(time) == 1 else reduced(value), text)


def _of_value(value: Any, exact: bool) -> dict[str, int]:
    """The dimensions of a value; exactly: an hour is not a part of a day."""
    result: Counter[str] = Counter()
    for name, exponent in value._units.items():
        if exact and unit(name).dimensionality == unit("day").dimensionality:
            result[name] += int(exponent)
            continue
        for dimension, power in unit(name).dimensionality.items():
            result[dimension] += int(power * exponent)
    return dict(result)


def _dimension(story: Story, name: str, exact: bool) -> dict[str, int]:
    """Those of the unit, of the things counted, and of what it is per."""
    result = Counter(_of_value(story.value(name), exact))
    is_unit = name[0] == "X" and any(exponent > 0 for exponent in result.values())
    if name[0] in "NX" and not is_unit and (noun := story.noun(name)):
        result[noun] += 1
    if thing := _per(story, name):
        result[thing] -= 1
    return {key: exponent for key, exponent in result.items() if exponent}


def _per(story: Story, name: str) -> str:
    """The thing after "per", or before "holds", that a quantity belongs to."""
    text = f"{story.text} "
    patterns = [rf"([a-z]\S*) each (?:[a-z]\S* ){{0,2}}{name}\b"]
    if name[0] != "X":
        verb, few = LISTS["holding"].replace(" ", "|"), rf"(?:(?!{ASK})[a-z]\S* ){{0,2}}"
        one = r"\b(?:an?|one|each|every|per)"
        patterns += [
            rf"\b{name} {few}(?:per|an?|each|every) (?!and\b|for\b|how\b)([a-z]\S*)",
            rf"{one} (?:\S+ )?([a-z]\S*) (?:can |must |of \S+ )?(?:{verb}) {name}\b",
            rf"\b(?:each|every) ([a-z]\S*) [a-z]\S* {name}\b",
        ]
    things = [stem(match[1]) for p in patterns if (match := re.search(p, text))]
    stems = [stem(word) for word in text.split()]
    counted = {story.noun(n) for n in story.of("N")}
    things = [t for t in things if t not in SMALL and (stems.count(t) > 1 or t in counted)]
    if things:
        return things[0]
    if name[0] == "M" and (match := re.search(rf"(N\d+) (?:[a-z]\S* )+at {name}\b", text)):
        return story.noun(match[1])
    ending = r"(?:each|apiece) (?:[.,]|and|for|at|how|what|$)"
    if re.search(rf"\b{name} (?:(?!{ASK})[a-z]\S* ){{0,2}}{ending}", text):
        counts = [n for n in story.of("N") if n != name]
        return (story.noun(counts[0]) or "?") if len(counts) == 1 else "?"
    return ""
