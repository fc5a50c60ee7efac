"""Typing errors in questions, repaired with the words of the passages that were found.

    repair("wich prnter hadles A3?", passages, embeddings)    # "wich printer handles A3?"

A word is taken for a typing error if the embedding model's vocabulary does not have it, no passage
contains it, and one of their words is an edit away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rapidfuzz import process
from rapidfuzz.distance import OSA

from rag_chatbot.read.language import CJK, stem

SHORTEST = 5  # letters: among shorter words too many are an edit apart
LONG = 9  # letters from which on two edits are allowed
_WORD = re.compile(rf"[^\W\d_{CJK}]{{{SHORTEST},}}")  # CJK has no spaces between words


def repair(question: str, passages: Iterable[str], embeddings: Any) -> str:
    """The question with its misspelt words replaced; unchanged without a known vocabulary."""
    if not hasattr(embeddings, "count_tokens"):
        return question
    vocabulary = {word.lower() for passage in passages for word in _WORD.findall(passage)}
    stems = {stem(word) for word in vocabulary}

    def replacement(match: re.Match[str]) -> str:
        word = match[0].lower()
        if word in vocabulary or stem(word) in stems or embeddings.count_tokens(word) == 1:
            return match[0]
        edits = 2 if len(word) >= LONG else 1
        best = process.extractOne(word, vocabulary, scorer=OSA.distance, score_cutoff=edits)
        return best[0] if best else match[0]

    return _WORD.sub(replacement, question)
