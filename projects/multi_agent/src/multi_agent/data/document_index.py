"""Hybrid search in a folder of documents: words and meaning together.

    index = DocumentIndex(Path("docs"), load_embeddings())
    index.search("How long is the warranty?", k=5)[0].text

A passage's score is the mean of two: the share of the question's word stems that are in it or its
heading, weighted by inverse document frequency, so that common words count little, and the cosine
of the embeddings. Both run from 0 to 1 whatever the folder.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from multi_agent.data.passages import Passage, read_folder
from seedbed.models.embeddings.load_embeddings import Vectors, embed_texts

CANDIDATES = 200  # passages that a search embeds: those with the best lexical scores
IN_HEADING = 0.7  # weight of a stem in the heading; one in the text has 1
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")


class DocumentIndex:
    """The passages of a folder, embedded when needed. Raises NotFound if there is no folder."""

    def __init__(self, folder: Path, embeddings: Any) -> None:
        self.passages, self.embeddings = read_folder(folder), embeddings
        self._vectors: dict[int, Vectors] = {}  # of the passages that were candidates so far
        self._postings: dict[str, dict[int, float]] = defaultdict(dict)
        for number, passage in enumerate(self.passages):
            for text, weight in ((passage.heading, IN_HEADING), (passage.text, 1.0)):
                for stem in stems(text):
                    self._postings[stem][number] = weight

    def search(self, question: str, k: int = 5) -> list[Passage]:
        """The best `k` passages, best first."""
        # 1. The passages that contain most of the question's rare words.
        lexical = self._lexical_scores(question)
        candidates = np.argsort(-lexical, kind="stable")[:CANDIDATES].tolist()
        # 2. Their similarity to the question; embeddings are computed when first needed.
        missing = [number for number in candidates if number not in self._vectors]
        texts = [f"{self.passages[n].heading}: {self.passages[n].text}" for n in missing]
        query, *vectors = embed_texts(self.embeddings, [question, *texts], queries=1)
        self._vectors |= dict(zip(missing, vectors, strict=True))
        cosines = {n: max(0.0, float(self._vectors[n] @ query)) for n in candidates}
        # 3. The mean of both.
        scores = {n: (float(lexical[n]) + cosine) / 2 for n, cosine in cosines.items()}
        best = sorted(scores, key=lambda n: -scores[n])[:k]
        return [self.passages[n] for n in best]

    def _lexical_scores(self, question: str) -> Vectors:
        """float32 (passages,), 0 to 1."""
        scores, total = np.zeros(len(self.passages), np.float32), 0.0
        for stem in set(stems(question)):
            postings = self._postings.get(stem, {})
            # Inverse document frequency, as in BM25.
            weight = math.log(1 + (len(scores) - len(postings) + 0.5) / (len(postings) + 0.5))
            scores[list(postings)] += weight * np.array(list(postings.values()), np.float32)
            total += weight
        return scores / total if total else scores


def stems(text: str) -> Iterator[str]:
    """The word stems of an English text, and its numbers.

    >>> list(stems("Three kettles, 1,000 bicycles"))
    ['three', 'kettl', '1,000', 'bicycl']
    """
    return (stem(word) for word in _WORD.findall(text.lower()))


@cache
def stem(word: str) -> str:
    import snowballstemmer

    return str(snowballstemmer.stemmer("english").stemWord(word))
