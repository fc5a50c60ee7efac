"""How people really type: typos, no capitals, no punctuation, abbreviations, shouting.

What stands between MARK and its closing twin must be copied from the request, so no letter of it is
harmed; `clean` takes the marks out. It knows nothing of the task.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

MARK, END = "\x02", "\x03"
_PROTECTED = re.compile(f"({MARK}[^{END}]*{END})")
_NEAR = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        "sq vn xv sf wr dg fh gj uo hk jl k; nk bm ip ol wa et ad ry yi cb qe zc tu xs".replace(
            ";", "o"
        ).split(),
        strict=False,
    )
)
_SHORT = {
    "please": "pls",
    "thanks": "thx",
    "thank you": "thx",
    "password": "pw",
    "you": "u",
    "your": "ur",
    "account": "acct",
    "because": "bc",
    "tomorrow": "tmrw",
    "are": "r",
    "about": "abt",
    "and": "&",
    "as soon as possible": "asap",
    "with": "w/",
    "message": "msg",
    "number": "no",
    "cannot": "cant",
    "do not": "dont",
}


def guard(value: str) -> str:
    """Mark a value as one that must be copied."""
    return f"{MARK}{value}{END}"


def clean(text: str) -> str:
    return text.replace(MARK, "").replace(END, "")


def _outside(text: str, change: Callable[[str], str]) -> str:
    parts = _PROTECTED.split(text)
    return "".join(p if p.startswith(MARK) else change(p) for p in parts)


def _typo(word: str, rng: Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    kind = rng.random()
    if kind < 0.35:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind < 0.65:
        return word[:at] + word[at + 1 :]
    if kind < 0.8:
        return word[:at] + word[at] + word[at:]
    near = _NEAR.get(word[at].lower(), word[at])
    return word[:at] + rng.choice(near) + word[at + 1 :]


def typos(text: str, rng: Random) -> str:
    """One to four slips in words of four letters or more."""
    words = len(re.findall(r"[A-Za-z]{4,}", text))
    rate = min(0.5, rng.choice((1.0, 1.5, 2.0, 3.0)) / max(1, words))

    def slip(match: re.Match[str]) -> str:
        return _typo(match[0], rng) if rng.random() < rate else match[0]

    return _outside(text, lambda part: re.sub(r"(?<![\w.@-])[A-Za-z]{4,}(?![\w@-])", slip, part))


def no_punctuation(text: str, rng: Random) -> str:
    """All lower case, sentences run into each other, apostrophes often lost."""
    bare = _outside(text, lambda part: re.sub(r"[,;!?]|(?<!\d)\.(?!\d)|\.(?=\s|$)", "", part))
    if rng.random() < 0.7:
        bare = _outside(bare, lambda part: re.sub(r"(?<=\w)'(?=\w)", "", part))
    return re.sub(r"\s+", " ", bare).lower().strip()


def shouting(text: str, rng: Random) -> str:
    return re.sub(r"[.!](?=\s|$)", lambda _: rng.choice(("!", "!!", "!!!", ".")), text.upper())


def short(text: str, rng: Random) -> str:
    """Chat abbreviations, and some typos on top."""

    def swap(part: str) -> str:
        for long, brief in _SHORT.items():
            if rng.random() < 0.75:
                part = re.sub(rf"\b{long}\b", brief, part, flags=re.IGNORECASE)
        return part

    text = _outside(text, swap)
    return typos(text, rng).lower() if rng.random() < 0.6 else text


NOISES: dict[str, tuple[float, Callable[[str, Random], str] | None]] = {
    "clean": (0.46, None),
    "typos": (0.19, typos),
    "lower case": (0.12, lambda text, _: text.lower()),
    "no punctuation": (0.12, no_punctuation),
    "abbreviations": (0.08, short),
    "shouting": (0.03, shouting),
}
"""Name -> how often, and what it does."""
