"""Splits a line into words with boxes: at the recognizer's spaces, checked against the picture.

    split(reading, quad, crop)         # ("Total", "due"), with their boxes on the page
"""

from __future__ import annotations

import numpy as np

from vision_app.ocr.page import Pixels, Word
from vision_app.ocr.recognition import Quad, Reading


def split(reading: Reading, quad: Quad, crop: Pixels) -> tuple[Word, ...]:
    """The words of a line, with boxes along `quad`."""
    spans, start = [], 0
    for end in range(len(reading.text) + 1):
        if end == len(reading.text) or reading.text[end].isspace():
            if end > start:
                spans.append((start, end))
            start = end + 1
    pitch = 1 / max(1, len(reading.text))
    result = []
    for start, end in spans:
        left = max(0.0, reading.centers[start] - pitch / 2)
        right = min(1.0, reading.centers[end - 1] + pitch / 2)
        top_left, top_right, bottom_right, bottom_left = quad
        corners = np.array(
            [top_left + (top_right - top_left) * x for x in (left, right)]
            + [bottom_left + (bottom_right - bottom_left) * x for x in (left, right)]
        )
        (x0, y0), (x1, y1) = corners.min(0).tolist(), corners.max(0).tolist()
        confidence = float(np.mean(reading.confidences[start:end]))
        result.append(Word(reading.text[start:end], (x0, y0, x1, y1), confidence))
    return tuple(result)
