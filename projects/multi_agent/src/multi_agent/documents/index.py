"""Hybrid search in a folder of documents: words and meaning together.

    index = open_documents(Path("docs"), load_embeddings())
    index.search("How long is the warranty?", k=5)[0].text

A passage's score is the mean of two: the share of the question's terms that are in it or its
heading, weighted by rarity, and the cosine of the embeddings. Both run from 0 to 1 whatever the
folder, so `span` can judge the best passage by its score; ranks cannot tell good from least bad.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from multi_agent.documents.read import Passage, read_folder
from multi_agent.offline.quotes.words import tokens, weights
from seedbed.models.embeddings.load import Vectors, embed_texts

CANDIDATES = 200  # passages per search that are embedded, those with the best words
SYNONYM = 0.8  # cosine of two words; fridge and refrigerator 0.96, vegetarian and vegan 0.75
IN_HEADING = 0.7  # a term in the heading against one in the text


class DocumentIndex:
    """The passages of a folder. `skipped` lists the files that could not be read, with reasons."""

    def __init__(self, passages: list[Passage], embeddings: Any, skipped: list[str]) -> None:
        self.passages, self.embeddings, self.skipped = passages, embeddings, skipped
        self._vectors: dict[int, Vectors] = {}  # of the passages that were candidates so far
        self._postings: dict[str, dict[int, float]] = defaultdict(dict)
        for number, passage in enumerate(passages):
            for text, weight in ((passage.heading, IN_HEADING), (passage.text, 1.0)):
                for token in tokens(text):
                    self._postings[token.term][number] = weight

    def search(self, question: str, k: int = 5) -> list[Passage]:
        """The best `k` passages, best first, each with its score."""
        lexical = self._lexical_scores(question)
        candidates = np.argsort(-lexical, kind="stable")[:CANDIDATES].tolist()
        missing = [number for number in candidates if number not in self._vectors]
        texts = [f"{self.passages[n].heading}: {self.passages[n].text}" for n in missing]
        query, *vectors = embed_texts(self.embeddings, [question, *texts], queries=1)
        self._vectors |= dict(zip(missing, vectors, strict=True))
        cosines = {n: max(0.0, float(self._vectors[n] @ query)) for n in candidates}
        scores = {n: (float(lexical[n]) + cosine) / 2 for n, cosine in cosines.items()}
        best = sorted(scores, key=lambda n: -scores[n])[:k]
        return [replace(self.passages[n], score=round(scores[n], 4)) for n in best]

    def coverage(self, question: str) -> float:
        """The largest share, 0 to 1, of the question's words in one passage; without a model."""
        return float(self._lexical_scores(question).max(initial=0.0))

    def rephrase(self, question: str) -> str:
        """The question with words that no document has replaced by synonyms that one has.

        Only close ones: "refrigerator" for "fridge", not "dog" for "cat"; nor what is asked for.
        """
        strong = {term for term, weight in weights(question).items() if weight == 1.0}
        unknown = {t.word for t in tokens(question) if t.term in strong - self._postings.keys()}
        words = [w for w in unknown if w.islower() and not re.search(rf"(?i)wh\w+ {w}\b", question)]
        texts = (f"{p.heading} {p.text}" for p in (self.search(question, 20) if words else ()))
        vocabulary = sorted({t.word for text in texts for t in tokens(text) if t.word.islower()})
        if not vocabulary:
            return question
        vectors = embed_texts(self.embeddings, words + vocabulary)
        for word, cosines in zip(
            words, vectors[: len(words)] @ vectors[len(words) :].T, strict=True
        ):
            if cosines.max() >= SYNONYM:
                question = question.replace(word, vocabulary[int(cosines.argmax())])
        return question

    def rarity(self, term: str) -> float:
        """How rare a term is in the documents: 0 in every passage, 1 in none."""
        count, total = len(self._postings.get(term, ())), len(self.passages)
        return math.log((total + 1) / (count + 1)) / math.log(total + 1)

    def _lexical_scores(self, question: str) -> Vectors:
        """float32 (passages,), 0 to 1."""
        scores, total = np.zeros(len(self.passages), np.float32), 0.0
        for term, weight in weights(question).items():
            postings = self._postings.get(term, {})
            # Inverse document frequency, as in BM25.
            weight *= math.log(1 + (len(scores) - len(postings) + 0.5) / (len(postings) + 0.5))
            scores[list(postings)] += weight * np.array(list(postings.values()), np.float32)
            total += weight
        return scores / total if total else scores


def open_documents(folder: Path, embeddings: Any) -> DocumentIndex:
    """Read a folder; passages are embedded when a search needs them.

    Raises NotFound if the folder does not exist.
    """
    passages, skipped = read_folder(folder)
    return DocumentIndex(passages, embeddings, skipped)
