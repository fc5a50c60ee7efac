"""Checks of exercise 1: the bars of a reliability diagram."""

import warnings

import numpy as np

from vision_app.classify.calibration import reliability


def expect(
    bins: int, answers: dict[float, bool], as_lists: bool = False, **expected: object
) -> None:
    """`answers`: whether the one with this confidence is right. `expected`: by field of a bar."""
    confidences, correct = list(answers), list(answers.values())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns of the mean of nothing
        if as_lists:
            bars = reliability(confidences, correct, bins)
        else:
            bars = reliability(np.array(confidences), np.array(correct), bins)
    actual = {name: [round(float(getattr(b, name)), 3) for b in bars] for name in expected}
    case = f"{bins} bars, answers {answers}"
    assert actual == expected, f"{case}: expected {expected}, got {actual}"


def check_1_bars_have_equal_width() -> None:
    expect(4, {0.1: True}, low=[0, 0.25, 0.5, 0.75], high=[0.25, 0.5, 0.75, 1])


def check_2_an_answer_belongs_to_the_bar_that_ends_at_its_confidence() -> None:
    expect(4, {0.25: True, 0.5: False, 0.75: True, 0.76: True, 1.0: False}, n=[1, 1, 1, 2])
    expect(2, {0.0: True, 0.8: False, 0.9: True}, as_lists=True, n=[1, 2])


def check_3_confidence_and_accuracy_are_means_of_the_bar() -> None:
    answers = {0.6: True, 0.8: False, 1.0: True, 0.2: False}
    expect(2, answers, confidence=[0.2, 0.8], accuracy=[0, 0.667])


def check_4_a_bar_without_answers_has_0_for_both() -> None:
    expect(2, {0.9: True}, confidence=[0, 0.9], accuracy=[0, 1])
