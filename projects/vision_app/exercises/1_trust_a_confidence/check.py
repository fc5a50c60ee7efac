"""Checks of exercise 1: the expected calibration error."""

import warnings

import numpy as np

from vision_app.classify.calibration import calibration_error


def expect(error: float, bins: int, answers: dict[float, bool]) -> None:
    """`answers`: whether the one with this confidence is right."""
    for convert in (np.array, list):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy only warns of the mean of nothing
            actual = calibration_error(convert([*answers]), convert([*answers.values()]), bins)
        case = f"{bins} bins, answers {answers}"
        assert round(float(actual), 3) == error, f"{case}: expected {error}, got {actual}"


def check_1_an_answer_belongs_to_the_bin_that_ends_at_its_confidence() -> None:
    expect(0.467, 2, {0.5: True, 0.9: False, 0.0: False})
    expect(0.267, 2, {0.3: False, 0.0: True, 0.9: True})


def check_2_gaps_are_not_negative() -> None:
    expect(0.8, 2, {0.3: True, 0.9: False})


def check_3_gaps_are_weighted_by_their_number_of_answers() -> None:
    expect(0.15, 2, {0.6: True, 0.8: False, 1.0: True, 0.2: False})
    expect(0.1, 5, {0.9: True})


def check_4_without_answers_the_error_is_0() -> None:
    expect(0.0, 2, {})
