"""RapidOCR's detector and recognizer (PP-OCRv6) on OpenVINO, around which `engine.py` is built.

    models = Models()                             # half a second
    quads = models.detect(image)                  # BGR, which the models were trained on
    readings = models.recognize([crop(image, quad) for quad in quads])

The networks and the decoding of their output are RapidOCR's. The input is prepared here: lines are
cut from the full resolution, and batches have few distinct widths, because OpenVINO compiles
kernels for each new one. Direction, words and order are left to the other modules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_app.ocr.page import Pixels

Quad = npt.NDArray[np.float32]
"""Corners of a line of text, shape (4, 2): top left, top right, bottom right, bottom left."""

DETECTION_SIDE = 1760  # pixels of the longest side: A4 at 150 dpi
MIN_LINE = 15  # pixels of a detected line; fonts of 10 pixels
LINE_HEIGHT = 48  # pixels, the recognizer's input
BATCH = 6


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
    """Both networks. Not thread-safe: each has one inference request."""

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
        """The lines of text in a BGR image of any size.

        Large images are scaled down; if their text is small then, again at up to twice that scale.
        Scaling small images up found no more lines, and tighter boxes are recognized worse.
        """
        scale = min(1.0, DETECTION_SIDE / max(image.shape))
        quads = self._detect(image, scale)
        if scale < 1 and quads:
            height = median(min(math.dist(q[0], q[1]), math.dist(q[0], q[3])) for q in quads)
            if scale * height < MIN_LINE:
                return self._detect(image, min(1.0, 2 * scale))
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
        prediction = self._detector.session(_normalize(padded)[None])
        boxes, _ = self._detector.postprocess_op(prediction, (outer[0], outer[1]))
        factors = np.array([width / inner[1], height / inner[0]], np.float32)
        limits = np.array([width, height], np.float32)
        return [np.clip(np.asarray(box, np.float32) * factors, 0, limits) for box in boxes]

    def recognize(self, crops: Sequence[Pixels]) -> list[Reading]:
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


def _line_input(image: Pixels, width: int) -> npt.NDArray[np.float32]:
    import cv2

    return _normalize(cv2.resize(image, (width, LINE_HEIGHT)))


def _reading(text: str, info: Any) -> Reading:
    """RapidOCR's `WordInfo` as one place for each character; a space is where its word ends."""
    columns = [column for word in info.word_cols or () for column in word] if text else []
    place, centers, remaining = 0.0, [], iter(columns)
    for char in text:
        if not char.isspace():
            place = min(1.0, (next(remaining) + 0.5) / info.line_txt_len)
        centers.append(place)
    return Reading(text, tuple(info.confs[: len(text)]), tuple(centers))
