"""When two texts are the same, and when they are nearly the same."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from finetune_lora.example import Example

_SHINGLE = 4
_PERMUTATIONS = 128
_AT_ONCE = 10_000  # shingles; a long text would need gigabytes
_MARKS = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"\d+(?: \d+)*")


def same(text: str) -> str:
    """Equal for texts that differ in case, white space and Unicode's ways to write a letter."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def question(example: Example) -> tuple[str, ...]:
    """What was asked, to tell whether two examples ask the same.

    Of text and label only the text: its instruction differs with the labels of the dataset.
    """
    if example.label is not None:
        return (same(example.text),)
    return tuple(f"{m['role']} {same(m['content'])}" for m in example.prompt)


def instruction(example: Example) -> str:
    """The system's part: it makes the same question another task."""
    return "\n".join(m["content"] for m in example.prompt if m["role"] == "system")


def spoken(example: Example) -> str:
    """The question without the instruction (which many rows share), case, punctuation and numbers.

    "Item 4711 arrived broken!" and "item 9 arrived broken" are equal: copies of a form differ in
    their numbers, and a model that was trained on one can answer the other.
    """
    texts = (m["content"] for m in example.prompt if m["role"] != "system")
    text = unicodedata.normalize("NFC", " ".join(texts)).casefold()
    words = _DIGITS.sub("0", _MARKS.sub(" ", text)).strip()
    # Without any word, as in "12:30?", marks and numbers are all there is to compare.
    return words if re.search(r"[^\W\d_]", words) else " ".join(text.split())


class NearIndex:
    """Texts by MinHash; finds those whose shingles of four characters overlap enough.

    What the index proposes is compared exactly, so nothing is found that is not near; at the
    threshold itself it overlooks some 2 in 100.
    """

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHash, MinHashLSH

        self.threshold = threshold
        self._texts: list[str] = []
        # The weights prefer to propose too much: see the comparison in `near`.
        self._lsh = MinHashLSH(threshold, num_perm=_PERMUTATIONS, weights=(0.02, 0.98))
        self._new = MinHash(num_perm=_PERMUTATIONS, seed=1, hashfunc=_known_hash, scheme="affine32")

    def signature(self, text: str) -> Any:
        signature = self._new.copy()
        shingles = list(_shingles(text))
        for start in range(0, len(shingles), _AT_ONCE):
            signature.update_batch(shingles[start : start + _AT_ONCE])
        return signature

    def add(self, text: str, signature: Any) -> int:
        """Numbered from 0."""
        number = len(self._texts)
        self._texts.append(text)
        self._lsh.insert(number, signature, check_duplication=False)
        return number

    def proposed(self, signature: Any) -> Iterable[int]:
        """Candidates for `near`, in the order in which they were added."""
        return sorted(self._lsh.query(signature))

    def near(self, number: int, text: str) -> bool:
        other = self._texts[number]
        if text == other:
            return True
        a, b = _shingles(text), _shingles(other)
        # Sets of such different sizes can't overlap enough.
        if min(len(a), len(b)) < self.threshold * max(len(a), len(b)):
            return False
        common = len(a & b)
        return common >= self.threshold * (len(a) + len(b) - common)

    def matches(self, text: str) -> Iterator[int]:
        return (n for n in self.proposed(self.signature(text)) if self.near(n, text))


@lru_cache(4096)
def _shingles(text: str) -> frozenset[int]:
    data = text.encode()
    last = max(1, len(data) - _SHINGLE + 1)
    return frozenset(zlib.crc32(data[i : i + _SHINGLE]) for i in range(last))


def _known_hash(shingle: int) -> int:
    return shingle
