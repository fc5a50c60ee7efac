"""The category of a mail, learned from labelled examples.

    classifier = Classifier(load_embeddings())
    classifier.probabilities("Where is my parcel?")    # {"shipping": 0.93, "billing": 0.02, …}

The mean of two logistic regressions: one on embeddings, which compare meaning, one on character
n-grams. Another language needs examples and no words; MiniLM compares meaning in English above all,
multilingual-e5 in a hundred languages. Training takes some seconds and happens once; the weights
are cached under a hash of everything they come from.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from agentic_workflow.case import CATEGORIES, Category
from agentic_workflow.triage.finders import plain
from seedbed.errors import ConfigError, SeedbedError
from seedbed.files import read_json_lines, write_bytes
from seedbed.models.embeddings.load_embeddings import embed_texts
from seedbed.settings import Settings, load

log = logging.getLogger(__name__)
EXAMPLES = Path(__file__).with_name("examples.jsonl")
Matrix = npt.NDArray[np.float64]
_FOLDS = 4
_STRENGTHS = {"meaning": 3.0, "words": 10.0}  # inverse regularization of the two models
_NGRAMS: dict[str, Any] = {"analyzer": "char_wb", "ngram_range": (3, 5), "sublinear_tf": True}


def read_examples(path: Path = EXAMPLES) -> list[tuple[str, Category]]:
    """Lines {"subject", "text", "category"}, at least four of each category.

    Raises ConfigError with the line that is wrong, or with the category that lacks examples.
    """
    examples: list[tuple[str, Category]] = []
    for place, row in read_json_lines(path):
        if row.get("category") not in CATEGORIES:
            raise ConfigError(f"{place}: unknown category {row.get('category')!r}.")
        if missing := [name for name in ("subject", "text") if not isinstance(row.get(name), str)]:
            raise ConfigError(f"{place}: {missing[0]!r} is missing, or is not text.")
        examples.append((f"{row['subject']}\n\n{row['text']}", row["category"]))
    counts = Counter(category for _, category in examples)
    if few := [f"{name} {counts[name]}" for name in CATEGORIES if counts[name] < _FOLDS]:
        hint = "Add some to the shipped ones."
        raise ConfigError(
            f"{path}: each category needs {_FOLDS} examples, not {', '.join(few)}.", hint=hint
        )
    return examples


class Classifier:
    """Learns from `examples`, or loads what it learned from `folder`, by default the cache."""

    def __init__(
        self, embeddings: Embeddings, examples: Path = EXAMPLES, folder: Path | None = None
    ) -> None:
        self._embeddings = embeddings
        name = getattr(embeddings, "name", type(embeddings).__name__)
        files = (examples, Path(__file__))
        source = b"\0".join([name.encode(), *(file.read_bytes() for file in files)])
        folder = folder or load(Settings).cache_dir
        path = folder / f"triage-{hashlib.sha256(source).hexdigest()[:16]}.npz"
        try:
            self._weights = dict(np.load(path, allow_pickle=False))
        except (OSError, ValueError, BadZipFile):  # not there yet, or cut off
            self._weights = self._train(read_examples(examples))
            _store(path, self._weights)
        self._vectorizer = _vectorizer(self._weights)

    def probabilities(self, text: str) -> dict[Category, float]:
        """Each category's calibrated probability; together they are 1."""
        weights, texts = self._weights, [_simplified(text)]
        features = (embed_texts(self._embeddings, texts), self._vectorizer.transform(texts))
        odds = [
            _softmax(values @ weights[name].T + weights[f"{name}_bias"])
            for name, values in zip(_STRENGTHS, features, strict=True)
        ]
        sharp = _mean(odds, weights["share"])[0] ** weights["sharpness"]
        return dict(zip(CATEGORIES, (sharp / sharp.sum()).tolist(), strict=True))

    def _train(self, examples: Sequence[tuple[str, Category]]) -> dict[str, npt.NDArray[Any]]:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.model_selection import StratifiedKFold

        # 1. Features of all examples.
        texts = [_simplified(text) for text, _ in examples]
        labels = np.array([CATEGORIES.index(category) for _, category in examples])
        vectorizer = TfidfVectorizer(**_NGRAMS, min_df=2).fit(texts)
        vocabulary = np.array(vectorizer.get_feature_names_out(), dtype=np.str_)
        weights = {"vocabulary": vocabulary, "idf": vectorizer.idf_}
        features = (embed_texts(self._embeddings, texts), vectorizer.transform(texts))
        parts = list(zip(_STRENGTHS, features, strict=True))
        # 2. Calibration: the mean and the sharpness that predict unseen examples best.
        unseen = np.zeros((len(parts), len(labels), len(CATEGORIES)))
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
        for rows, rest in folds.split(texts, labels):
            for part, (name, data) in enumerate(parts):
                model = _regression(data[rows], labels[rows], _STRENGTHS[name])
                unseen[part, rest] = model.predict_proba(data[rest])
        _, weights["share"], weights["sharpness"] = min(
            (_loss(_mean(unseen, share), labels, sharpness), share, sharpness)
            for share in np.arange(1, 10) / 10
            for sharpness in np.arange(5, 51) / 10
        )
        # 3. The models, on all examples.
        for name, data in parts:
            model = _regression(data, labels, _STRENGTHS[name])
            weights |= {name: model.coef_, f"{name}_bias": model.intercept_}
        return weights


def _simplified(text: str) -> str:
    """Plain text without the rest of a long one; digits are equal."""
    return re.sub(r"\d+", "0", plain(text.strip()))[:3000]


def _vectorizer(weights: dict[str, npt.NDArray[Any]]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(**_NGRAMS, vocabulary=weights["vocabulary"].tolist())
    vectorizer.idf_ = weights["idf"]
    return vectorizer


def _regression(features: Any, labels: npt.NDArray[Any], strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=300, class_weight="balanced")
    return model.fit(features, labels)


def _mean(odds: Any, share: Any) -> Matrix:
    """The embeddings' share grows with what they know of the examples' languages."""
    return np.asarray(share * odds[0] + (1 - share) * odds[1])


def _softmax(scores: Any) -> Matrix:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _loss(odds: Matrix, labels: npt.NDArray[Any], sharpness: float) -> float:
    """The log loss after temperature scaling."""
    sharp = np.maximum(odds, 1e-9) ** sharpness
    return float(-np.log(sharp[range(len(labels)), labels] / sharp.sum(axis=1)).mean())


def _store(path: Path, weights: dict[str, npt.NDArray[Any]]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **weights)  # type: ignore[arg-type]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, buffer.getvalue())
    except (OSError, SeedbedError) as error:
        log.warning("Cannot cache the classifier in %s (%s); each start trains it.", path, error)
