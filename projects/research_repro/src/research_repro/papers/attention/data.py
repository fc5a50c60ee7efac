"""Number names, German to English: a translation task that a small model learns in a minute.

    spell(325, "german")          # drei hundert fünf und zwanzig: the units precede the tens
    spell(325, "english")         # three hundred and twenty five
    source, target = sentences(64, numbers=(1, 3), seed=0, step=7)

A tenth of the numbers is held out: training has none of them, the tests have no others.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from research_repro.papers.attention.method import EOS, PAD

_NAMES = {
    "german": """null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn
        vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig dreißig vierzig fünfzig
        sechzig siebzig achtzig neunzig hundert und eins""".split(),
    "english": """zero one two three four five six seven eight nine ten eleven twelve thirteen
        fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty
        sixty seventy eighty ninety hundred and""".split(),
}
VOCABULARY = ["<pad>", "<s>", "</s>", ",", *_NAMES["german"], *_NAMES["english"]]
"""One vocabulary for both languages, as in section 5.1."""
HELD_OUT = sorted(random.Random(0).sample(range(100, 1000), 100))
TRAINING = sorted(set(range(1000)) - set(HELD_OUT))


def spell(number: int, language: str) -> list[str]:
    """The parts of the name of a number below 1000.

    >>> "".join(spell(325, "german")), " ".join(spell(325, "english"))
    ('dreihundertfünfundzwanzig', 'three hundred and twenty five')
    """
    names, german = _NAMES[language], language == "german"
    (hundreds, rest), words = divmod(number, 100), []
    if hundreds:
        words = [names[hundreds], names[28], *(["and"] if rest and not german else [])]
    if rest >= 20:
        tens, unit = names[18 + rest // 10], names[rest % 10]
        both = [unit, "und", tens] if german else [tens, unit]
        return words + (both if rest % 10 else [tens])
    return words + ([] if words and not rest else ["eins" if german and rest == 1 else names[rest]])


def sentences(
    count: int, numbers: tuple[int, int], *, seed: int, step: int = 0, held_out: bool = False
) -> tuple[Tensor, Tensor]:
    """Tokens of random sentences: sources (count, s) and targets (count, t), which begin with BOS.

    `numbers` are the fewest and the most in a sentence. The result depends on the arguments alone.
    """
    pool, rng = HELD_OUT if held_out else TRAINING, random.Random(f"{held_out} {seed} {step}")
    return encode([rng.choices(pool, k=rng.randint(*numbers)) for _ in range(count)])


def encode(lines: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Source and target tokens of lines of numbers, padded at the end."""
    source = [[word for n in line for word in (",", *spell(n, "german"))] for line in lines]
    target = [[word for n in line for word in (",", *spell(n, "english"))] for line in lines]
    return _tokens([line[1:] for line in source]), _tokens([["<s>", *line[1:]] for line in target])


def words(tokens: Tensor) -> list[str]:
    """The words of tokens (n,), up to the end of the sentence."""
    text = [VOCABULARY[token] for token in tokens]
    return text[: text.index("</s>")] if "</s>" in text else text


def _tokens(lines: Sequence[Sequence[str]]) -> Tensor:
    rows = [[*(VOCABULARY.index(word) for word in line), EOS] for line in lines]
    return torch.tensor([row + [PAD] * (max(map(len, rows)) - len(row)) for row in rows])
