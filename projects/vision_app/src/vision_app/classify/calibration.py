"""Confidences that mean what they say: temperature scaling and calibration error.

    temperature = fit_temperature(logits, labels)          # on images that were not trained on
    probabilities = softmax(logits, temperature)
    calibration_error(probabilities.max(1), probabilities.argmax(1) == labels)

A classifier is calibrated if 70 % of the answers with confidence 0.7 are right.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


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


def calibration_error(confidences: npt.ArrayLike, correct: npt.ArrayLike, bins: int = 15) -> float:
    """Expected calibration error (ECE): the mean gap between confidence and accuracy, 0 to 1.

    Answers are sorted by confidence into `bins` of equal width from 0 to 1, (low, high]; the gap of
    each bin is weighted by its number of answers. 0 without answers.

    >>> round(calibration_error([0.9, 0.8], [True, False], bins=2), 2)
    0.35
    """
    confidence, right = np.asarray(confidences, float), np.asarray(correct, bool)
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    # The mean gap of a bin, times its number of answers, is the sum of its differences.
    gaps = [abs((confidence - right)[which == index].sum()) for index in range(bins)]
    return float(sum(gaps)) / max(1, len(right))
