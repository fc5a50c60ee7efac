"""Reader: text, words, boxes, odd sizes, small print, threads, silence."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

from vision_app.files.pixels import Pixels
from vision_app.ocr.engine import Reader
from seedbed.errors import TooLarge

Draw = Callable[..., Pixels]
Texts = list[tuple[int, int, str]]


def test_reader_reads_receipt_row_by_row(reader: Reader, draw: Draw, receipt: Texts) -> None:
    page = reader.read(draw(receipt), number=3)
    assert page.text.split("\n") == [text for _, _, text in receipt]
    assert (page.number, page.width, page.height) == (3, 600, 320)
    assert (page.turned, page.skew) == (0, 0.0)


def test_words_have_tight_boxes_and_no_spaces(reader: Reader, draw: Draw) -> None:
    pixels = draw([(40, 60, "Amount due 1,234.50 by 3 May")])
    [line] = reader.read(pixels).lines
    assert [word.text for word in line.words] == ["Amount", "due", "1,234.50", "by", "3", "May"]
    for word in line.words:
        left, top, right, bottom = (round(value) for value in word.box)
        ink = pixels[top:bottom, left:right].min(2) < 128
        columns = np.flatnonzero(ink.any(0))
        assert columns[0] <= 3 and columns[-1] >= right - left - 4  # ink from edge to edge
        assert word.confidence > 0.9


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_page_matrix_leads_back_to_input(
    reader: Reader, draw: Draw, receipt: Texts, turned: int
) -> None:
    upright = draw(receipt, skew=3.0)
    pixels = np.rot90(upright, turned // 90)
    page = reader.read(pixels)
    assert page.turned == turned and abs(page.skew - 3.0) < 0.5
    assert page.text.split("\n") == [text for _, _, text in receipt]
    total = next(word for word in page.words if word.text == "21.60")
    left, top, right, bottom = (round(value) for value in page.to_input(total.box))
    blank = pixels.copy()
    blank[top:bottom, left:right] = 255
    assert "21.60" not in reader.read(blank).text
    assert "1.61" in reader.read(blank).text


@pytest.mark.parametrize("shape", [(1, 1), (3, 20000), (20000, 3), (2, 2), (40, 900)])
def test_blank_pages_of_any_shape_have_no_lines(reader: Reader, shape: tuple[int, int]) -> None:
    page = reader.read(np.full((*shape, 3), 255, np.uint8))
    assert page.lines == () and page.text == ""
    assert (page.height, page.width) == shape


def test_reader_reads_small_print(reader: Reader, draw: Draw) -> None:
    lines = ["Terms and conditions apply", "Payment within 14 days", "No refunds after use"]
    pixels = draw([(20, 20 + 14 * n, text) for n, text in enumerate(lines)], (300, 90), font=9)
    assert reader.read(pixels).text.split("\n") == lines


def test_single_digits_are_not_read_sideways(reader: Reader, draw: Draw) -> None:
    page = reader.read(draw([(60, 40 + 50 * n, str(n + 1)) for n in range(5)]))
    assert page.turned == 0
    assert page.text.split() == ["1", "2", "3", "4", "5"]


@pytest.mark.slow
def test_page_with_too_much_text_is_refused_before_it_is_read(reader: Reader, draw: Draw) -> None:
    pixels = draw([(5, 5 + 26 * n, "Total 1.00 " * 50) for n in range(95)], (4400, 2500), font=18)
    with pytest.raises(TooLarge, match=r"too much text to read: \d+ lines"):
        reader.read(pixels)


@pytest.mark.slow
def test_short_page_does_not_wait_for_a_long_one(reader: Reader, draw: Draw) -> None:
    long = draw([(5, 5 + 30 * n, "Total 1.00 " * 12) for n in range(50)], (1100, 1500), font=18)
    short = draw([(40, 40, "Amount due 5.00")], (320, 120))
    thread = threading.Thread(target=reader.read, args=(long,))
    thread.start()
    assert reader.read(short).text == "Amount due 5.00"
    assert thread.is_alive()
    thread.join()


@pytest.mark.slow
def test_reader_is_silent_and_needs_no_onnxruntime() -> None:
    code = (
        "import sys, numpy as np; from vision_app.ocr.engine import Reader;"
        "Reader().read(np.full((64, 64, 3), 255, np.uint8));"
        "assert 'onnxruntime' not in sys.modules and 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
