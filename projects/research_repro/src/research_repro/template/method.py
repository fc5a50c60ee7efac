"""The method. Write the numbers of the paper's sections and equations beside the lines.

Minimise f(x) = ½ Σ cᵢ xᵢ² with the curvatures cᵢ between μ and L by

    x[k+1] = x[k] − α f'(x[k]) + β (x[k] − x[k−1])        (heavy ball)

β = 0 is gradient descent.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence


def curvatures(condition: float, size: int, seed: int) -> list[float]:
    """`size` values between 1 and `condition`, both included."""
    rng = random.Random(seed)
    return [1.0, condition, *(rng.uniform(1, condition) for _ in range(size - 2))]


def best_settings(condition: float, *, momentum: bool) -> tuple[float, float]:
    """The step size α and the momentum β with the best rate for μ = 1 and L = `condition`.

    >>> best_settings(4.0, momentum=False)
    (0.4, 0.0)
    """
    if not momentum:
        return 2 / (1 + condition), 0.0
    root = math.sqrt(condition)
    return 4 / (1 + root) ** 2, ((root - 1) / (root + 1)) ** 2


def predicted_steps(condition: float, *, momentum: bool, tolerance: float) -> float:
    """The steps after which the distance falls by `tolerance` at the asymptotic rate.

    >>> round(predicted_steps(100.0, momentum=True, tolerance=1e-6), 1)
    68.8
    """
    root = math.sqrt(condition) if momentum else condition
    return math.log(tolerance) / math.log((root - 1) / (root + 1))


def minimise(
    curvature: Sequence[float],
    step_size: float,
    momentum: float,
    *,
    tolerance: float,
    max_steps: int,
) -> list[float]:
    """The distance to the minimum before each step, from x = (1, …, 1).

    Stops once the distance has fallen by the factor `tolerance`, at the latest after `max_steps`.
    """
    before = x = [1.0] * len(curvature)
    distances = [math.hypot(*x)]
    while distances[-1] > tolerance * distances[0] and len(distances) <= max_steps:
        after = [
            xi - step_size * ci * xi + momentum * (xi - bi)
            for xi, bi, ci in zip(x, before, curvature, strict=True)
        ]
        before, x = x, after
        distances.append(math.hypot(*x))
    return distances
