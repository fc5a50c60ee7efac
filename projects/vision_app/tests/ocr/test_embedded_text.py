"""The text of digital PDFs is used where it can be trusted, and has the places of OCR."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vision_app.config import Config
from vision_app.files.images import open_source
from vision_app.ocr.embedded_text import MAX_LINE, MAX_WORD, to_page
from vision_app.vision import Vision
from seedbed.settings import Settings

MakePdf = Callable[..., bytes]
ROWS = ("Invoice no. 4711", "Date 4 March 2025", "Net 100.00 EUR", "VAT 19 % 19.00 EUR")
TEXT = "".join(f"BT /F 14 Tf 60 {700 - 30 * n} Td ({row}) Tj ET\n" for n, row in enumerate(ROWS))
TEXT += "BT /F 14 Tf 60 560 Td (Total) Tj ET BT /F 14 Tf 400 560 Td (119.00 EUR) Tj ET\n"


def test_digital_page_is_read_without_ocr(make_pdf: MakePdf) -> None:
    vision = Vision(Config(), Settings())
    [page] = vision.read(vision.open(make_pdf(TEXT), "invoice.pdf"))
    assert page.text == "\n".join([*ROWS, "Total", "119.00 EUR"])
    assert page.words[0].confidence == 1.0
    assert "reader" not in vision._models


def test_box_of_embedded_word_is_where_the_word_is_drawn(make_pdf: MakePdf) -> None:
    source = open_source(make_pdf(TEXT), name="invoice.pdf", config=Config())
    text = source.find_words(0)
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
def test_page_in_doubt_is_left_to_ocr(make_pdf: MakePdf, content: str, page: str) -> None:
    source = open_source(make_pdf(content, page=page), name="scan.pdf", config=Config())
    assert source.find_words(0)["words"] == []


FRAUD = "(Total 9120.00 EUR) Tj"
INVISIBLE = {
    "white": f"1 g BT /F 14 Tf 300 600 Td {FRAUD} ET",
    "transparent": f"/A gs BT /F 14 Tf 300 600 Td {FRAUD} ET",
    "clipped": f"q 300 600 1 1 re W n BT /F 14 Tf 300 600 Td {FRAUD} ET Q",
    "tiny": f"BT /F 0.5 Tf 300 600 Td {FRAUD} ET",
    "outside": f"BT /F 14 Tf -400 600 Td {FRAUD} ET",
    "covered": f"BT /F 14 Tf 300 600 Td {FRAUD} ET 1 g 290 590 200 40 re f",
    "white below a rule": f"1 g BT /F 14 Tf 300 600 Td {FRAUD} ET 0 g 290 604 200 2 re f",
}


@pytest.mark.parametrize("content", INVISIBLE.values(), ids=INVISIBLE)
def test_text_that_nobody_sees_is_not_evidence(make_pdf: MakePdf, content: str) -> None:
    alpha = "/Resources << /ExtGState << /A << /ca 0 >> >> /Font << /F << /Type /Font"
    alpha += " /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    vision = Vision(Config(), Settings())
    result = vision.read_json(vision.open(make_pdf(TEXT + content, page=alpha), "invoice.pdf"))
    assert "119.00" in result["pages"][0]["text"] and "9120" not in result["pages"][0]["text"]
    assert result["warnings"] == ["page 1: 3 words that are not visible were left out"]


def test_white_text_on_a_dark_band_is_read(make_pdf: MakePdf) -> None:
    band = "0.2 g 50 545 500 30 re f 1 g " + TEXT.splitlines()[-1]
    pdf = make_pdf("\n".join([*TEXT.splitlines()[:-1], band]))
    vision = Vision(Config(), Settings())
    result = vision.read_json(vision.open(pdf, "invoice.pdf"))
    assert "119.00" in result["pages"][0]["text"] and result["warnings"] == []


def test_long_words_and_lines_are_cut_at_their_places() -> None:
    words = [["1A-" * 1000, 0, 0, 6000, 10], *(["ab", 6001 + n, 0, 6002 + n, 10] for n in range(9))]
    page = to_page({"size": [7000, 100], "words": words}, 1)
    assert "".join(word.text for word in page.words) == "1A-" * 1000 + "ab" * 9
    assert max(len(word.text) for word in page.words) == MAX_WORD
    assert max(len(line.text) for line in page.lines) <= MAX_LINE
    assert page.words[1].box == (400, 0, 800, 10)
