"""Checks of exercise 2: each term of a reverse step, with pictures of a few pixels."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from research_repro.papers.ddim.method import noise_schedule, reverse_step

ALPHA, ALPHA_NEXT = 0.2, 0.6  # with eta = 1, sigma is √(1/3)


def picture(value: float | Sequence[float]) -> Tensor:
    """One row of pixels."""
    pixels = [value] if isinstance(value, int | float) else value
    return torch.tensor(pixels, dtype=torch.float64).view(1, 1, 1, -1)


def step(
    x: float | Sequence[float] = 0.0,
    epsilon: float | Sequence[float] = 0.0,
    noise: float | Sequence[float] = 0.0,
    eta: float = 0.0,
    alphas: tuple[float, float] = (ALPHA, ALPHA_NEXT),
) -> list[float]:
    """The pixels after a step."""
    alpha, alpha_next = (torch.tensor(alpha, dtype=torch.float64) for alpha in alphas)
    result = reverse_step(picture(x), picture(epsilon), alpha, alpha_next, eta, picture(noise))
    assert isinstance(result, Tensor), f"expected a tensor, got {result!r}"
    shape, expected = tuple(result.shape), tuple(picture(x).shape)
    assert shape == expected, f"expected the shape {expected} of x, got {shape}"
    return result.flatten().tolist()


def expect(actual: Sequence[float], expected: Sequence[float], case: str) -> None:
    wanted, got = (", ".join(f"{value:.4f}" for value in values) for values in (expected, actual))
    assert got == wanted, f"{case}: expected {wanted}, got {got}"


def check_1_the_image_is_predicted() -> None:
    # By equation 4, an image of 0.5 and noise of -1 are 0.6 · 0.5 - 0.8 = -0.5.
    actual = step(x=-0.5, epsilon=-1, alphas=(0.36, 1))
    expect(actual, [0.5], "image 0.5, epsilon -1, from alpha 0.36 to 1")


def check_1_the_image_has_the_share_alpha_next() -> None:
    # The image is 1 / √0.25 = 2.
    actual = step(x=1, alphas=(0.25, 0.64))
    expect(actual, [1.6], "image 2, epsilon 0, from alpha 0.25 to 0.64")


def check_1_the_pictures_stay_as_they_are() -> None:
    x, epsilon, noise = (picture(value) for value in (1.0, 2.0, 3.0))
    alphas = (torch.tensor(alpha, dtype=torch.float64) for alpha in (ALPHA, ALPHA_NEXT))
    reverse_step(x, epsilon, *alphas, 1.0, noise)
    actual = [tensor.item() for tensor in (x, epsilon, noise)]
    assert actual == [1, 2, 3], f"x 1, epsilon 2, noise 3: expected them afterwards, got {actual}"


def check_2_sigma_depends_on_eta() -> None:
    for eta in (0.0, 0.5, 1.0):
        case = f"x and epsilon 0, noise 1, from alpha 0.2 to 0.6, eta {eta:g}: sigma"
        expect(step(noise=1, eta=eta), [eta * math.sqrt(1 / 3)], case)


def check_2_the_last_step_adds_no_noise() -> None:
    case = "x and epsilon 0, noise 1, from alpha 0.2 to 1, eta 1: sigma"
    expect(step(noise=1, eta=1, alphas=(0.2, 1)), [0], case)


def check_3_the_direction_has_the_rest_of_the_variance() -> None:
    x = math.sqrt(1 - ALPHA)  # the image is 0
    for eta, rest in ((0.0, 0.4), (0.5, 0.4 - 1 / 12), (1.0, 0.4 - 1 / 3)):
        case = f"image 0, epsilon 1, noise 0, from alpha 0.2 to 0.6, eta {eta:g}"
        expect(step(x=x, epsilon=1, eta=eta), [math.sqrt(rest)], case)


def check_3_rounding_does_not_give_nan() -> None:
    # From almost pure noise the rest of the variance is nearly 0; on each kind of CPU, rounding
    # makes it negative for some of these times.
    alphas, x, noisy = noise_schedule(1000), torch.ones(1, 1, 1, 1), torch.tensor(1e-8)
    for time in range(1, 1000):
        result = reverse_step(x, x, noisy, alphas[time], 1.0, x)
        case = f"from alpha 1e-8 to time {time}, eta 1"
        assert result.isfinite().all(), f"{case}: expected a number, got {result.item()}"


def check_4_each_pixel_gets_its_own_noise() -> None:
    sigma = math.sqrt(1 / 3)
    actual = step(x=[0, 0, 0], epsilon=[0, 0, 0], noise=[1, 2, -1], eta=1)
    expect(actual, [sigma, 2 * sigma, -sigma], "x and epsilon 0, noise 1, 2, -1, eta 1")


def check_4_the_result_is_the_sum() -> None:
    x = math.sqrt(ALPHA) * 0.5 + math.sqrt(1 - ALPHA) * -1
    expected = math.sqrt(0.6) * 0.5 + math.sqrt(0.4 - 1 / 3) * -1 + math.sqrt(1 / 3) * 2
    actual = step(x=x, epsilon=-1, noise=2, eta=1)
    expect(actual, [expected], "image 0.5, epsilon -1, noise 2, from alpha 0.2 to 0.6, eta 1")
