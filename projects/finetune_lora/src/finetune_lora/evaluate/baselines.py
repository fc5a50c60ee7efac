"""What an adapter has to beat: classical models of the same training rows, and plain memory.

scikit-learn and the embeddings are imported where they are used.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from finetune_lora.answer.prediction import Prediction
from finetune_lora.example import Dataset, Example

MAJORITY = "most frequent answer"
"""The score of a model that ignores the request: one that is not better has learned nothing."""
NEAREST = "nearest training request"
_MAX_CHARS = 20_000  # of a text: enough to know what it is about


class Baseline:
    """A classifier of scikit-learn, from a request's text to its label or whole answer."""

    def __init__(self, name: str, model: Any, train: Dataset) -> None:
        from threadpoolctl import threadpool_limits

        self.name, self._model = name, model
        # On a busy machine BLAS threads wait for each other far longer than they compute.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that has not converged is still a baseline
            model.fit(_texts(train.examples), [e.label or e.answer for e in train.examples])

    def answer(self, examples: Sequence[Example], **_: Any) -> list[Prediction]:
        """One prediction for each example; seconds are those of the batch, divided evenly."""
        started = time.perf_counter()
        answers = self._model.predict(_texts(examples))
        seconds = (time.perf_counter() - started) / len(examples)
        return [Prediction(str(answer), seconds) for answer in answers]


def classical(train: Dataset) -> list[Baseline]:
    """The baselines that suit a training set, fitted."""
    from sklearn.dummy import DummyClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    models = {MAJORITY: DummyClassifier(strategy="most_frequent")}
    if not train.is_classification:
        models[NEAREST] = make_pipeline(_tfidf(), KNeighborsClassifier(1, metric="cosine"))
    elif len(train.labels) > 1:
        for name, features in (("TF-IDF", _tfidf()), ("MiniLM", _minilm())):
            model = make_pipeline(features, _regression(train))
            models[f"{name} + logistic regression"] = model
    return [Baseline(name, model, train) for name, model in models.items()]


def _texts(examples: Sequence[Example]) -> list[str]:
    """The texts to classify; never empty, as a vectorizer without any n-gram fails."""
    return [example.text[:_MAX_CHARS].strip() or "-" for example in examples]


def _regression(train: Dataset) -> Any:
    """Logistic regression with C from cross-validation, or 10 if a label has a single example."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    model = LogisticRegression(C=10, tol=1e-3, max_iter=300, random_state=0)
    folds = min(3, *Counter(example.label for example in train.examples).values())
    if folds == 1:
        return model
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    return GridSearchCV(model, {"C": [1, 10, 100]}, cv=split)


def _tfidf() -> Any:
    """Words and their pairs, and 3 to 5 characters within words, which forgives typos."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    options: dict[str, Any] = {"sublinear_tf": True, "max_features": 20_000}
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]+", **options)
    return make_union(words, TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), **options))


def _minilm() -> Any:
    from sklearn.preprocessing import FunctionTransformer

    from seedbed.models.embeddings.load_embeddings import load_embeddings

    return FunctionTransformer(load_embeddings("minilm").embed_documents)
