"""What an adapter has to beat: classical models of the same training rows, and plain memory.

scikit-learn and the embeddings are imported where they are used.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from finetune_lora.answer.prediction import Prediction
from finetune_lora.example import Dataset, Example
from seedbed.errors import BadInput

MAJORITY = "most frequent answer"
_MAX_CHARS = 20_000  # of a text: enough to know what it is about
_NAMES = {"tfidf": "TF-IDF + logistic regression", "minilm": "MiniLM + logistic regression"}


class ClassicalBaseline:
    """Logistic regression on TF-IDF n-grams or on MiniLM's vectors, for text with a label.

    The regularization C is chosen among 1, 10 and 100 by cross-validation with a seed (10 where a
    label has one example). `embeddings` replaces MiniLM; any LangChain `Embeddings`.
    """

    def __init__(
        self, kind: Literal["tfidf", "minilm"], *, seed: int = 0, embeddings: Any = None
    ) -> None:
        self.name = _NAMES[kind]
        self.seed = seed
        self._kind = kind
        self._embeddings = embeddings
        self._vectorizer: Any = None
        self._model: Any = None
        self.labels: tuple[str, ...] = ()

    def fit(self, dataset: Dataset) -> ClassicalBaseline:
        """Learn the labels of a dataset. Raises BadInput without examples or labels."""
        labels = [example.label for example in dataset.examples]
        if not labels or None in labels:
            raise BadInput(
                f"{self.name} needs rows of text and label, which "
                f"{dataset.source or 'the dataset'} "
                "does not have.",
                hint='Use rows like {"text": …, "label": …}.',
            )
        self.labels = tuple(sorted({str(label) for label in labels}))
        texts = [_text(example) for example in dataset.examples]
        if self._kind == "tfidf":
            self._vectorizer = _tfidf().fit(texts)
        if len(self.labels) > 1:  # a single label needs no model
            self._fit(self._features(texts), labels)
        return self

    def _fit(self, features: Any, labels: Sequence[str | None]) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV, StratifiedKFold
        from threadpoolctl import threadpool_limits

        model: Any = LogisticRegression(C=10, tol=1e-3, max_iter=300, random_state=self.seed)
        folds = min(3, *Counter(labels).values())
        if folds > 1:
            split = StratifiedKFold(folds, shuffle=True, random_state=self.seed)
            model = GridSearchCV(model, {"C": [1, 10, 100]}, cv=split)
        # On a busy machine BLAS threads wait for each other far longer than they compute.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where it stopped short of the optimum, it still ranks
            model.fit(features, labels)
        self._model = model

    def _features(self, texts: Sequence[str]) -> Any:
        if self._kind == "tfidf":
            return self._vectorizer.transform(texts)
        import numpy as np

        if self._embeddings is None:
            from seedbed.models.embeddings.load_embeddings import load_embeddings

            self._embeddings = load_embeddings("minilm")
        return np.asarray(self._embeddings.embed_documents(list(texts)))

    def answer(self, examples: Sequence[Example], **_: Any) -> list[Prediction]:
        """The most probable label of each text, with the probability of every label.

        Seconds are those of the batch, shared out. Raises BadInput before `fit`.
        """
        if not self.labels:
            raise BadInput(f"{self.name} has not been fitted.", hint="Call fit(dataset) first.")
        if not examples:
            return []
        started = time.perf_counter()
        if self._model is None:
            table = [[1.0]] * len(examples)
        else:
            texts = [_text(example) for example in examples]
            table = self._model.predict_proba(self._features(texts)).tolist()
        seconds = (time.perf_counter() - started) / len(examples)
        scored = (dict(zip(self.labels, row, strict=True)) for row in table)
        return [Prediction(max(s, key=s.__getitem__), seconds, s) for s in scored]


class MajorityBaseline:
    """The most frequent answer of the training data, whatever the request: what knowing nothing
    achieves. A model that is not better than this has learned nothing."""

    name = MAJORITY

    def __init__(self) -> None:
        self._answer = ""
        self._shares: dict[str, float] | None = None

    def fit(self, dataset: Dataset) -> MajorityBaseline:
        """Count the answers of a dataset. Raises BadInput if it is empty."""
        counts = Counter(example.label or example.answer for example in dataset.examples)
        if not counts:
            raise BadInput(f"No examples in {dataset.source or 'the dataset'}.")
        self._answer = counts.most_common(1)[0][0]
        if dataset.is_classification:
            self._shares = {label: n / len(dataset) for label, n in counts.items()}
        return self

    def answer(self, examples: Sequence[Example], **_: Any) -> list[Prediction]:
        """The same answer for every example, with the share of each label as its score."""
        return [Prediction(self._answer, 0.0, self._shares) for _ in examples]


class NearestBaseline:
    """The answer of the most similar training request by TF-IDF: what memory alone achieves."""

    name = "nearest training request"

    def __init__(self) -> None:
        self._vectorizer: Any = None
        self._vectors: Any = None
        self._answers: list[str] = []

    def fit(self, dataset: Dataset) -> NearestBaseline:
        """Remember a dataset. Raises BadInput if it is empty."""
        if not dataset.examples:
            raise BadInput(f"No examples in {dataset.source or 'the dataset'}.")
        self._vectorizer = _tfidf()
        self._vectors = self._vectorizer.fit_transform([_text(e) for e in dataset.examples])
        self._answers = [example.answer for example in dataset.examples]
        return self

    def answer(self, examples: Sequence[Example], **_: Any) -> list[Prediction]:
        """The remembered answers. Raises BadInput before `fit`."""
        if not self._answers:
            raise BadInput(
                f"The {self.name} baseline has not been fitted.", hint="Call fit(dataset) first."
            )
        predictions = []
        for example in examples:
            started = time.perf_counter()
            similar = self._vectors @ self._vectorizer.transform([_text(example)]).T
            best = int(similar.toarray().argmax())
            predictions.append(Prediction(self._answers[best], time.perf_counter() - started))
        return predictions


def classical(train: Dataset) -> list[ClassicalBaseline | NearestBaseline | MajorityBaseline]:
    """The baselines that suit a training set, fitted."""
    majority = MajorityBaseline().fit(train)
    if train.is_classification:
        fitted = [ClassicalBaseline("tfidf").fit(train), ClassicalBaseline("minilm").fit(train)]
        return [majority, *fitted]
    return [majority, NearestBaseline().fit(train)]


def _text(example: Example) -> str:
    """What to tell apart; never empty, as a vectorizer without any n-gram fails."""
    return example.text[:_MAX_CHARS].strip() or "-"


def _tfidf() -> Any:
    """Words and their pairs, and 3 to 5 characters within words, which forgives typos."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    words = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]+", max_features=20_000
    )
    characters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, max_features=20_000
    )
    return FeatureUnion([("words", words), ("characters", characters)])
