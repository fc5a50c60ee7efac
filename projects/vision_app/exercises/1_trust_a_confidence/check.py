"""Checks of exercise 1: the bars of a reliability diagram."""

import warnings
from collections.abc import Sequence

import numpy as np

from vision_app.classify.calibration import Bin, reliability

warnings.simplefilter("error")  # numpy only warns of the mean of nothing


def bars(confidences: Sequence[float], correct: Sequence[bool], bins: int) -> list[Bin]:
    result = reliability(np.array(confidences), np.array(correct, bool), bins)
    case = f"{len(confidences)} answers in {bins} bars"
    assert isinstance(result, list), f"{case}: expected a list, got {type(result).__name__}"
    assert all(isinstance(bar, Bin) for bar in result), f"{case}: expected Bins, got {result!r}"
    return result


def expect(what: str, actual: Sequence[float], expected: Sequence[float], case: str) -> None:
    wanted, got = (", ".join(f"{value:.4g}" for value in values) for values in (expected, actual))
    assert got == wanted, f"{case}: expected {what} {wanted}, got {got}"


def check_1_bars_have_equal_width() -> None:
    diagram = bars([0.1, 0.4, 0.6, 0.9], [True] * 4, 4)
    case = "4 bars"
    expect("low", [bar.low for bar in diagram], [0, 0.25, 0.5, 0.75], case)
    expect("high", [bar.high for bar in diagram], [0.25, 0.5, 0.75, 1], case)


def check_2_an_answer_belongs_to_the_bar_that_ends_at_its_confidence() -> None:
    confidences = [0.25, 0.5, 0.75, 0.76, 1.0]
    diagram = bars(confidences, [True] * 5, 4)
    expect("n", [bar.n for bar in diagram], [1, 1, 1, 2], f"confidences {confidences}")


def check_2_right_and_wrong_answers_are_counted() -> None:
    diagram = bars([0.2, 0.8, 0.9], [False, True, False], 2)
    expect("n", [bar.n for bar in diagram], [1, 2], "0.2 wrong, 0.8 right, 0.9 wrong")


def check_2_lists_are_accepted() -> None:
    diagram = reliability([0.2, 0.8, 0.9], [False, True, True], 2)
    expect("n", [bar.n for bar in diagram], [1, 2], "lists of three answers")


def check_2_confidence_0_belongs_to_the_first_bar() -> None:
    diagram = bars([0.0, 0.9], [True] * 2, 2)
    expect("n", [bar.n for bar in diagram], [1, 1], "confidences 0.0, 0.9")


def check_3_confidence_and_accuracy_are_means_of_the_bar() -> None:
    diagram = bars([0.6, 0.8, 1.0, 0.2], [True, False, True, False], 2)
    case = "0.6 right, 0.8 wrong, 1.0 right, 0.2 wrong"
    expect("confidence", [bar.confidence for bar in diagram], [0.2, 0.8], case)
    expect("accuracy", [bar.accuracy for bar in diagram], [0, 0.6667], case)


def check_4_a_bar_without_answers_has_0_for_both() -> None:
    diagram = bars([0.9], [True], 2)
    expect("confidence", [bar.confidence for bar in diagram], [0, 0.9], "no answer below 0.5")
    expect("accuracy", [bar.accuracy for bar in diagram], [0, 1], "no answer below 0.5")
