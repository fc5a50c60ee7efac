"""Checks of exercise 2: each term of a reverse step, with pictures of one or three pixels."""

import torch

from research_repro.papers.ddim.method import noise_schedule, reverse_step


def expect(
    expected: float, x: float, epsilon: float, noise: float, alphas: tuple[float, float], eta: float
) -> None:
    """The pixel after a step between these alphas."""
    pictures = [torch.full((1, 1, 1, 1), value).double() for value in (x, epsilon, noise)]
    alpha, alpha_next = (torch.tensor(alpha).double() for alpha in alphas)
    before = torch.stack(pictures)
    result = reverse_step(*pictures[:2], alpha, alpha_next, eta, pictures[2])
    case = f"x {x:.4g}, epsilon {epsilon}, noise {noise}, between alphas {alphas}, {eta=}"
    assert abs(result - expected).max() < 1e-6, f"{case}: expected {expected:.4f}, got {result}"
    assert torch.equal(torch.stack(pictures), before), f"{case}: the pictures were changed"


def check_1_the_image_is_predicted_and_has_the_share_alpha_next() -> None:
    expect(0.5, 0.6 * 0.5 - 0.8, -1, 0, (0.36, 1), 0)  # an image of 0.5
    expect(1.6, 1, 0, 0, (0.25, 0.64), 0)  # an image of 1 / √0.25


def check_2_sigma_is_the_deviation_of_new_noise() -> None:
    for eta in (0.0, 0.5, 1.0):
        expect(eta * (1 / 3) ** 0.5, 0, 0, 1, (0.2, 0.6), eta)
    expect(0, 0, 0, 1, (0.2, 1), 1)


def check_3_epsilon_has_the_rest_of_the_variance() -> None:
    for eta in (0.0, 0.5, 1.0):
        rest = 0.4 - eta**2 / 3
        expect(rest**0.5, 0.8**0.5, 1, 0, (0.2, 0.6), eta)  # an image of 0
    # In a long step, rounding makes the rest negative for some of these times.
    alphas, x = noise_schedule(1000), torch.ones(1, 1, 1, 1)
    for time in range(1, 1000):
        result = reverse_step(x, x, torch.tensor(1e-8), alphas[time], 1.0, x)
        assert result.isfinite(), f"alpha 1e-8 to time {time}, eta 1: expected a number, got nan"


def check_4_the_result_is_the_sum_and_each_pixel_has_its_own_noise() -> None:
    x = 0.2**0.5 * 0.5 - 0.8**0.5
    expected = 0.6**0.5 * 0.5 - (0.4 - 1 / 3) ** 0.5 + 2 * (1 / 3) ** 0.5
    expect(expected, x, -1, 2, (0.2, 0.6), 1)
    noise = torch.tensor([1.0, 2.0, -1.0]).view(1, 1, 1, 3)
    alpha, alpha_next = torch.tensor(0.2), torch.tensor(0.6)
    result = reverse_step(0 * noise, 0 * noise, alpha, alpha_next, 1.0, noise)
    ratio = (result * 3**0.5).flatten().tolist()
    assert torch.allclose(torch.tensor(ratio), noise.flatten(), atol=1e-4), (
        f"noise 1, 2, -1 times √3 after the step: expected 1, 2, -1, got {ratio}"
    )
