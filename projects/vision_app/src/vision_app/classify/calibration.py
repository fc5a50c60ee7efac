"""Confidences that mean what they say: temperature scaling, reliability diagram, calibration error.

    temperature = fit_temperature(logits, labels)          # on images that were not trained on
    probabilities = softmax(logits, temperature)
    calibration_error(probabilities.max(1), probabilities.argmax(1) == labels)

A classifier is calibrated if 70 % of the answers with confidence 0.7 are right. Drawing the diagram
is left to `evaluate`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
_BINS = 15  # as in Guo et al.


@dataclass(frozen=True)
class Bin:
    """One bar of a reliability diagram: `n` answers whose confidence is in (low, high]."""

    low: float
    high: float
    n: int
    confidence: float
    """Mean confidence; 0 without answers."""
    accuracy: float
    """Share of right answers; 0 without answers."""


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities of logits (n, classes); a higher temperature makes them more equal.

    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    scaled = (logits - logits.max(axis=1, keepdims=True)) / temperature
    exponents = np.exp(scaled)
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


def fit_temperature(logits: Floats, labels: npt.ArrayLike) -> float:
    """The temperature with the lowest log loss on logits (n, classes) and class indices (n,).

    Guo et al. 2017, https://arxiv.org/abs/1706.04599. It never changes which class comes first. The
    true class counts as (n + 1) / (n + 2) instead of 1, as in Platt scaling, since a few right
    answers don't justify a confidence of 100 %; with many, this makes no difference.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    n, classes = logits.shape
    truth = np.full((n, classes), 1 / (n + 2) / max(1, classes - 1))
    truth[np.arange(n), np.asarray(labels)] = (n + 1) / (n + 2)

    def loss(log_temperature: float) -> float:
        log_probabilities = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-(truth * log_probabilities).sum(axis=1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def reliability(confidences: npt.ArrayLike, correct: npt.ArrayLike, bins: int = _BINS) -> list[Bin]:
    """The reliability diagram of n answers: `bins` bars of equal width from 0 to 1.

    >>> reliability([0.75, 1.0], [True, False], bins=2)[1]
    Bin(low=0.5, high=1.0, n=2, confidence=0.875, accuracy=0.5)
    """
    confidence, right = np.asarray(confidences, float), np.asarray(correct, bool)
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    diagram = []
    for index in range(bins):
        inside = which == index
        n = int(inside.sum())
        means = (float(values[inside].mean()) if n else 0.0 for values in (confidence, right))
        diagram.append(Bin(float(edges[index]), float(edges[index + 1]), n, *means))
    return diagram


def calibration_error(
    confidences: npt.ArrayLike, correct: npt.ArrayLike, bins: int = _BINS
) -> float:
    """Expected calibration error (ECE): the mean gap between confidence and accuracy, 0 to 1.

    Bins are weighted by their number of answers; 0 without answers.

    >>> round(calibration_error([0.9, 0.8], [True, False], bins=2), 2)
    0.35
    """
    diagram = reliability(confidences, correct, bins)
    total = sum(bar.n for bar in diagram)
    return sum(bar.n * abs(bar.confidence - bar.accuracy) for bar in diagram) / max(1, total)
