"""Checks of exercise 4: intervals that are known from tables of Student's t."""

import warnings

from research_repro.paper import mean_interval

T = {2: 12.7062, 3: 4.3027, 4: 3.1824, 9: 2.3060, 40: 2.0227}
"""The quantile for 97.5 %, by the number of values."""


def expect(values: list[float], mean: float, reach: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns of a division by zero
        result = mean_interval(values)
    expected = (round(mean - reach, 3), round(mean + reach, 3))
    actual = result and tuple(round(float(end), 3) for end in result)
    assert actual == expected, f"{values}: expected {expected}, got {actual}"


def check_1_fewer_than_two_values_have_no_interval() -> None:
    results = [mean_interval(values) for values in ([], [7.0])]
    assert results == [None, None], f"no value, one value: expected None, got {results}"
    expect([0, 2], 1, T[2])


def check_2_the_deviation_is_that_of_a_sample() -> None:
    # The squared distances from 3 are 4, 1 and 9: they add up to 14.
    expect([1, 2, 6], 3, T[3] * (14 / 2 / 3) ** 0.5)
    expect([1e9 + 1, 1e9 + 2, 1e9 + 3], 1e9 + 2, T[3] / 3**0.5)


def check_3_the_error_falls_with_the_root_of_n() -> None:
    # Nine values with the deviation 1: their squared distances add up to 8.
    expect([-2, 2, 0, 0, 0, 0, 0, 0, 0], 0, T[9] / 3)


def check_4_t_depends_on_the_degrees_of_freedom() -> None:
    expect([50, 50, 52, 52], 51, T[4] * (4 / 3 / 4) ** 0.5)
    expect([-1, 1] * 20, 0, T[40] * (40 / 39 / 40) ** 0.5)


def check_5_equal_values_have_no_width() -> None:
    expect([7, 7, 7], 7, 0)
    expect([0.1, 0.1, 0.1], 0.1, 0)
