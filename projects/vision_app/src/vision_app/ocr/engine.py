"""Reads the text of a page: RapidOCR's models (PP-OCRv6) on OpenVINO, words with boxes.

    reader = Reader()                  # loads the models at the first page, a second
    page = reader.read(pixels)         # RGB, uint8, shape (height, width, 3)
    page.text; page.lines[0].words[0].box

The detector and the recognizer are RapidOCR's, as are the decoding of both. Ours are the steps
around them: pages are turned upright before they are read, lines are cut from the full resolution,
batches have few distinct shapes (OpenVINO compiles kernels for each new one), and words come from
the gaps in the picture as well as from the recognizer's spaces. Which lines belong together is up
to `reading_order.py`, which way is up to `orientation.py`.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_app.ocr.page import Line, Page, Pixels, Word
from vision_app.ocr.reading_order import order

Quad = npt.NDArray[np.float32]
"""Corners of a line of text, shape (4, 2): top left, top right, bottom right, bottom left."""

DETECTION_SIDE = 1760
"""Longest side, in pixels, at which text is detected: A4 at 150 dpi."""
MIN_SIDE = 32
LINE_HEIGHT = 48  # the recognizer's input, in pixels
BATCH = 6
MIN_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Reading:
    """The characters of one line; `centers` are their places, 0 (left edge) to 1."""

    text: str
    confidences: tuple[float, ...]
    centers: tuple[float, ...]

    @property
    def confidence(self) -> float:
        return float(np.mean(self.confidences)) if self.text else 0.0


class Reader:
    """Detects and recognizes text. Safe to use from many threads, which take turns.

    One page uses all cores; two at a time would take as long and twice the memory.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: _Models | None = None

    def read(self, pixels: Pixels, number: int = 1) -> Page:
        """The words on one page, in reading order; a blank page has no lines.

        `pixels` is RGB, uint8, shape (height, width, 3), of any size.

            page = Reader().read(open_source(Path("scan.png"), config=config).first())
        """
        height, width = pixels.shape[:2]
        with self._lock:
            if self._models is None:
                self._models = _Models()
            image = np.ascontiguousarray(pixels[:, :, ::-1])  # the models were trained on BGR
            # 1. Detect lines.
            quads = self._models.detect(image)
            # 2. Recognize them.
            crops = [crop(image, quad) for quad in quads]
            readings = self._models.recognize(crops)
        # 3. Split them into words.
        lines = [
            Line(words(reading, quad))
            for reading, quad in zip(readings, quads, strict=True)
            if reading.text.strip() and reading.confidence >= MIN_CONFIDENCE
        ]
        # 4. Put the lines in reading order.
        return Page(number, width, height, tuple(order(lines)))


class _Models:
    """RapidOCR's detector and recognizer, on OpenVINO. Not thread-safe."""

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

    def detect(self, image: Pixels) -> list[Quad]:
        """The lines of text in a BGR image."""
        import cv2

        height, width = image.shape[:2]
        scale = min(1.0, DETECTION_SIDE / max(height, width))
        scale = max(scale, MIN_SIDE / max(height, width))
        inner = [max(1, round(side * scale)) for side in (height, width)]
        outer = [max(MIN_SIDE, math.ceil(side / 32) * 32) for side in inner]
        small = (
            image if scale == 1 else cv2.resize(image, inner[::-1], interpolation=cv2.INTER_AREA)
        )
        # Padding instead of stretching keeps the shapes of letters.
        padded = cv2.copyMakeBorder(
            small, 0, outer[0] - inner[0], 0, outer[1] - inner[1], cv2.BORDER_REPLICATE
        )
        prediction = self._detector.session(_normalize(padded)[None])
        boxes, _ = self._detector.postprocess_op(prediction, (outer[0], outer[1]))
        quads = [np.asarray(box, np.float32) for box in boxes]
        factors = np.array([width / inner[1], height / inner[0]], np.float32)
        limits = np.array([width, height], np.float32)
        return [np.clip(quad * factors, 0, limits) for quad in quads]

    def recognize(self, crops: list[Pixels]) -> list[Reading]:
        """The characters of each line, given as a BGR picture of any size."""
        ratios = [crop.shape[1] / crop.shape[0] for crop in crops]
        readings = [Reading("", (), ())] * len(crops)
        ranks = sorted(range(len(crops)), key=ratios.__getitem__)
        for start in range(0, len(ranks), BATCH):
            batch = ranks[start : start + BATCH]
            widths = [max(8, math.ceil(LINE_HEIGHT * ratios[i])) for i in batch]
            full = max(320, math.ceil(max(widths) / 64) * 64)
            inputs = np.zeros((len(batch), 3, LINE_HEIGHT, full), np.float32)
            for row, (i, width) in enumerate(zip(batch, widths, strict=True)):
                inputs[row, :, :, :width] = _line_input(crops[i], width)
            scores = self._recognizer.session(inputs)
            lines, infos = self._recognizer.postprocess_op(
                scores, True, wh_ratio_list=widths, max_wh_ratio=full
            )
            for i, (text, _), info in zip(batch, lines, infos, strict=True):
                readings[i] = _reading(text, info)
        return readings


def _normalize(image: Pixels) -> npt.NDArray[np.float32]:
    """Values from -1 to 1, channels first."""
    return np.ascontiguousarray(((image.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1))


def _line_input(image: Pixels, width: int) -> npt.NDArray[np.float32]:
    import cv2

    return _normalize(np.asarray(cv2.resize(image, (width, LINE_HEIGHT)), np.uint8))


def _reading(text: str, info: Any) -> Reading:
    columns = iter(column for word in info.word_cols for column in word) if text else iter(())
    last, centers = 0.0, []
    for char in text:
        last = last if char.isspace() else (next(columns) + 0.5) / info.line_txt_len
        centers.append(min(last, 1.0))
    return Reading(text, tuple(info.confs[: len(text)]) if text else (), tuple(centers))


def crop(image: Pixels, quad: Quad) -> Pixels:
    """The content of `quad` as an upright rectangle, with at least one pixel."""
    import cv2

    top_left, top_right, bottom_right, bottom_left = quad
    width = max(1, round(max(_norm(top_right - top_left), _norm(bottom_right - bottom_left))))
    height = max(1, round(max(_norm(bottom_left - top_left), _norm(bottom_right - top_right))))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad, target)
    flat = cv2.warpPerspective(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(flat, np.uint8)


def _norm(vector: npt.NDArray[np.float32]) -> float:
    return float(np.hypot(vector[0], vector[1]))


def words(reading: Reading, quad: Quad) -> tuple[Word, ...]:
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
