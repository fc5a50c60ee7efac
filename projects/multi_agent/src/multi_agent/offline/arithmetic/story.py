"""A story as the formulas see it: its question, its cues, its quantities and what they count.

story = Story(tokenize("A barrel holds 159 litres. How many litres are 40 barrels?"))
story.names, story.noun("N1")        # ["G0", "N1"], "barrel"
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from multi_agent.offline.arithmetic.phrases import CUES, CURRENCIES, LISTS
from multi_agent.offline.arithmetic.tokens import Tokens
from multi_agent.offline.arithmetic.values import quantity

NAME = r"[A-TV-Z]\d+"
ASK = r"\b(?:how|what|whats|when|where|which|calculate|find|work out|add)\b"
SMALL = frozenset(f"{LISTS['small']} {LISTS['holding']}".split())
_PEOPLE = frozenset(LISTS["crowd"].split())
_MEASURES = {
    "far": "kilometer",
    "long": "hour",
    "fast|speed": "kilometer/hour",
    "heavy|weigh": "kilogram",
}


@dataclass
class Story:
    """The words of a task, without marks."""

    tokens: Tokens

    @cached_property
    def text(self) -> str:
        return self.tokens.text.replace("_", "")

    @cached_property
    def names(self) -> list[str]:
        return re.findall(rf"{NAME}\b", self.text)

    @cached_property
    def question(self) -> str:
        """The last clause that asks."""
        sentences = [s for s in re.split(r" \. ", self.text) if re.search(ASK, s)]
        last = sentences[-1] if sentences else self.text
        return last[match.start() :] if (match := re.search(ASK, last)) else last

    @cached_property
    def ask(self) -> str:
        """The question up to its first number or condition."""
        return re.split(rf"\b(?:if|for|on|in a|after)\b|{NAME}", self.question)[0]

    @cached_property
    def told(self) -> str:
        return self.text.replace(self.ask, " ; ", 1)

    @cached_property
    def cues(self) -> set[str]:
        return {name for name, pattern in CUES.items() if pattern.search(self.text)}

    def value(self, name: str) -> Any:
        return self.tokens.names[name].value

    def of(self, letters: str) -> list[str]:
        """The names of these kinds, in order."""
        return [name for name in self.names if name[0] in letters]

    def noun(self, name: str) -> str:
        """The thing that a number counts."""
        match = re.search(rf"\b{name} (?:of )?((?:[a-z][^\s]*(?: |$)){{0,3}})", self.text)
        return self.thing(match[1] if match else "")

    def thing(self, phrase: str) -> str:
        """The noun of a phrase: the first word that the text has twice, or else the last word."""
        words: list[str] = []
        for word in phrase.split():
            if word in SMALL:
                break
            words.append(stem(word))
        if words and words[0] == "person":
            return "person"
        stems = Counter(stem(word) for word in self.text.split())
        return next((word for word in words if stems[word] > 1), words[-1] if words else "")

    def asks(self, *cues: str) -> bool:
        return any(CUES[cue].search(self.ask) for cue in cues)

    def tells(self, *cues: str) -> bool:
        return any(CUES[cue].search(self.told) for cue in cues)


def stem(word: str) -> str:
    """
    >>> stem("boxes"), stem("barrels"), stem("people")
    ('box', 'barrel', 'person')
    """
    if word in _PEOPLE:
        return "person"
    return re.sub(r"(?<=[sxzh])es$|(?<=[^s])s$", "", re.sub(r"ies$", "y", word))


def asked_unit(story: Story) -> Any:
    """The unit after "how many" or "in"."""
    for pattern in (r"(?:many|much) (U\d+)", r"(?:in|into|to) (U\d+)"):
        if match := re.findall(pattern, story.text):
            per = asked_per(story)
            return story.value(match[0]) if per is None else story.value(match[0]) / per
    return None


def asked_per(story: Story) -> Any:
    """The unit after "per" in the question."""
    names = re.findall(r"\b(?:per|an?|each|every) (U\d+)", story.question)
    return story.value(names[-1]) if names else None


def target_of(story: Story) -> Any:
    """The unit or the things asked for."""
    if (asked := asked_unit(story)) is not None:
        return asked
    if match := re.search(r"how many ((?:[a-z]\S* ){1,3})", f"{story.question} "):
        return story.thing(match[1]) or None
    units = [u for n in story.names if n[0] in "NMSKGX" for u in story.value(n)._units]
    money = [name for name in units if name in CURRENCIES]
    for words, name in _MEASURES.items():
        if re.search(rf"\b(?:{words})\b", story.ask):
            return quantity(1, name)
    if money and re.search(r"\b(much|what|whats)\b", story.question):
        per = asked_per(story)
        return quantity(1, money[0]) / (1 if per is None else per)
    return None


def adopt(tokens: Tokens) -> None:
    """One thing is a thing; a bare number beside one currency is money."""
    for row in re.findall(rf"(?:N\d+ , )*N\d+ and {NAME}", tokens.text):  # 7, 8 and 6.5 hours
        *bare, last = re.findall(NAME, row)
        for name in bare if last[0] in "MSKG" else ():
            same = tokens.add(tokens.names[name].value * tokens.names[last].value.u)
            tokens.text = re.sub(rf"\b{name}\b", same, tokens.text)
    story = Story(tokens)
    units = {str(story.value(name).u) for name in story.of("M")}
    is_ratio = re.search(r"N\d+ to N", story.text)
    for name in story.of("N"):
        if not is_ratio and len(units) == 1 and not story.noun(name):
            money = tokens.add(quantity(story.value(name).m, units.copy().pop()))
            tokens.text = re.sub(rf"\b{name}\b", money, tokens.text)
        elif not is_ratio and tokens.names[name].expression == "1" and story.noun(name):
            tokens.text = re.sub(rf"\b{name}\b", "a", tokens.text)
