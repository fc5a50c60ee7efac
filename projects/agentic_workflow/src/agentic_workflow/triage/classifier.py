"""The category of a mail, learned from labelled examples.

    classifier = Classifier(load_embeddings())
    classifier.probabilities(mail, read_signals(mail))    # {"shipping": 0.93, "billing": 0.02, …}

The mean of two logistic regressions: one on embeddings, which compare meaning (MiniLM does so for
English above all), one on character n-grams together with the topics and signals of `words.toml`,
which carry over from one language to another. Training takes some seconds and happens once; the
weights are cached under a hash of everything they come from.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from agentic_workflow.store.case import CATEGORIES, Category, Mail
from agentic_workflow.triage.fields import SIGNALS, Signals, open_text, own_text, read_signals
from agentic_workflow.triage.words import matcher, plain, tables
from seedbed.errors import ConfigError, SeedbedError
from seedbed.files import read_json_lines, write_bytes
from seedbed.models.embeddings.load import embed_texts
from seedbed.settings import Settings, load

log = logging.getLogger(__name__)
EXAMPLES = Path(__file__).with_name("examples.jsonl")
Matrix = npt.NDArray[np.float64]
_FOLDS = 4
_NGRAMS: dict[str, Any] = {"analyzer": "char_wb", "ngram_range": (3, 5), "sublinear_tf": True}


def read_examples(path: Path = EXAMPLES) -> list[tuple[Mail, Category]]:
    """Lines {"subject", "text", "category"}; raises ConfigError with the line that is wrong."""
    examples = []
    for place, row in read_json_lines(path):
        if row.get("category") not in CATEGORIES:
            raise ConfigError(f"{place}: unknown category {row.get('category')!r}.")
        texts = {"subject": row["subject"], "text": row["text"]}
        mail = Mail(message_id=place, content_hash="", sender="", **texts)
        examples.append((mail, row["category"]))
    return examples


class Classifier:
    """Learns from `examples`, or loads what it learned from `folder`, by default the cache."""

    def __init__(
        self, embeddings: Embeddings, examples: Path = EXAMPLES, folder: Path | None = None
    ) -> None:
        self._embeddings = embeddings
        name = getattr(embeddings, "name", type(embeddings).__name__)
        # The rules are a part of the features, so that the weights depend on their code too.
        files = [examples, *sorted(Path(__file__).parent.glob("*.[pt]*"))]
        source = b"\0".join([name.encode(), *(file.read_bytes() for file in files)])
        folder = folder or load(Settings).cache_dir
        path = folder / f"triage-{hashlib.sha256(source).hexdigest()[:16]}.npz"
        try:
            self._weights = dict(np.load(path, allow_pickle=False))
        except (OSError, ValueError, BadZipFile):  # not there yet, or cut off
            self._weights = self._train(read_examples(examples))
            _store(path, self._weights)
        self._transform = _transformer(self._weights)

    def probabilities(self, mail: Mail, signals: Signals) -> dict[Category, float]:
        """Each category's calibrated probability; together they are 1."""
        weights, text = self._weights, _text(mail)
        vector = embed_texts(self._embeddings, [text])
        words = self._transform([text], _indicators(text, signals)[None])
        meaning = vector @ weights["meaning"].T + weights["meaning_bias"]
        mean = _mean(
            _softmax(meaning), _softmax(words @ weights["words"].T + weights["words_bias"])
        )
        sharp = mean[0] ** weights["sharpness"]
        return dict(zip(CATEGORIES, (sharp / sharp.sum()).tolist(), strict=True))

    def _train(self, examples: Sequence[tuple[Mail, Category]]) -> dict[str, npt.NDArray[Any]]:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.model_selection import StratifiedKFold

        # 1. Features of all examples.
        texts = [_text(mail) for mail, _ in examples]
        labels = np.array([CATEGORIES.index(category) for _, category in examples])
        vectors = embed_texts(self._embeddings, texts)
        vectorizer = TfidfVectorizer(**_NGRAMS, min_df=2).fit(texts)
        vocabulary = np.array(vectorizer.get_feature_names_out(), dtype=np.str_)
        weights = {"vocabulary": vocabulary, "idf": vectorizer.idf_}
        signals = [read_signals(mail) for mail, _ in examples]
        words = _transformer(weights)(texts, np.array(list(map(_indicators, texts, signals))))
        # 2. Calibration: the sharpness at which unseen examples are predicted best.
        unseen = np.zeros((len(labels), len(CATEGORIES)))
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
        parts = (("meaning", vectors, 3.0), ("words", words, 10.0))
        for rows, rest in folds.split(vectors, labels):
            models = [(_regression(data[rows], labels[rows], c), data) for _, data, c in parts]
            unseen[rest] = _mean(*(model.predict_proba(data[rest]) for model, data in models))
        weights["sharpness"] = np.array(_sharpness(unseen, labels))
        # 3. The models, on all examples.
        for name, features, strength in parts:
            model = _regression(features, labels, strength)
            weights |= {name: model.coef_, f"{name}_bias": model.intercept_}
        return weights


def _text(mail: Mail) -> str:
    """What a mail says now, in plain text, without the rest of a long one; digits are equal."""
    return re.sub(r"\d+", "0", open_text(mail) or plain(own_text(mail)))[:3000]


def _indicators(text: str, signals: Signals) -> Matrix:
    """How many different words of each table occur, and which signals the rules read."""
    counts = [len(set(matcher(name).findall(text))) for name in tables("words.toml")]
    topics = [0.15 * min(4, count) ** 0.5 for count in counts]
    return np.array(topics + [0.3 * bool(getattr(signals, name)) for name in SIGNALS])


def _transformer(weights: dict[str, npt.NDArray[Any]]) -> Callable[[list[str], Matrix], Any]:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(**_NGRAMS, vocabulary=weights["vocabulary"].tolist())
    vectorizer.idf_ = weights["idf"]
    return lambda texts, extra: hstack([vectorizer.transform(texts), csr_matrix(extra)]).tocsr()


def _regression(features: Any, labels: npt.NDArray[Any], strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=300, class_weight="balanced")
    return model.fit(features, labels)


def _mean(meaning: Matrix, words: Matrix) -> Matrix:
    """Words count double: MiniLM knows little but English (80 % there, 45 % elsewhere)."""
    return (meaning + 2 * words) / 3


def _softmax(scores: Any) -> Matrix:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _sharpness(unseen: Matrix, labels: npt.NDArray[Any]) -> float:
    """The exponent of probabilities with the lowest log loss (temperature scaling)."""

    def loss(exponent: float) -> float:
        sharp = np.maximum(unseen, 1e-9) ** exponent
        return float(-np.log(sharp[range(len(labels)), labels] / sharp.sum(axis=1)).mean())

    return min((step / 10 for step in range(5, 51)), key=loss)


def _store(path: Path, weights: dict[str, npt.NDArray[Any]]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **weights)  # type: ignore[arg-type]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, buffer.getvalue())
    except (OSError, SeedbedError) as error:
        log.warning("Cannot cache the classifier in %s (%s); each start trains it.", path, error)
