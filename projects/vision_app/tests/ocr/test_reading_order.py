"""order: columns, tables, titles."""

from __future__ import annotations

import random
import time

from vision_app.ocr.page import Line, Word
from vision_app.ocr.reading_order import order


def line(text: str, left: float, top: float, width: float) -> Line:
    return Line((Word(text, (left, top, left + width, top + 20), 1.0),))


def shuffled_order(lines: list[Line]) -> list[str]:
    shuffled = random.Random(0).sample(lines, len(lines))
    return [each.text for each in order(shuffled)]


def column(name: str, left: float, top: float, rows: int) -> list[Line]:
    return [line(f"{name}{n} a row of some prose", left, top + 30 * n, 280) for n in range(rows)]


def test_order_reads_columns_one_after_the_other() -> None:
    lines = [
        line("A title across both columns", 100, 20, 400),
        *column("left", 20, 80, 8),
        *column("right", 330, 85, 7),
        line("A footer across both columns of the page", 20, 400, 590),
    ]
    assert shuffled_order(lines) == [each.text for each in lines]


def test_order_reads_three_columns() -> None:
    lines = [each for n in range(3) for each in column(f"column{n}.", 20 + 300 * n, 20, 6)]
    assert shuffled_order(lines) == [each.text for each in lines]


def test_order_reads_tables_row_by_row() -> None:
    lines = [
        line(text, left, 20 + 40 * row + shift, width)
        for row in range(6)
        for text, left, width, shift in (
            (f"Description of item {row}", 20, 260, 0),
            (f"{row}.00", 420, 60, 4),
            (f"{row}9.99", 560, 60, -3),
        )
    ]
    assert shuffled_order(lines) == [each.text for each in lines]


def test_order_of_thousands_of_scattered_words_takes_little_processor_time() -> None:
    places = random.Random(1)
    words = [line("w", places.uniform(0, 2000), places.uniform(0, 3000), 9) for _ in range(3000)]
    start = time.process_time()
    assert len(order(words)) == 3000
    assert time.process_time() - start < 3
