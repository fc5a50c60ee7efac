"""RapidOCR's detector and recognizer (PP-OCRv6) on OpenVINO, and the words in what they read.

    models = Models()                             # half a second
    quads = models.detect(image)                  # BGR, which the models were trained on
    [reading] = models.recognize([crop(image, quads[0])])
    split(reading, quads[0], crop(image, quads[0]))     # ("Total", "due"), with their boxes

The networks and the decoding of their output are RapidOCR's. The input is prepared here: lines are
cut from the full resolution, and batches have few distinct widths, because OpenVINO compiles
kernels for each new one. Work on a page is bounded: MAX_TEXT takes some 40 s on two cores.

The recognizer sees a space now and then between two letters of a wide serif font ("ans wer"). Such
spaces have a low confidence, and the picture has no gap there; right spaces have one or the other.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vision_app.files.pixels import Pixels
from vision_app.ocr.page import Box, Word, around
from seedbed.errors import TooLarge

Quad = npt.NDArray[np.float32]
"""Corners of a line of text, shape (4, 2): top left, top right, bottom right, bottom left."""

DETECTION_SIDE = 1760  # pixels of the longest side: A4 at 150 dpi
MIN_LINE = 15  # pixels of a detected line; fonts of 10 pixels
LINE_HEIGHT = 48  # pixels, the recognizer's input
BATCH, BATCH_WIDTH = 6, 12_000  # lines, and pixels of all, which take 0.5 GB and two seconds
MAX_WIDTH = 7_200  # pixels of a line; a longer one is squeezed, and hardly legible then
MAX_TEXT = 600_000  # pixels of all lines of a page; 60 full lines of A4 have 170,000
# Gaps as shares of the line's height. Letters: median 0.06, at most 0.15 (0.27 around a "1" of a
# monospaced font). Spaces: median 0.28, 99 % above 0.17.
NARROW, MIN_WIDE, WIDE = 0.16, 0.2, 0.4
MIN_SPACES = 3  # for their median to be a measure
MIN_HEIGHT = 20  # pixels; in smaller lines gaps are blurred
SURE = 0.9


@dataclass(frozen=True)
class Reading:
    """The characters of one line; `centers` are their places, 0 (left edge) to 1."""

    text: str
    confidences: tuple[float, ...]
    centers: tuple[float, ...]

    @property
    def confidence(self) -> float:
        """The mean of the characters."""
        return float(np.mean(self.confidences)) if self.text else 0.0


class Models:
    """Both networks. Threads take turns, for a second or two: each has one inference request."""

    def __init__(self) -> None:
        from rapidocr import EngineType, RapidOCR
        from rapidocr.ch_ppocr_det import TextDetector
        from rapidocr.ch_ppocr_rec import TextRecognizer

        engine = EngineType.OPENVINO
        params = {f"{part}.engine_type": engine for part in ("Det", "Cls", "Rec")}
        config = RapidOCR(params={**params, "Global.log_level": "error"}).cfg
        for part in (config.Det, config.Rec):
            part.engine_cfg = config.EngineConfig[engine.value]
            part.model_root_dir = config.Global.model_root_dir
        config.Rec.font_path = None
        self._detector = TextDetector(config.Det)
        self._recognizer = TextRecognizer(config.Rec)
        self._lock = threading.Lock()

    def detect(self, image: Pixels) -> list[Quad]:
        """The lines of text in a BGR image of any size.

        Large images are scaled down; if their text is small then, again at up to twice that scale.
        Scaling small images up found no more lines, and tighter boxes are recognized worse. Raises
        TooLarge over MAX_TEXT.
        """
        scale = min(1.0, DETECTION_SIDE / max(image.shape))
        quads = self._detect(image, scale)
        if scale < 1 and quads and scale * median(min(sides(q)) for q in quads) < MIN_LINE:
            quads = self._detect(image, min(1.0, 2 * scale))
        if sum(_width(*sides(quad)) for quad in quads) > MAX_TEXT:
            message = f"The page has too much text to read: {len(quads):,} lines."
            raise TooLarge(message, hint="Cut the picture into parts.")
        return quads

    def _detect(self, image: Pixels, scale: float) -> list[Quad]:
        import cv2

        height, width = image.shape[:2]
        inner = [max(1, round(side * scale)) for side in (height, width)]
        outer = [max(64, math.ceil(side / 32) * 32) for side in inner]
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        scaled = image if scale == 1 else cv2.resize(image, inner[::-1], interpolation=method)
        padded = cv2.copyMakeBorder(
            scaled, 0, outer[0] - inner[0], 0, outer[1] - inner[1], cv2.BORDER_REPLICATE
        )
        with self._lock:
            prediction = self._detector.session(_normalize(padded)[None])
            boxes, _ = self._detector.postprocess_op(prediction, (outer[0], outer[1]))
        factors = np.array([width / inner[1], height / inner[0]], np.float32)
        limits = np.array([width, height], np.float32)
        return [np.clip(np.asarray(box, np.float32) * factors, 0, limits) for box in boxes]

    def recognize(self, crops: Sequence[Pixels]) -> list[Reading]:
        """The characters of each line, given as a BGR picture of any size."""
        import cv2

        widths = [_width(crop.shape[1], crop.shape[0]) for crop in crops]
        readings = [Reading("", (), ())] * len(crops)
        for batch in _batches(widths):
            full = max(320, math.ceil(widths[batch[-1]] / 64) * 64)
            inputs = np.zeros((len(batch), 3, LINE_HEIGHT, full), np.float32)
            for row, i in enumerate(batch):
                scaled = cv2.resize(crops[i], (widths[i], LINE_HEIGHT))
                inputs[row, :, :, : widths[i]] = _normalize(scaled)
            with self._lock:
                scores = self._recognizer.session(inputs)
                lines, infos = self._recognizer.postprocess_op(
                    scores, True, wh_ratio_list=[widths[i] for i in batch], max_wh_ratio=full
                )
            for i, (text, _), info in zip(batch, lines, infos, strict=True):
                readings[i] = _reading(text, info)
        return readings


def _width(width: float, height: float) -> int:
    """The width of a line in pixels as the recognizer sees it."""
    return min(MAX_WIDTH, max(8, math.ceil(LINE_HEIGHT * width / max(1.0, height))))


def _batches(widths: Sequence[int]) -> Iterator[list[int]]:
    """The indices of lines of similar widths, the widest of a batch last."""
    batch: list[int] = []
    for i in sorted(range(len(widths)), key=widths.__getitem__):
        if len(batch) == BATCH or (len(batch) + 1) * widths[i] > BATCH_WIDTH:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def sides(quad: Quad) -> tuple[float, float]:
    """The lengths of the upper and the left side: the width and height of an upright line."""
    return math.dist(quad[0], quad[1]), math.dist(quad[0], quad[3])


def crop(image: Pixels, quad: Quad) -> Pixels:
    """The content of `quad` as an upright rectangle, with at least one pixel."""
    import cv2

    width = max(1, round(max(math.dist(quad[0], quad[1]), math.dist(quad[3], quad[2]))))
    height = max(1, round(max(math.dist(quad[0], quad[3]), math.dist(quad[1], quad[2]))))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad, target)
    flat = cv2.warpPerspective(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(flat, np.uint8)


def _normalize(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Values from -1 to 1, channels first."""
    values = (image.astype(np.float32) - 127.5) / 127.5
    return np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)


