"""Reads the text of a page, whichever way it lies: words with boxes, in reading order.

    reader = Reader()                  # loads the models at the first page, in a second
    page = reader.read(pixels)         # RGB, uint8, shape (height, width, 3)
    page.text; page.lines[0].words[0].box

A page may be turned by 90, 180 or 270 degrees, and skewed by a few. Lines on a page that lies on
its side are tall. Text that is upside down is read with little confidence (0.6 to 0.8 on our pages,
even digits; upright 0.98 and more), so a few lines decide. An upright page is recognized at the
first attempt and costs nothing extra. Perspective, handwriting and formulas are left to others.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vision_app.files.pixels import Pixels
from vision_app.ocr.page import Line, Page
from vision_app.ocr.reading_order import order
from vision_app.ocr.recognition import Models, Quad, Reading, crop, sides, split

MIN_CONFIDENCE = 0.5  # of a line; what is read with less is rarely text
MANY = 20  # illegible pieces that are worth a warning; a photograph has some
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


class Reader:
    """Detects and recognizes text. Safe to use from many threads.

    They take turns at the models, so that a page does not wait for the whole of another one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: Models | None = None

    def read(self, pixels: Pixels, number: int = 1) -> Page:
        """The words on one page, in reading order; a blank page has no lines.

        `pixels` is RGB, uint8, shape (height, width, 3), of any size. Boxes are pixels of the page
        after it was turned and deskewed; `Page.to_input` finds them in `pixels`. Raises TooLarge
        for more text than fits on some newspaper pages.

            page = Reader().read(open_source(Path("scan.png"), config=config).first())
        """
        image = np.ascontiguousarray(pixels[:, :, ::-1])  # BGR
        with self._lock:
            models = self._models = self._models or Models()
        # 1. Detect the lines, and turn the page upright.
        upright = find_upright(image, models)
        # 2. Recognize the lines that were not needed for that.
        crops = [crop(upright.image, quad) for quad in upright.quads]
        rest = [i for i in range(len(crops)) if i not in upright.sample]
        readings = dict(zip(rest, models.recognize([crops[i] for i in rest]), strict=True))
        # 3. Rotate the lines by the skew; the pixels stay as they are.
        skew = find_skew(upright.quads)
        height, width = upright.image.shape[:2]
        matrix, page_width, page_height = straighten(height, width, skew)
        # 4. Split the lines into words.
        lines = []
        for i, reading in sorted((upright.sample | readings).items()):
            if reading.text.strip() and reading.confidence >= MIN_CONFIDENCE:
                quad = (upright.quads[i] @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)
                lines.append(Line(split(reading, quad, crops[i])))
        # 5. Put them in reading order.
        back = turn_back(upright.turned, *pixels.shape[:2]) @ np.linalg.inv(matrix)
        to_input = tuple(tuple(row) for row in back[:2].tolist())
        lines = order(lines)
        illegible = len(readings) + len(upright.sample) - len(lines)
        message = f"page {number}: {illegible} pieces of text are too small or unclear to be read"
        warnings = (message,) if illegible > max(len(lines), MANY) else ()
        size, turned = (page_width, page_height), upright.turned
        return Page(number, *size, tuple(lines), turned, skew, to_input, warnings)


def find_upright(image: Pixels, models: Models) -> Attempt:
    """The turn after which the text of `image` is read with the highest confidence.

    The likely direction comes first, and the search ends as soon as a sample is read well. The page
    as it came wins unless another direction is clearly better.
    """
    quads = models.detect(image)
    first = 90 if _lies_on_side(quads) else 0
    attempts: list[Attempt] = []
    for turned in (first, first + 180, 90 - first, 270 - first):
        page = np.ascontiguousarray(np.rot90(image, -turned // 90))
        lines = models.detect(page) if turned else quads
        longest = sorted(range(len(lines)), key=lambda i: -sides(lines[i])[0])[:SAMPLE]
        readings = models.recognize([crop(page, lines[i]) for i in longest])
        attempt = Attempt(turned, page, lines, dict(zip(longest, readings, strict=True)))
        if not quads or attempt.confidence >= SURE:
            return attempt
        attempts.append(attempt)
        best = max(attempts, key=lambda each: each.confidence + MARGIN * (each.turned == 0))
        if len(attempts) == 2 and best.confidence >= LIKELY:
            break  # a poor scan along the right axis
    return best


def _lies_on_side(quads: Sequence[Quad]) -> bool:
    """Whether tall lines are longer in sum than wide ones."""
    pairs = [sides(quad) for quad in quads]
    long = [pair for pair in pairs if max(pair) > 2 * min(pair)]  # a single digit is tall, too
    return sum(height if height > width else -width for width, height in long) > 0


def find_skew(quads: Sequence[Quad]) -> float:
    """The median slope of the lines in degrees, positive when they fall; 0.0 if it is small.

    Long lines count, and where there are none, all. Fewer than three lines say too little.

    >>> find_skew([np.array([[0, 0], [200, 10], [199, 30], [-1, 20]], np.float32)] * 3)
    2.86
    """
    axes = [(quad[1] - quad[0] + quad[2] - quad[3]) / 2 for quad in quads]
    long = [axis for quad, axis in zip(quads, axes, strict=True) if axis[0] > 5 * sides(quad)[1]]
    vectors = long if len(long) >= MIN_LINES else [axis for axis in axes if axis[0] > 0]
    if len(vectors) < MIN_LINES:
        return 0.0
    slopes = np.array([math.degrees(math.atan2(y, x)) for x, y in vectors])
    weights = np.array([math.hypot(x, y) ** 2 for x, y in vectors])
    ranks = np.argsort(slopes)
    middle = np.searchsorted(np.cumsum(weights[ranks]), weights.sum() / 2)
    skew = round(float(slopes[ranks[middle]]), 2)
    return skew if abs(skew) >= MIN_SKEW else 0.0


def straighten(height: int, width: int, skew: float) -> tuple[Matrix, int, int]:
    """The rotation by -`skew` degrees, 3x3, that keeps the page visible; its width and height."""
    cos, sin = math.cos(math.radians(skew)), math.sin(math.radians(skew))
    matrix = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ matrix[:2, :2].T
    matrix[:2, 2] = -corners.min(0)
    size = np.ceil(corners.max(0) - corners.min(0)).astype(int)
    return matrix, int(size[0]), int(size[1])


def turn_back(turned: int, height: int, width: int) -> Matrix:
    """From a page after a clockwise turn to the input image of this size, 3x3."""
    rows = {
        0: [[1, 0, 0], [0, 1, 0]],
        90: [[0, 1, 0], [-1, 0, height]],
        180: [[-1, 0, width], [0, -1, height]],
        270: [[0, -1, width], [1, 0, 0]],
    }[turned]
    return np.array([*rows, [0, 0, 1]], np.float64)
