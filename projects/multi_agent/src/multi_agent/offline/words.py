"""The words of a question, and which of them are accounted for.

    words = Words("How many orders are open?")
    words.take(("order",))          # True
    words.require_none_left()       # LeftOver: "open"

Words are compared by their stems, so that "orders" is the table `order`.
"""

from __future__ import annotations

import re

from multi_agent.brain import Refusal
from multi_agent.data.document_index import stem

Stems = tuple[str, ...]
FILLERS = frozenset(
    "a all an any are at be been by come currently did do does for from had has have i in is it its"
    " live made me of on our please that the there through us via was we were which who with you"
    " your".split()
)
"""Words that say nothing by themselves. A word such as "not", "or", "without" is never one."""
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[%€$£]")


class LeftOver(Refusal):
    """No template accounts for a word of a question."""

    def __init__(self, word: str) -> None:
        reason = f"Without a model, I can't account for the word {word!r} of this question."
        super().__init__(reason)


class Words:
    """The words of a text; `taken` contains the positions of those accounted for."""

    def __init__(self, text: str) -> None:
        self.texts = _WORD.findall(re.sub(r"['’]s\b", "", text.lower()))
        self.stems = [stem(text) for text in self.texts]
        self.taken: set[int] = set()

    def take(self, *phrases: Stems) -> bool:
        """Account for the first of these phrases that occurs; False if none does."""
        for phrase in phrases:
            if (start := self.find(phrase)) >= 0:
                self.taken |= set(range(start, start + len(phrase)))
                return True
        return False

    def find(self, phrase: Stems) -> int:
        """Where a phrase begins among the words that are not accounted for; -1 if it does not."""
        for start in range(len(self.stems) - len(phrase) + 1 if phrase else 0):
            end = start + len(phrase)
            if tuple(self.stems[start:end]) == phrase and self.taken.isdisjoint(range(start, end)):
                return start
        return -1

    def require_none_left(self) -> None:
        for number, word in enumerate(self.texts):
            if number not in self.taken and word not in FILLERS:
                raise LeftOver(word)


def split(name: str) -> Stems:
    """The stems of the words of a name, such as `order_items` or `unitPrice`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ")
    return tuple(stem(word) for word in _WORD.findall(spaced.lower()))
