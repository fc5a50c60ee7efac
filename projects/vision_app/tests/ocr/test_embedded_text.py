"""The text of digital PDFs is used where it can be trusted, and has the places of OCR."""

from __future__ import annotations

import pytest

from vision_app.config import Config
from vision_app.files.images import open_source
from vision_app.ocr.embedded_text import MAX_LINE, MAX_WORD, to_page
from vision_app.vision import Vision
from seedbed.settings import Settings

ROWS = ("Invoice no. 4711", "Date 4 March 2025", "Net 100.00 EUR", "VAT 19 % 19.00 EUR")
TEXT = "".join(f"BT /F 14 Tf 60 {700 - 30 * n} Td ({row}) Tj ET\n" for n, row in enumerate(ROWS))
TEXT += "BT /F 14 Tf 60 560 Td (Total) Tj ET BT /F 14 Tf 400 560 Td (119.00 EUR) Tj ET\n"


def pdf(content: str, page: str = "") -> bytes:
    stream = content.encode()
    return (
        b"%%PDF-1.7\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n"
        b"2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 595 842] >> endobj\n"
        b"3 0 obj << /Type /Page /Parent 2 0 R /Contents 4 0 R %s /Resources << /Font << /F"
        b" << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >> endobj\n"
        b"4 0 obj << /Length %d >> stream\n%s\nendstream endobj\n"
        b"trailer << /Root 1 0 R >>" % (page.encode(), len(stream), stream)
    )


def test_digital_page_is_read_without_ocr() -> None:
    vision = Vision(Config(), Settings())
    [page] = vision.read(vision.open(pdf(TEXT), "invoice.pdf"))
    assert page.text == "\n".join([*ROWS, "Total", "119.00 EUR"])
    assert page.words[0].confidence == 1.0
    assert "reader" not in vision._models


def test_box_of_embedded_word_is_where_the_word_is_drawn() -> None:
    source = open_source(pdf(TEXT), name="invoice.pdf", config=Config())
    text = source.find_words(0)
    assert text is not None
    word = next(word for word in text["words"] if word[0] == "119.00")
    pixels = source.first()
    assert text["size"] == pytest.approx([pixels.shape[1], pixels.shape[0]], abs=1)
    left, top, right, bottom = (round(x) for x in word[1:])
    assert pixels[top:bottom, left:right].min() < 100
    pixels[top - 2 : bottom + 2, left - 2 : right + 2] = 255
    assert pixels[top - 5 : bottom + 5, left - 5 : right].min() == 255


ROW = " ".join("a" * 100)
DENSE = "BT /F 1 Tf 2 TL 60 800 Td " + f"({ROW}) Tj T* " * 31 + "ET"
IMAGE = "q 595 0 0 842 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID \x7f EI Q\n"


@pytest.mark.parametrize(
    ("content", "page"),
    [
        ("0 0 100 100 re f", ""),
        (IMAGE + TEXT, ""),
        ("3 Tr " + TEXT, ""),
        (TEXT, "/Rotate 90"),
        (DENSE, ""),
    ],
    ids=["no text", "a scan", "hidden text", "turned", "too many words"],
)
def test_page_in_doubt_is_left_to_ocr(content: str, page: str) -> None:
    source = open_source(pdf(content, page), name="scan.pdf", config=Config())
    assert source.find_words(0) is None


def test_long_words_and_lines_are_cut_at_their_places() -> None:
    words = [["1A-" * 1000, 0, 0, 6000, 10], *(["ab", 6001 + n, 0, 6002 + n, 10] for n in range(9))]
    page = to_page({"size": [7000, 100], "words": words}, 1)
    assert "".join(word.text for word in page.words) == "1A-" * 1000 + "ab" * 9
    assert max(len(word.text) for word in page.words) == MAX_WORD
    assert max(len(line.text) for line in page.lines) <= MAX_LINE
    assert page.words[1].box == (400, 0, 800, 10)
