"""Finds out how a page lies: turned by 90, 180 or 270 degrees, and skewed by a few.

    attempt = find_upright(image, detect, recognize)      # the page turned, and its lines
    skew = find_skew(attempt.quads)                       # degrees
    matrix, width, height = straighten(*attempt.image.shape[:2], skew)

Lines on a page that lies on its side are tall. Text that is upside down is read with little
confidence (0.6 to 0.8 on our pages, even digits; upright 0.98 and more), so a few lines decide.
An upright page is recognized at the first attempt and costs nothing extra. Perspective, and pages
whose lines point different ways, are left to others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vision_app.ocr.page import Pixels
from vision_app.ocr.recognition import Quad, Reading, crop

SAMPLE = 6  # lines, the longest
SURE, LIKELY = 0.95, 0.85  # a single word upside down reached 0.92
MARGIN = 0.1  # by which another direction must be better than the page as it came
MIN_LINES = 3
MIN_SKEW = 0.5  # degrees; less disturbs neither rows nor boxes

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Attempt:
    """A page after a clockwise turn, its lines, and the readings of some, by index."""

    turned: int
    image: Pixels
    quads: list[Quad]
    sample: dict[int, Reading]

    @property
    def confidence(self) -> float:
        """The mean of the sample's characters."""
        scores = [score for reading in self.sample.values() for score in reading.confidences]
        return float(np.mean(scores)) if scores else 0.0


def find_upright(
    image: Pixels,
    detect: Callable[[Pixels], list[Quad]],
    recognize: Callable[[list[Pixels]], list[Reading]],
) -> Attempt:
    """The turn after which the text of `image` is read with the highest confidence.

    The likely direction comes first, and the search ends as soon as a sample is read well. The page
    as it came wins unless another direction is clearly better.
    """
    quads = detect(image)
    first = 90 if _lies_on_side(quads) else 0
    attempts: list[Attempt] = []
    for turned in (first, first + 180, 90 - first, 270 - first):
        page = np.ascontiguousarray(np.rot90(image, -turned // 90)) if turned else image
        attempts.append(_attempt(turned, page, detect(page) if turned else quads, recognize))
        if not quads or attempts[-1].confidence >= SURE:
            return attempts[-1]
        best = max(attempts, key=lambda each: each.confidence + MARGIN * (each.turned == 0))
        if len(attempts) == 2 and best.confidence >= LIKELY:
            break  # a poor scan along the right axis
    return best


def _attempt(
    turned: int,
    page: Pixels,
    quads: list[Quad],
    recognize: Callable[[list[Pixels]], list[Reading]],
) -> Attempt:
    longest = sorted(range(len(quads)), key=lambda i: -_sides(quads[i])[0])[:SAMPLE]
    readings = recognize([crop(page, quads[i]) for i in longest])
    return Attempt(turned, page, quads, dict(zip(longest, readings, strict=True)))


def _lies_on_side(quads: Sequence[Quad]) -> bool:
    """Whether tall lines are longer in sum than wide ones."""
    balance = 0.0
    for quad in quads:
        width, height = _sides(quad)
        if max(width, height) > 2 * min(width, height):  # a single digit is tall, too
            balance += height if height > width else -width
    return balance > 0


def _sides(quad: Quad) -> tuple[float, float]:
    return math.dist(quad[0], quad[1]), math.dist(quad[0], quad[3])


def find_skew(quads: Sequence[Quad]) -> float:
    """The median slope of the lines in degrees, positive when they fall; 0.0 if it is small.

    Long lines count, and where there are none, as in tables of numbers, neighbours in a row. Fewer
    than three lines say too little.

    >>> find_skew([np.array([[0, 0], [200, 10], [199, 30], [-1, 20]], np.float32)] * 3)
    2.86
    """
    axes = [(quad[1] - quad[0] + quad[2] - quad[3]) / 2 for quad in quads]
    vectors = [
        axis for axis, quad in zip(axes, quads, strict=True) if axis[0] > 5 * _sides(quad)[1]
    ]
    if len(vectors) < MIN_LINES:
        vectors = [axis for axis in axes if axis[0] > 0] + _steps(quads, axes)
    if len(vectors) < MIN_LINES:
        return 0.0
    slopes = np.array([math.degrees(math.atan2(y, x)) for x, y in vectors])
    weights = np.array([math.hypot(x, y) ** 2 for x, y in vectors])
    ranks = np.argsort(slopes)
    middle = np.searchsorted(np.cumsum(weights[ranks]), weights.sum() / 2)
    skew = round(float(slopes[ranks[middle]]), 2)
    return skew if abs(skew) >= MIN_SKEW else 0.0


def _steps(
    quads: Sequence[Quad], axes: Sequence[npt.NDArray[np.float32]]
) -> list[npt.NDArray[np.float32]]:
    """From the middle of each line to that of its right neighbour, which is on its axis."""
    steps = []
    for quad, axis in zip(quads, axes, strict=True):
        height, middle = _sides(quad)[1], quad.mean(0)
        right = [other.mean(0) - middle for other in quads if other[0][0] > quad[1][0]]
        slope = axis[1] / max(1.0, axis[0])
        row = [step for step in right if abs(step[1] - slope * step[0]) < height / 2]
        if row:
            steps.append(min(row, key=lambda step: float(step[0])))
    return steps


def straighten(height: int, width: int, skew: float) -> tuple[Matrix, int, int]:
    """The rotation by -`skew` degrees, 2x3, that keeps the page visible; its width and height."""
    if not skew:
        return np.eye(3)[:2], width, height
    cos, sin = math.cos(math.radians(skew)), math.sin(math.radians(skew))
    rotation = np.array([[cos, sin], [-sin, cos]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ rotation.T
    origin = corners.min(0)
    size = np.ceil(corners.max(0) - origin).astype(int)
    return np.column_stack([rotation, -origin]), int(size[0]), int(size[1])


def to_input(matrix: Matrix, turned: int, height: int, width: int) -> Matrix:
    """From the straightened page to the input image, 2x3.

    `matrix` is the rotation of `straighten`, `height` and `width` are the input's.
    """
    back = {
        0: [[1, 0, 0], [0, 1, 0]],
        90: [[0, 1, 0], [-1, 0, height]],
        180: [[-1, 0, width], [0, -1, height]],
        270: [[0, -1, width], [1, 0, 0]],
    }[turned]
    square = np.vstack([matrix, [0, 0, 1]])
    return np.asarray(np.array(back) @ np.linalg.inv(square), np.float64)
