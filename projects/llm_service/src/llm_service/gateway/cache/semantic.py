"""Questions that mean the same as an earlier one, by the cosine of their embeddings.

Off by default: a wrong answer is worse than a slow one, and embeddings put "in 2014" beside "in
2018" and "healthier than coffee" beside "healthier than tea". So nearness is not enough: everything
but the last message must be equal, and so must the content words of that message, in order. What
may differ is how it is asked: articles, pronouns, auxiliaries, politeness. What remains of false
hits is measured by `false_hits` on `eval/semantic_pairs.jsonl`. It knows no answers, only the keys
under which others keep them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_service.request import Ask
from seedbed.runs.evaluation import wilson_interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Embed = Callable[[list[str]], Awaitable[Sequence[Sequence[float]]]]
Marks = tuple[str, ...]

THRESHOLD = 0.95
_LONGEST = 500  # characters: MiniLM reads 256 tokens
_RULED_OUT = ("tools", "functions", "response_format", "logprobs")

_WORD = re.compile(
    r"(?<!\w)-?\d+(?:[.,:/]\d+)*|[^\W_]+(?:['’.,/:-][^\W_]+)*|[^\w\s.,;:!?'’\"“”()-]"
)
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
}
# Words of asking, which any question may hold or lack. Left out on purpose: negations, most
# prepositions, "was" and "will", "must" and "may", this and that, when, where, who, why, how many.
_ASKING = frozenset(
    "a an the of to i'd i'm it its there is are am be"
    " do does what what's which how can could should would way"
    " please tell explain describe define show want about just"
    " hello hi hey thanks".split()
)
_PERSONS = dict.fromkeys(("i", "me", "my", "we", "us", "our"), "i") | {"you": "you", "your": "you"}


@dataclass(frozen=True, slots=True)
class Probe:
    """A question to look up: what must be equal, and what must be near."""

    rest: str  # hash of the request without its last message
    marks: Marks
    vector: npt.NDArray[np.float32]  # (dimension,), of length 1


class SemanticCache:
    """At most `most` questions, the oldest go first; `embed` gives a vector for each text."""

    def __init__(self, embed: Embed, threshold: float = THRESHOLD, most: int = 4096) -> None:
        self.threshold = threshold
        self._embed = embed
        self._most = most
        self._slots: list[tuple[Probe, str]] = []
        self._next = 0
        self._groups: dict[tuple[str, Marks], set[int]] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def applies(self, ask: Ask) -> bool:
        """Whether the request is a question in words only, asked by the last message."""
        if ask.kind != "chat" or any(ask.body.get(name) for name in _RULED_OUT):
            return False
        messages = ask.body.get("messages") or [{}]
        content = messages[-1].get("content")
        return (
            messages[-1].get("role") == "user"
            and isinstance(content, str)
            and 0 < len(content) <= _LONGEST
        )

    async def probe(self, ask: Ask, rest: str) -> Probe:
        """`rest`: the hash of all that must be equal, scope and model included."""
        text = ask.body["messages"][-1]["content"]
        return Probe(rest, marks(text), _unit((await self._embed([text]))[0]))

    def find(self, probe: Probe, kept: Callable[[str], bool]) -> str | None:
        """The key of the nearest question at or above the threshold whose answer is still kept."""
        slots = [
            slot
            for slot in self._groups.get((probe.rest, probe.marks), ())
            if kept(self._slots[slot][1])
        ]
        if not slots:
            return None
        import numpy as np  # the cache is off by default, and numpy takes a while

        vectors = np.stack([self._slots[slot][0].vector for slot in slots])
        cosines = vectors @ probe.vector
        best = int(cosines.argmax())
        return self._slots[slots[best]][1] if cosines[best] >= self.threshold else None

    def add(self, probe: Probe, key: str) -> None:
        """Remember that `key` holds the answer to this question."""
        group = (probe.rest, probe.marks)
        if len(self._slots) < self._most:
            slot = len(self._slots)
            self._slots.append((probe, key))
        else:
            slot, self._next = self._next, (self._next + 1) % self._most
            old = self._slots[slot][0]
            members = self._groups[old.rest, old.marks]
            members.discard(slot)
            if not members:
                del self._groups[old.rest, old.marks]
            self._slots[slot] = (probe, key)
        self._groups.setdefault(group, set()).add(slot)


def _unit(vector: Sequence[float]) -> npt.NDArray[np.float32]:
    import numpy as np

    array = np.asarray(vector, np.float32)
    return array / max(float(np.linalg.norm(array)), 1e-12)


def marks(text: str) -> Marks:
    """The content words of a question in order: small letters, without a plural's s.

    "How do I reset my passwords?" gives ("reset", "password"); n't is "not", "two" is "2", "US"
    stays. Where both "I" and "you" occur, who comes first is a mark as well.
    """
    found: list[str] = []
    persons: list[str] = []
    for match in _WORD.finditer(text):
        word = match.group()
        low = word.lower().replace("’", "'")
        if low in _PERSONS and (word == "I" or not word.isupper()):
            persons.append(_PERSONS[low])
        elif len(word) > 1 and word.isupper():
            found.append(word)
        elif low.endswith("n't") or low == "cannot":
            found.append("not")
        elif low not in _ASKING:
            low = _NUMBERS.get(low, low.removesuffix("'s"))
            plural = len(low) > 3 and low[-1] == "s" and low[-2] != "s"
            found.append(low[:-1] if plural else low)
    return (*found, *(persons[:1] if len(set(persons)) > 1 else ()))


async def false_hits(
    pairs: Iterable[Mapping[str, Any]],
    embed: Embed,
    threshold: float | Sequence[float] = THRESHOLD,
    *,
    guards: bool = True,
) -> dict[str, Any]:
    """How often the cache would answer `b` with the answer to `a`, at one or more thresholds.

    Pairs have `a`, `b`, `same` (whether one answer serves both) and `kind`. For each threshold:
    `hit_rate` over the pairs that are the same and `false_hit_rate` over the others, each with its
    Wilson interval and n, and the ids of the false hits. `guards=False`: by the cosine alone.
    """
    pairs = list(pairs)
    vectors = [_unit(v) for v in await embed([text for p in pairs for text in (p["a"], p["b"])])]
    cosines = [float(a @ b) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
    passed = [not guards or marks(p["a"]) == marks(p["b"]) for p in pairs]
    results = []
    for limit in [threshold] if isinstance(threshold, (int, float)) else threshold:
        hits = [ok and cosine >= limit for ok, cosine in zip(passed, cosines, strict=True)]
        row: dict[str, Any] = {"threshold": limit}
        for name, same in (("hit_rate", True), ("false_hit_rate", False)):
            among = [hit for pair, hit in zip(pairs, hits, strict=True) if pair["same"] is same]
            low, high = wilson_interval(sum(among), len(among))
            rate = sum(among) / len(among) if among else 0.0
            row[name] = {"value": rate, "low": low, "high": high, "n": len(among)}
        row["false_hits"] = [
            pair.get("id")
            for pair, hit in zip(pairs, hits, strict=True)
            if hit and not pair["same"]
        ]
        results.append(row)
    return {"pairs": len(pairs), "guards": guards, "thresholds": results}
