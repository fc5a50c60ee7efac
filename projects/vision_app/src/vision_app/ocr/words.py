"""Splits a line into words with boxes: at the recognizer's spaces, checked against the picture.

    split(reading, quad, crop)         # ("Total", "due"), with their boxes on the page

The recognizer sees a space now and then between two letters of a wide serif font ("ans wer"). Such
spaces have a low confidence, and the picture has no gap there; right spaces have one or the other.
Chinese and Japanese, which have no spaces, stay whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
import numpy.typing as npt

from vision_app.ocr.page import Pixels, Word
from vision_app.ocr.recognition import Quad, Reading

# Gaps as shares of the line's height. Letters: median 0.06, at most 0.15 (0.27 around a "1" of a
# monospaced font). Spaces: median 0.28, 99 % above 0.17.
NARROW, MIN_WIDE, WIDE = 0.16, 0.2, 0.4
MIN_SPACES = 3  # for their median to be a measure
MIN_HEIGHT = 20  # pixels; in smaller lines gaps are blurred
SURE = 0.9


@dataclass(frozen=True)
class _Gap:
    """What is between two characters: `left` and `right` in pixels, `space` the confidence."""

    left: float
    right: float
    space: float | None  # None where the recognizer saw no space


def split(reading: Reading, quad: Quad, crop: Pixels) -> tuple[Word, ...]:
    """The words of a line. `quad` is its place on the page, `crop` its pixels."""
    height, width = crop.shape[:2]
    marks = [(i, char) for i, char in enumerate(reading.text) if not char.isspace()]
    columns = np.flatnonzero(_ink(crop))
    if not len(columns):
        columns = np.array([0, width - 1])
    gaps = [_gap(reading, left, right, columns, width) for (left, _), (right, _) in pairwise(marks)]
    ends = _ends("".join(char for _, char in marks), gaps, height)
    result, start, begin = [], 0, float(columns[0])
    for end in [*ends, len(marks) - 1]:
        stop = gaps[end].left if end < len(gaps) else float(columns[-1] + 1)
        members = marks[start : end + 1]
        result.append(
            Word(
                "".join(char for _, char in members),
                _box(quad, begin / width, stop / width),
                float(np.mean([reading.confidences[i] for i, _ in members])),
            )
        )
        start, begin = end + 1, gaps[end].right if end < len(gaps) else stop
    return tuple(result)


def _ink(crop: Pixels) -> npt.NDArray[np.bool_]:
    """The columns of a line that contain ink; horizontal rules don't count."""
    gray = crop.mean(2)
    difference = np.abs(gray - np.median(gray))
    ink = difference > max(16.0, 0.35 * float(difference.max()))
    ink[ink.mean(1) > 0.8] = False
    return np.asarray(ink.any(0))


def _gap(
    reading: Reading, left: int, right: int, columns: npt.NDArray[np.intp], width: int
) -> _Gap:
    """The widest run without ink between the centers of two characters."""
    low, high = reading.centers[left] * width, reading.centers[right] * width
    edges = columns[(columns >= low) & (columns <= high)]
    edges = np.concatenate([[low - 1], edges, [high]])
    widest = int(np.argmax(np.diff(edges)))
    space = min(reading.confidences[left + 1 : right], default=None)
    if edges[widest + 1] - edges[widest] < 2:  # the ink is one blob
        return _Gap((low + high) / 2, (low + high) / 2, space)
    return _Gap(float(edges[widest] + 1), float(edges[widest + 1]), space)


def _ends(text: str, gaps: list[_Gap], height: int) -> list[int]:
    """The indices in `text`, which has no spaces, of the last characters of words but the last.

    Gaps count relative to those at the line's own spaces, where there are enough of these.
    """
    shares = [(gap.right - gap.left) / height for gap in gaps]
    spaces = [share for share, gap in zip(shares, gaps, strict=True) if gap.space is not None]
    narrow, wide = NARROW, WIDE
    if height < MIN_HEIGHT:
        narrow = -1.0
    elif len(spaces) >= MIN_SPACES:
        narrow = min(NARROW, 0.6 * median(spaces))
        wide = max(MIN_WIDE, 0.8 * median(spaces))
    ends = []
    for n, (share, gap) in enumerate(zip(shares, gaps, strict=True)):
        before, after = text[n], text[n + 1]
        inside_word = before.isalnum() and after.isalnum()
        if gap.space is None:
            letters = before.isalpha() and after.isalpha()  # digits may be far apart
            separate = share > (wide if letters else WIDE) and not _has_no_spaces(before + after)
        elif after.isdigit() and before in ".," and text[n - 1 : n].isdigit():
            separate = share > MIN_WIDE  # "19. 99"
        else:
            separate = share > narrow or gap.space >= SURE or not inside_word
        if separate:
            ends.append(n)
    return ends


def _has_no_spaces(text: str) -> bool:
    """Whether `text` is Chinese or Japanese."""
    return any("\u3000" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef" for char in text)


def _box(quad: Quad, left: float, right: float) -> tuple[float, float, float, float]:
    """The part of a line from `left` to `right`, 0 to 1."""
    top_left, top_right, bottom_right, bottom_left = quad.astype(float)
    corners = np.array(
        [top_left + (top_right - top_left) * x for x in (left, right)]
        + [bottom_left + (bottom_right - bottom_left) * x for x in (left, right)]
    )
    (x0, y0), (x1, y1) = corners.min(0).tolist(), corners.max(0).tolist()
    return x0, y0, x1, y1
