"""Words of a text as comparable terms, and what kind of answer a question asks for."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

_STOP_WORDS = """
    a about after again all also am an and any are as at be because been before being between
    both but by can cannot could did do does doing done don down during each else even ever
    every few for from further get gets give given go goes got had has have having he her here
    him his how however i if in into is it its itself just let like ll make makes many may me
    might more most much must my need needs no nor not of off on once one only or other our
    out over own per please re s same she should since so some such t take takes tell than
    that the their them then there these they thing things this those though through to too
    under until up us use used uses using ve very via want was way we well were what when
    where whether which while who whom whose why will with within without would you your yours
    mean means happen happens work works possible
"""
STOP = frozenset(_STOP_WORDS.split())
_WORD = re.compile(r"[A-Za-zÀ-ÿ0-9]+(?:['’][a-z]+)?|[^\x00-\x7f]")
_SUFFIXES = (
    ("ational", "ate"), ("ization", "ize"), ("isation", "ize"), ("fulness", "ful"),
    ("iveness", "ive"), ("ations", "ate"), ("ation", "ate"), ("ement", ""), ("ments", ""),
    ("ment", ""), ("ities", ""), ("ity", ""), ("ness", ""), ("ably", ""), ("able", ""),
    ("ible", ""), ("ings", ""), ("ing", ""), ("ions", ""), ("ion", ""), ("ers", ""), ("er", ""),
    ("ors", ""), ("or", ""), ("ies", "y"), ("ied", "y"), ("edly", ""), ("ed", ""), ("es", ""),
    ("ly", ""), ("s", ""), ("e", ""),
)  # fmt: skip


def stem(word: str) -> str:
    """A crude stem: longest suffix off while three letters stay, a doubled consonant halved."""
    if len(word) <= 3 or not word.isalpha():
        return word
    for suffix, by in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word[: len(word) - len(suffix)] + by
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] in "ey" else word


def terms(text: str) -> list[str]:
    """Stems of the words that carry meaning; `max_size`, `maxSize` and `max-size` give two each."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ")
    found = (w.lower() for w in _WORD.findall(parted))
    return [stem(w.split("'")[0].split("’")[0]) for w in found if w not in STOP]


def idf(bags: Sequence[Iterable[str]]) -> dict[str, float]:
    """log((n + 1) / (df + ½)) of every term in `bags`, floored at 0.1."""
    df = Counter(term for bag in bags for term in set(bag))
    return {t: max(0.1, math.log((len(bags) + 1) / (n + 0.5))) for t, n in df.items()}


def overlap(wanted: Mapping[str, float], given: Iterable[str]) -> float:
    """The share of the weight of `wanted` terms that stand in `given`, 0 to 1."""
    there = set(given)
    total = sum(wanted.values())
    return sum(w for t, w in wanted.items() if t in there) / total if total else 0.0


_ASKS = {
    "number": r"\bhow (?:many|much|long|often|large|big|old|fast|far|deep|high)\b|\bversion\b"
    r"|\bdefault (?:value|size|port|timeout|limit|number)|\bwhich (?:port|release)|\bwhat (?:port"
    r"|is the (?:default|maximum|minimum|limit|size|number))|\bnumber of\b|\b(?:maxi|mini)mum\b",
    "code": r"\b(?:command|flag|option|switch|setting|parameter|argument|variable|function|method"
    r"|class|keyword|attribute|field|header|directive|key|file|folder|directory|path|endpoint"
    r"|syntax|module|decorator|hook|api)s?\b|\bhow (?:do|can|should|would|to)\b|\bname of\b"
    r"|\bcalled\b",
    "reason": r"\bwhy\b|\breason\b|\bwhat happens\b|\bpurpose\b|\bcauses?\b",
    "place": r"\bwhere\b|\bwhich (?:file|folder|directory|path)\b",
    "yes": r"^(?:is|are|does|do|can|could|will|should|may|must|has|have)\b",
    "define": r"^what(?: is| are|'s| does)\b",
}
_SHOWS = {
    "number": r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twice|zero|unlimited)\b",
    "code": r"`[^`]+`|(?<!\w)--?[a-z][\w-]+|\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b|\b\w+\(\)?|^\s*\$ "
    r"|\b[a-z]+_[a-z_]+\b|\b[a-z]+[A-Z]\w+\b",
    "reason": r"\b(?:because|since|so that|therefore|in order to|due to|otherwise|avoid|prevent"
    r"|ensure|allows?|means|this is|reason|cause[sd]?)\b",
    "place": r"[~.\w-]*/[\w./-]+|\b(?:directory|folder|file|located|stored|found)\b"
    r"|\b\w+\.(?:ya?ml|toml|json|ini|cfg|conf|py|md|txt|sh|env|log)\b",
    "yes": r"\b(?:not|no|only|can|cannot|does|must|supports?|supported|available|allowed|possible"
    r"|yes|by default|required|optional|never|always)\b",
    "define": r"\b(?:is|are) (?:an?|the)\b|\brefers? to\b|\bmeans\b|\bcalled\b|\bdefines?\b",
}
SHAPES = tuple(_ASKS)
_ASKED = {k: re.compile(p, re.IGNORECASE) for k, p in _ASKS.items()}
_SHOWN = {k: re.compile(p, re.MULTILINE) for k, p in _SHOWS.items()}


def asked(question: str) -> frozenset[str]:
    """The shapes of answer that the question's wording asks for; see SHAPES."""
    return frozenset(k for k, pattern in _ASKED.items() if pattern.search(question.strip()))


def shown(text: str) -> frozenset[str]:
    """The shapes of answer that a quote has in it."""
    return frozenset(k for k, pattern in _SHOWN.items() if pattern.search(text))