def _reading(text: str, info: Any) -> Reading:
    """RapidOCR's `WordInfo` as one place for each character; a space is where its word ends."""
    columns = [column for word in info.word_cols or () for column in word] if text else []
    place, centers, remaining = 0.0, [], iter(columns)
    for char in text:
        if not char.isspace():
            place = min(1.0, (next(remaining) + 0.5) / info.line_txt_len)
        centers.append(place)
    return Reading(text, tuple(info.confs[: len(text)]), tuple(centers))


# ── words ───────────────────────────────────────────────────────────────────────────────────


class _Gap(NamedTuple):
    """What is between two characters: `left` and `right` in pixels, `space` the confidence."""

    left: float
    right: float
    space: float | None  # None where the recognizer saw no space


def split(reading: Reading, quad: Quad, crop: Pixels) -> tuple[Word, ...]:
    """The words of a line. `quad` is its place on the page, `crop` its pixels."""
    height, width = crop.shape[:2]
    marks = [i for i, char in enumerate(reading.text) if not char.isspace()]
    text = "".join(reading.text[i] for i in marks)
    columns = np.flatnonzero(_ink(crop))
    columns = columns if len(columns) else np.array([0, width - 1])
    gaps = [_gap(reading, left, right, columns, width) for left, right in pairwise(marks)]
    words, start, begin = [], 0, float(columns[0])
    for end in [*_ends(text, gaps, height), len(marks) - 1]:
        ink_end = float(columns[-1] + 1)
        gap = gaps[end] if end < len(gaps) else _Gap(ink_end, ink_end, None)
        confidence = np.mean([reading.confidences[i] for i in marks[start : end + 1]])
        box = _box(quad, begin / width, gap.left / width)
        words.append(Word(text[start : end + 1], box, float(confidence)))
        start, begin = end + 1, gap.right
    return tuple(words)


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
            separate = share > (wide if letters else WIDE)
        elif after.isdigit() and before in ".," and text[n - 1 : n].isdigit():
            separate = share > MIN_WIDE  # "19. 99"
        else:
            separate = share > narrow or gap.space >= SURE or not inside_word
        if separate:
            ends.append(n)
    return ends


def _box(quad: Quad, left: float, right: float) -> Box:
    """The part of a line from `left` to `right`, 0 to 1."""
    top_left, top_right, bottom_right, bottom_left = quad.astype(float)
    top, bottom = top_right - top_left, bottom_right - bottom_left
    corners = [top_left + top * x for x in (left, right)]
    corners += [bottom_left + bottom * x for x in (left, right)]
    return around((x, y, x, y) for x, y in np.array(corners).tolist())
