"""The category of a mail, learned from labelled examples.

    classifier = Classifier(load_embeddings(), read_examples())
    classifier.probabilities("Where is my parcel?")    # {"shipping": 0.93, "billing": 0.02, …}

The average of two logistic regressions: on embeddings (MiniLM), which compare meaning, and on
character n-grams, which compare words in any language. Each alone is worse. Probabilities are
calibrated on examples that the models had not seen. Training takes a second or two, at first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from agentic_workflow.store.case import CATEGORIES, Category
from seedbed.errors import ConfigError
from seedbed.files import read_json_lines
from seedbed.models.embeddings import embed_texts

EXAMPLES = Path(__file__).with_name("examples.jsonl")
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """A mail with its category."""

    text: str
    category: Category


def as_text(subject: str, text: str) -> str:
    """A mail as the classifier reads it: subject and new text, without the rest of a long one."""
    return f"{subject}\n{text}".strip()[:3000]


def read_examples(path: Path = EXAMPLES) -> list[Example]:
    """Lines {"subject", "text", "category"}; raises ConfigError with the line that is wrong."""
    examples = []
    for place, row in read_json_lines(path):
        if row.get("category") not in CATEGORIES:
            raise ConfigError(f"{place}: unknown category {row.get('category')!r}.")
        examples.append(Example(as_text(row["subject"], row["text"]), row["category"]))
    return examples


class Classifier:
    """Learns from `examples`, at least two per category."""

    def __init__(self, embeddings: Embeddings, examples: Sequence[Example]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._embeddings = embeddings
        texts = [example.text for example in examples]
        labels = np.array([CATEGORIES.index(example.category) for example in examples])
        self._vectorizer = TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(2, 5),
            min_df=2,
            sublinear_tf=True,
            strip_accents="unicode",
        )
        vectors = embed_texts(embeddings, texts)
        grams = self._vectorizer.fit_transform(texts)
        self._meaning = _regression(10.0).fit(vectors, labels)
        self._words = _regression(30.0).fit(grams, labels)
        self._temperature = 1.0

    def probabilities(self, text: str) -> dict[Category, float]:
        """Each category's probability; together they are 1."""
        meaning = self._meaning.predict_proba(embed_texts(self._embeddings, [text]))
        words = self._words.predict_proba(self._vectorizer.transform([text]))
        mean = (meaning + words)[0] / 2
        sharp = mean ** (1 / self._temperature)
        return dict(zip(CATEGORIES, (sharp / sharp.sum()).tolist(), strict=True))


def _regression(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=500, class_weight="balanced")
