"""split: spaces of the recognizer against gaps in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from vision_app.files.pixels import Pixels
from vision_app.ocr.recognition import Reading, split


def line(text: str, gaps: dict[int, int], space: float = 1.0) -> tuple[Reading, Pixels]:
    """A line 30 pixels high: each character a bar of 10, with gaps of 2 or `gaps[n]` after it."""
    pixels = np.full((30, 400, 3), 255, np.uint8)
    x, centers, confidences, n = 10, [], [], 0
    for char in text:
        centers.append(((x + 5) if char != " " else x) / 400)
        confidences.append(space if char == " " else 1.0)
        if char != " ":
            pixels[5:25, x : x + 10] = 0
            x += 10 + gaps.get(n, 2)
            n += 1
    return Reading(text, tuple(confidences), tuple(centers)), pixels


QUAD = np.array([[0, 0], [400, 0], [400, 30], [0, 30]], np.float32)


@pytest.mark.parametrize(
    ("text", "gaps", "space", "words"),
    [
        ("to be", {1: 9}, 1.0, ["to", "be"]),
        ("ans wer", {}, 0.6, ["answer"]),  # no gap, little confidence
        ("ans wer", {}, 0.98, ["ans", "wer"]),
        ("ans wer", {2: 9}, 0.6, ["ans", "wer"]),
        ("tobe", {1: 16}, 1.0, ["to", "be"]),  # a gap as wide as two letters, no space
        ("19. 99", {2: 5}, 1.0, ["19.99"]),
        ("19. May", {2: 5}, 1.0, ["19.", "May"]),
    ],
)
def test_split_weighs_spaces_against_gaps(
    text: str, gaps: dict[int, int], space: float, words: list[str]
) -> None:
    reading, pixels = line(text, gaps, space)
    assert [word.text for word in split(reading, QUAD, pixels)] == words


def test_split_boxes_start_and_end_at_ink() -> None:
    reading, pixels = line("to be", {1: 9})
    first, second = split(reading, QUAD, pixels)
    assert first.box == pytest.approx((10, 0, 32, 30), abs=1)
    assert second.box == pytest.approx((41, 0, 63, 30), abs=1)
