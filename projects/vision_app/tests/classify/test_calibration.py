"""Calibration on made-up answers whose true confidence is known."""

from __future__ import annotations

import numpy as np
import pytest

from vision_app.classify.calibration import (
    calibration_error,
    fit_temperature,
    softmax,
)


def answers(n: int, factor: float, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, classes) that are `factor` times the true ones, and labels drawn from the true."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (n, classes)).astype(np.float32)
    cumulated = softmax(logits).cumsum(axis=1)
    labels = (rng.random((n, 1)) > cumulated).sum(axis=1).clip(0, classes - 1)
    return logits * factor, labels


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_fit_temperature_recovers_the_scale_of_the_logits(factor: float) -> None:
    logits, labels = answers(4000, factor)
    assert fit_temperature(logits, labels) == pytest.approx(factor, rel=0.06)


def test_temperature_repairs_calibration_and_keeps_the_order() -> None:
    logits, labels = answers(4000, 3.0)
    before, after = softmax(logits), softmax(logits, fit_temperature(logits, labels))
    right = before.argmax(1) == labels
    assert calibration_error(before.max(1), right) > 0.1
    assert calibration_error(after.max(1), right) < 0.03
    np.testing.assert_array_equal(before.argmax(1), after.argmax(1))


def test_few_right_answers_do_not_justify_full_confidence() -> None:
    logits = np.array([[4.0, 0.0], [0.0, 4.0], [4.0, 0.0]], np.float32)
    confidence = softmax(logits, fit_temperature(logits, [0, 1, 0])).max()
    assert confidence == pytest.approx(4 / 5, abs=0.01)


def test_calibration_error_is_the_weighted_gap() -> None:
    confidences = [0.95] * 10 + [0.55] * 30
    correct = [True] * 5 + [False] * 5 + [True] * 15 + [False] * 15
    assert calibration_error(confidences, correct) == pytest.approx((10 * 0.45 + 30 * 0.05) / 40)
    assert calibration_error([], []) == 0
