"""Stories of two steps: the change after a purchase, and when a tank is full or empty.

"Lena buys 4 pens at 3 euros each and a map at 5 euros, and pays with a 20 euro note. …"
"A tank for 900 litres is two thirds full. A tap takes out 15 litres a minute. …"
"""

from __future__ import annotations

import re

from multi_agent.offline.arithmetic.story import Story
from multi_agent.offline.arithmetic.tokens import Token

_PAID = r"\b(?:pays?|paid|paying|hands? over|gives?) (?:[a-z]+ ){0,4}(M\d+)"
_OUT = r"leaks?|loses?|lost|drains?|empties|escapes?|evaporates?|removes?|flows? out|takes? out"
_FILLING = r"\b(?:full|filled|empty|left|remain\w*)\b"
Slots = tuple[str, list[str]]
"""An expression with the names of its slots."""


def change(story: Story) -> Slots | None:
    """The payment less the prices, of which some are for each of several things."""
    paid, names = re.search(_PAID, story.text), list[str]()
    if not paid or not re.search(r"\b(?:buys?|bought|purchases?)\b", story.told):
        return None
    if re.search(r"\b(?:some|several|few|others?|free|discount)\b", story.told):
        return None
    terms = []
    for price in (name for name in story.of("M") if name != paid[1]):
        many = re.search(rf"(N\d+) (?:[a-z]\S* ){{1,3}}{price} (?:each|apiece)\b", story.text)
        if not many and re.search(rf"{price} (?:each|apiece|per|a)\b", story.text):
            return None
        terms.append([many[1], price] if many else [price])
        names += terms[-1]
    if not terms or sorted([*names, paid[1]]) != sorted(story.names):
        return None
    letters = dict(zip([paid[1], *names], "abcdefgh", strict=False))
    spent = " + ".join(" * ".join(letters[name] for name in term) for term in terms)
    return f"a - ({spent})", list(letters)


def filling(story: Story) -> Token | None:
    """How long inflows and outflows take from one content of a tank to another."""
    sizes, shares, flows = story.of("G"), story.of("F"), story.of("X")
    counts = [n for n in story.of("N") if story.value(n).m != len(flows)]
    if counts or len(sizes) not in (1, 2) or len(shares) > 1 or len(flows) not in (1, 2):
        return None
    asked = re.search(_FILLING, story.question)
    if not asked or len(sizes + shares + flows + story.of("N")) != len(story.names):
        return None
    # 1. From which content to which.
    sizes.sort(key=lambda name: story.value(name), reverse=True)
    other = "b" if len(sizes) == 2 else ""
    start = "a * b" if shares else ""
    if shares and not re.search(rf"{shares[0]} (?:full|filled)", story.told):
        return None
    if asked[0] in ("full", "filled"):
        if shares and other:
            return None
        content = f"a - {start or other or '0 * a'}"
    else:
        content = f"{start or 'a'} - {'c' if shares and other else other or '0 * a'}"
    # 2. How fast.
    empties = asked[0] not in ("full", "filled")
    slots = [sizes[0], *shares, *sizes[1:], *flows]
    rate = ""
    for flow, letter in zip(flows, "abcde"[len(slots) - len(flows) :], strict=False):
        out = rf"(?:{_OUT}) (?:[a-z]+ )?{flow}|{flow} (?:[a-z]+ )?(?:{_OUT}|out)\b"
        rate += f" {'+' if bool(re.search(out, story.text)) == empties else '-'} {letter}"
    token = story.tokens.compute(f"({content}) / ({rate.removeprefix(' + ')})", slots)
    return token if token.value.m > 0 else None
