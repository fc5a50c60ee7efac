"""What the offline brain asks a document index about words, by the lists in `words.toml`.

words = IndexWords(index)
words.coverage("How long is the warranty?")      # 1.0: every word is in one passage
words.rephrase("How cold is the fridge?")        # 'How cold is the refrigerator?'
"""

from __future__ import annotations

import math
import re
from collections import defaultdict

from multi_agent.documents.index import IN_HEADING, DocumentIndex
from multi_agent.offline.quotes.words import tokens, weights
from seedbed.models.embeddings.load import embed_texts

SYNONYM = 0.8  # cosine of two words; fridge and refrigerator 0.96, vegetarian and vegan 0.75


class IndexWords:
    """The words of an index, with their stems, groups and number words as `words` has them."""

    def __init__(self, index: DocumentIndex) -> None:
        self.index = index
        self._postings: dict[str, dict[int, float]] = defaultdict(dict)
        for number, passage in enumerate(index.passages):
            for text, weight in ((passage.heading, IN_HEADING), (passage.text, 1.0)):
                for token in tokens(text):
                    self._postings[token.term][number] = weight

    def coverage(self, question: str) -> float:
        """The largest share, 0 to 1, of the question's words in one passage; without a model."""
        shares, total = defaultdict[int, float](float), 0.0
        for term, weight in weights(question).items():
            postings = self._postings.get(term, {})
            rest = len(self.index.passages) - len(postings)
            weight *= math.log(1 + (rest + 0.5) / (len(postings) + 0.5))  # as in BM25
            total += weight
            for number, level in postings.items():
                shares[number] += weight * level
        return max(shares.values(), default=0.0) / total if total else 0.0

    def rephrase(self, question: str) -> str:
        """The question with words that no document has replaced by synonyms that one has.

        Only close ones: "refrigerator" for "fridge", not "dog" for "cat"; nor what is asked for.
        """
        strong = {term for term, weight in weights(question).items() if weight == 1.0}
        unknown = {t.word for t in tokens(question) if t.term in strong - self._postings.keys()}
        words = [w for w in unknown if w.islower() and not re.search(rf"(?i)wh\w+ {w}\b", question)]
        hits = self.index.search(question, 20) if words else ()
        texts = (f"{hit.heading} {hit.text}" for hit in hits)
        vocabulary = sorted({t.word for text in texts for t in tokens(text) if t.word.islower()})
        if not vocabulary:
            return question
        vectors = embed_texts(self.index.embeddings, words + vocabulary)
        likeness = vectors[: len(words)] @ vectors[len(words) :].T
        for word, cosines in zip(words, likeness, strict=True):
            if cosines.max() >= SYNONYM:
                question = question.replace(word, vocabulary[int(cosines.argmax())])
        return question

    def rarity(self, term: str) -> float:
        """How rare a term is in the documents: 0 in every passage, 1 in none."""
        count, total = len(self._postings.get(term, ())), len(self.index.passages)
        return math.log((total + 1) / (count + 1)) / math.log(total + 1)
