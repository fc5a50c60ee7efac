"""Finds labels such as "Invoice no." in text, by kind, in spite of OCR errors and lost spaces.

    lexicon = Lexicon.load()
    [label.kinds for label in lexicon.find("Rechnungs-Nr.: 2024/118")]   # [{"invoice_number"}]

The labels are in `labels.toml`. A label matches whole words with the same letters, or
nearly the same if it is long; the longest match at a place wins. Which value belongs to a label is
up to `scoring`.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

NUMBER_WORDS = (
    *("no", "nr", "n", "num", "number", "nummer", "nbr", "#", "id"),
    *(
        "numero",
        "numer",
        "nro",
        "numarul",
        "numar",
        "szama",
        "numarasi",
        "nomor",
        "nombor",
        "cislo",
    ),
    *("ref", "reference", "referenz", "referencia", "riferimento", "referens", "kenmerk", "code"),
)
Words = Mapping[str, Mapping[str, Iterable[str]]]
PREPOSITIONS = {"other_date", "due_date", "plain_date", "invoice_date", "customer", "vendor"}
MAX_WORDS = 7
FUZZY_LENGTH = 7  # letters from which a label may match with one slip in eight
FUZZY_SCORE = 88
_WORD = re.compile(r"[A-ZÀ-ÖØ-Þ]?[^\W\dA-ZÀ-ÖØ-Þ_]+|[^\W\d_]+|[^\W_]*[^\W\d_][^\W_]*|[#№°º]|\d+")
_JOINTS = re.compile(r"[\s.\-–_/'’´`()&*@,]*")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_LINKS = frozenset("de del della dello des du da do di of the la le el il der das den van".split())
_NUMBER_PREFIX = re.compile(r"[-/_]\d")  # a label in front of it is part of a number: INVOICE-0001
_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "ß": "ss", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "°": "o"}
)
_SLIPS = str.maketrans({"1": "l", "i": "l", "|": "l", "0": "o", "5": "s", "8": "b"})


@dataclass(frozen=True)
class Label:
    """A label in a text, from character `start` to `end`; `score` is 1 for an exact match.

    `languages` are those in which it is a label of each kind; empty for those of a user's schema.
    """

    kinds: frozenset[str]
    start: int
    end: int
    score: float
    languages: Mapping[str, Set[str]] = field(default_factory=dict)

    def spoken_in(self, languages: Set[str]) -> Label:
        """The label without its kinds in other languages: "till" is Swedish for "to"."""
        kinds = {
            kind
            for kind in self.kinds
            if not self.languages.get(kind) or self.languages[kind] & languages
        }
        return replace(self, kinds=frozenset(kinds)) if kinds else self


def squeeze(text: str) -> str:
    """Lower case letters and digits without accents; what labels are compared by.

    >>> squeeze("Fällig am:"), squeeze("Facture N° ")
    ('falligam', 'factureno')
    """
    text = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS)).translate(_LETTERS)
    return "".join(c for c in text if c.isalnum() or c == "#")


def _without_links(label: str) -> str:
    """A label without the words inside that link others: "date facture" is "date de la facture"."""
    words = label.split()
    inner = [word for word in words[1:-1] if squeeze(word) not in _LINKS]
    return " ".join([*words[:1], *inner, *words[1:][-1:]])


class Lexicon:
    """All labels, and the labels of the fields of a user's schema."""

    def __init__(self, kinds: Mapping[str, Mapping[str, Iterable[str]]], words: Words) -> None:
        self._labels: dict[str, dict[str, set[str]]] = defaultdict(dict)  # languages by kind
        self._split: set[str] = set()
        whole: set[str] = set()
        self._suffixes: dict[str, set[str]] = defaultdict(set)
        for kind, languages in kinds.items():
            for language, labels in languages.items():
                for label in labels:
                    if language == "suffixes":
                        self._suffixes[squeeze(label)].add(kind)
                        continue
                    names = {*_PLACEHOLDER.findall(label)} - {"no"}
                    speakers = words[min(names)] if language == "all" else [language]
                    keys = [key for name in speakers for key in self._add(kind, label, name, words)]
                    (self._split if re.search(r"\w[\s.\-]+[\w{]", label) else whole).update(keys)
        # "re id" is not in "Reid": short labels of several words match several words only.
        self._split = {key for key in self._split if len(key) <= 7} - whole
        self._slips = {label.translate(_SLIPS): label for label in self._labels}
        self._long: dict[tuple[str, int], list[str]] = defaultdict(list)
        for slip in self._slips:
            if len(slip) >= FUZZY_LENGTH:
                self._long[slip[0], len(slip)].append(slip)

    @classmethod
    def load(cls, extra: Mapping[str, Iterable[str]] | None = None) -> Lexicon:
        """The built-in labels, plus those of `extra` (kind: labels)."""
        kinds = {**_builtin()}
        words: Any = kinds.pop("words")
        for kind, labels in (extra or {}).items():
            kinds[kind] = {**kinds.get(kind, {}), "": list(labels)}
        return cls(kinds, words)

    def _add(self, kind: str, label: str, language: str, words: Words) -> set[str]:
        """Add a label in each form, with and without words such as "of"; their keys."""
        parts = _PLACEHOLDER.split(label)
        keys = {squeeze(parts[0])}
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            choice = [
                squeeze(word)
                for word in (NUMBER_WORDS if name == "no" else words[name].get(language, ()))
            ]
            keys = {key + word + squeeze(text) for key in keys for word in choice}
        if len(parts) == 1:
            keys |= {squeeze(_without_links(label))}
        for key in keys:
            self._labels[key].setdefault(kind, set()).update({language} - {""})
        return keys

    def find(self, text: str) -> list[Label]:
        """The labels in `text`, in order, without overlaps."""
        words = [(m.start(), m.end()) for m in _WORD.finditer(text)]
        labels: list[Label] = []
        position = 0
        while position < len(words):
            label, size = self._longest(text, words, position)
            if label is not None and not _is_preposition(label, text):
                labels.append(label)
            position += size
        return labels

    def _longest(
        self, text: str, words: list[tuple[int, int]], position: int
    ) -> tuple[Label | None, int]:
        """The longest label that starts at a word, and its number of words (1 without one)."""
        start = words[position][0]
        if start > 0 and text[start - 1].isalnum() and not text[start].isupper():
            return None, 1
        spans = []
        for size in range(1, min(MAX_WORDS, len(words) - position) + 1):
            end = words[position + size - 1][1]
            if size > 1 and not _JOINTS.fullmatch(
                text[words[position + size - 2][1] : words[position + size - 1][0]]
            ):
                break
            within_word = end < len(text) and text[end].isalpha() and not text[end].isupper()
            if not within_word and not (size == 1 and _NUMBER_PREFIX.match(text, end)):
                key = squeeze(text[start:end])
                if size > 1 or key not in self._split:
                    inner = "" if size < 3 else squeeze(_without_links(text[start:end]))
                    spans.append((size, end, key if key in self._labels else inner or key))
        # 1. The longest exact match. 2. A longer similar one, unless it ends in part of a value.
        best: tuple[Label | None, int] = (None, 1)
        for size, end, key in spans:
            kinds, score = self._exact(key)
            if kinds:
                best = Label(frozenset(kinds), start, end, score, kinds), size
        for size, end, key in reversed(spans):
            last = words[position + size - 1]
            if best[0] is not None and (size <= best[1] or last[1] - last[0] < 4):
                continue
            kinds, score = self._similar(key, " " not in text[start:end])
            if kinds:
                return Label(frozenset(kinds), start, end, score, kinds), size
        return best

    def _exact(self, key: str) -> tuple[Mapping[str, Set[str]], float]:
        if key in self._labels:
            return self._labels[key], 1.0
        slip = len(key) > 3 and not key.isdigit()
        return self._labels.get(
            self._slips.get(key.translate(_SLIPS), "") if slip else "", {}
        ), 0.95

    def _similar(self, key: str, single: bool) -> tuple[Mapping[str, Set[str]], float]:
        if any(map(str.isdigit, key)):
            return {}, 0.0
        slips = key.translate(_SLIPS)
        if len(slips) >= FUZZY_LENGTH:
            near = [x for n in (-1, 0, 1) for x in self._long.get((slips[0], len(slips) + n), ())]
            best = process.extractOne(slips, near, scorer=fuzz.ratio, score_cutoff=FUZZY_SCORE)
            if best is not None:
                return self._labels[self._slips[best[0]]], best[1] / 100 - 0.05
        for suffix, kinds in self._suffixes.items():
            if single and key.endswith(suffix) and len(suffix) + 2 <= len(key) < len(suffix) + 24:
                return dict.fromkeys(kinds, frozenset()), 0.9
        return {}, 0.0


def count_languages(labels: Iterable[Label]) -> dict[str, float]:
    """How often each language is the only one, or one of a few, with a label."""
    counts: dict[str, float] = defaultdict(float)
    for label in labels:
        languages = set().union(*label.languages.values())
        for language in languages:
            counts[language] += 1 / len(languages)
    return counts


def _is_preposition(label: Label, text: str) -> bool:
    """Whether a short label, such as "from", "de" or "an", is a word of a sentence instead."""
    glued = text[label.end : label.end + 1].isdigit()
    if glued and label.end - label.start <= 3 and text[label.start : label.end].isupper():
        return True  # DE12 …
    short = label.end - label.start <= (3 if "plain_date" in label.kinds else 4)
    return (
        short
        and label.kinds <= PREPOSITIONS
        and not re.match(r"\s*(?:[:.]|\d|$)", text[label.end :])
    )


@lru_cache(1)
def _builtin() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(Path(__file__).with_name("labels.toml").read_text("utf-8"))
