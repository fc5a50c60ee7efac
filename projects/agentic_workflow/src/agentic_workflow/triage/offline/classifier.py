"""The category of a mail, learned from labelled examples.

    classifier = Classifier(load_embeddings())
    classifier.probabilities("Where is my parcel?")    # {"shipping": 0.93, "billing": 0.02, …}

The mean of two logistic regressions: one on embeddings, which compare meaning, one on character
n-grams. Another language needs examples and no words; MiniLM compares meaning in English above all,
multilingual-e5 in a hundred languages. Training takes some seconds and happens once; what was
learned is cached under a hash of everything it comes from.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sklearn
from langchain_core.embeddings import Embeddings
from pydantic import BaseModel
from scipy.sparse import hstack
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from agentic_workflow.case import CATEGORIES, Category
from agentic_workflow.triage.finders import plain
from seedbed.errors import BadInput, SeedbedError
from seedbed.files import read_models, write_bytes
from seedbed.models.embeddings.load_embeddings import embed_texts
from seedbed.settings import Settings, load

log = logging.getLogger(__name__)
EXAMPLES = Path(__file__).with_name("examples.jsonl")
_FOLDS = 4


class Example(BaseModel):
    subject: str
    text: str
    category: Category


def read_examples(path: Path = EXAMPLES) -> list[Example]:
    """The lines of a file, at least four of each category.

    Raises BadInput with the line that is wrong, or with the categories that lack examples.
    """
    examples = [example for _, example in read_models(path, Example)]
    counts = Counter(example.category for example in examples)
    if few := [f"{name} {counts[name]}" for name in CATEGORIES if counts[name] < _FOLDS]:
        hint = "Add some to the shipped ones."
        problem = f"{path}: each category needs {_FOLDS} examples, not {', '.join(few)}."
        raise BadInput(problem, hint=hint)
    return examples


class Classifier:
    """Learns from `examples`, or loads what it learned from `folder`, by default the cache."""

    def __init__(
        self, embeddings: Embeddings, examples: Path = EXAMPLES, folder: Path | None = None
    ) -> None:
        self._embeddings = embeddings
        name = getattr(embeddings, "name", type(embeddings).__name__)
        names = (name.encode(), sklearn.__version__.encode())
        source = b"\0".join([*names, *(file.read_bytes() for file in (examples, Path(__file__)))])
        folder = folder or load(Settings).cache_dir
        path = folder / f"triage-{hashlib.sha256(source).hexdigest()[:16]}.pickle"
        try:
            self._vectorizer, self._model = pickle.loads(path.read_bytes())
        except Exception:  # not there yet, or cut off, which pickle reports in many ways
            self._train(read_examples(examples))
            _store(path, (self._vectorizer, self._model))

    def probabilities(self, text: str) -> dict[Category, float]:
        """Each category's calibrated probability; together they are 1."""
        (odds,) = self._model.predict_proba(self._features([_simplified(text)]))
        return dict(zip(self._model.classes_.tolist(), odds.tolist(), strict=True))

    def _train(self, examples: Sequence[Example]) -> None:
        # 1. Features of all examples: the embeddings, then the n-grams.
        texts = [_simplified(f"{example.subject}\n\n{example.text}") for example in examples]
        ngrams: dict[str, Any] = {"analyzer": "char_wb", "ngram_range": (3, 5)}
        self._vectorizer = TfidfVectorizer(**ngrams, sublinear_tf=True, min_df=2).fit(texts)
        features = self._features(texts)
        # 2. A model for each; calibration by the temperature that predicts unseen examples best.
        ngrams_from = features.shape[1] - len(self._vectorizer.vocabulary_)
        models = VotingClassifier(
            [
                ("meaning", _regression(slice(0, ngrams_from), strength=3)),
                ("words", _regression(slice(ngrams_from, None), strength=10)),
            ],
            voting="soft",
        )
        model = CalibratedClassifierCV(models, method="temperature", cv=_FOLDS, ensemble=False)
        self._model = model.fit(features, [example.category for example in examples])

    def _features(self, texts: list[str]) -> Any:
        vectors = embed_texts(self._embeddings, texts)
        return hstack([vectors, self._vectorizer.transform(texts)], format="csr")


def _simplified(text: str) -> str:
    """Plain text without the rest of a long one; digits are equal."""
    return re.sub(r"\d+", "0", plain(text.strip()))[:3000]


def _regression(columns: slice, strength: float) -> Any:
    model = LogisticRegression(C=strength, max_iter=300, class_weight="balanced")
    return make_pipeline(ColumnTransformer([("part", "passthrough", columns)]), model)


def _store(path: Path, learned: object) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, pickle.dumps(learned))
    except (OSError, SeedbedError) as error:
        log.warning("Cannot cache the classifier in %s (%s); each start trains it.", path, error)
