"""Checks of exercise 4: intervals that are known from tables of Student's t."""

import warnings
from collections.abc import Sequence

from research_repro.paper import mean_interval

warnings.simplefilter("error")  # numpy only warns of a division by zero
T = {2: 12.7062, 3: 4.3027, 4: 3.1824, 5: 2.7764, 9: 2.3060}
"""The quantile for 97.5 %, by the number of values."""


def ends(values: Sequence[float]) -> tuple[float, float]:
    result = mean_interval(values)
    assert isinstance(result, tuple), f"{values}: expected a tuple, got {result!r}"
    assert len(result) == 2, f"{values}: expected two numbers, got {result!r}"
    low, high = result
    return float(low), float(high)


def expect(values: Sequence[float], low: float, high: float, digits: int = 3) -> None:
    actual = tuple(round(end, digits) for end in ends(values))
    expected = (round(low, digits), round(high, digits))
    assert actual == expected, f"{list(values)}: expected {expected}, got {actual}"


def half_width(values: Sequence[float]) -> float:
    low, high = ends(values)
    return (high - low) / 2


def check_1_fewer_than_two_values_have_no_interval() -> None:
    for values in ([], [7.0]):
        result = mean_interval(values)
        assert result is None, f"{values}: expected None, got {result!r}"
    ends([7.0, 8.0])


def check_2_the_deviation_is_that_of_a_sample() -> None:
    # The squared distances from 3 are 4, 1 and 9: they add up to 14.
    error = (14 / 2) ** 0.5 / 3**0.5
    expect([1, 2, 6], 3 - T[3] * error, 3 + T[3] * error)


def check_2_large_values_lose_no_digits() -> None:
    actual, expected = half_width([1e9 + 1, 1e9 + 2, 1e9 + 3]), half_width([1, 2, 3])
    case = "1, 2, 3 with a billion added: half of the width"
    assert abs(actual - expected) < 1e-3, f"{case}: expected {expected:.4f}, got {actual:.4f}"


def check_3_the_error_falls_with_the_root_of_n() -> None:
    # Nine values with the deviation 1: their squared distances add up to 8.
    expect([-2, 2, 0, 0, 0, 0, 0, 0, 0], -T[9] / 3, T[9] / 3)


def check_4_the_interval_has_the_mean_in_its_middle() -> None:
    low, high = ends([50, 51, 55])
    middle = (low + high) / 2
    assert abs(middle - 52) < 1e-9, f"50, 51, 55: expected the middle 52, got {middle:g}"
    assert low < high, f"50, 51, 55: expected the lower end first, got {low:g}, {high:g}"


def check_4_t_depends_on_the_degrees_of_freedom() -> None:
    for n, values in ((2, [0, 2]), (4, [0, 0, 2, 2]), (5, [0, 0, 1, 2, 2])):
        mean = sum(values) / n
        error = (sum((value - mean) ** 2 for value in values) / (n - 1) / n) ** 0.5
        expect(values, mean - T[n] * error, mean + T[n] * error)


def check_5_equal_values_have_no_width() -> None:
    expect([7, 7, 7], 7, 7)
    expect([0.1, 0.1, 0.1], 0.1, 0.1)
