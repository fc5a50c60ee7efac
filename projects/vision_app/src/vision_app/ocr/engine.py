"""Reads the text of a page, whichever way it lies: words with boxes, in reading order.

    reader = Reader()                  # loads the models at the first page, in a second
    page = reader.read(pixels)         # RGB, uint8, shape (height, width, 3)
    page.text; page.lines[0].words[0].box

The models are RapidOCR's (`recognition.py`). Which way the page lies is up to `orientation.py`,
where words begin to `words.py`, and which line comes first to `reading_order.py`. Handwriting and
formulas are left to others.
"""

from __future__ import annotations

import threading

import numpy as np

from vision_app.ocr.orientation import find_skew, find_upright, straighten, to_input
from vision_app.ocr.page import Line, Page, Pixels
from vision_app.ocr.reading_order import order
from vision_app.ocr.recognition import Models, crop
from vision_app.ocr.words import split

MIN_CONFIDENCE = 0.5  # of a line; what is read with less is rarely text


class Reader:
    """Detects and recognizes text. Safe to use from many threads, which take turns.

    One page uses all cores: two at a time would take as long, and twice the memory.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: Models | None = None

    def read(self, pixels: Pixels, number: int = 1) -> Page:
        """The words on one page, in reading order; a blank page has no lines.

        `pixels` is RGB, uint8, shape (height, width, 3), of any size. Boxes are pixels of the page
        after it was turned and deskewed; `Page.to_input` finds them in `pixels`.

            page = Reader().read(open_source(Path("scan.png"), config=config).first())
        """
        height, width = pixels.shape[:2]
        image = np.ascontiguousarray(pixels[:, :, ::-1])  # BGR
        with self._lock:
            models = self._models = self._models or Models()
            # 1. Detect the lines, and turn the page upright.
            upright = find_upright(image, models.detect, models.recognize)
            # 2. Recognize the lines that were not needed for that.
            crops = [crop(upright.image, quad) for quad in upright.quads]
            rest = [i for i in range(len(crops)) if i not in upright.sample]
            readings = dict(zip(rest, models.recognize([crops[i] for i in rest]), strict=True))
        # 3. Rotate the lines by the skew; the pixels stay as they are.
        skew = find_skew(upright.quads)
        matrix, page_width, page_height = straighten(
            upright.image.shape[0], upright.image.shape[1], skew
        )
        # 4. Split the lines into words.
        lines = []
        for i, reading in sorted((upright.sample | readings).items()):
            if reading.text.strip() and reading.confidence >= MIN_CONFIDENCE:
                quad = (upright.quads[i] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
                lines.append(Line(split(reading, quad, crops[i])))
        # 5. Put them in reading order.
        back = to_input(matrix, upright.turned, height, width)
        return Page(
            number,
            page_width,
            page_height,
            tuple(order(lines)),
            upright.turned,
            skew,
            ((back[0, 0], back[0, 1], back[0, 2]), (back[1, 0], back[1, 1], back[1, 2])),
        )
