"""Pages as text, JSON and hOCR."""

from __future__ import annotations

from xml.etree import ElementTree

from vision_app.ocr.page import Line, Page, Word, as_hocr, as_json, as_text

XHTML = "{http://www.w3.org/1999/xhtml}"
WORDS = (Word("<R&D>", (10.4, 20, 80, 40), 0.987), Word('"\x02é"', (90, 20, 120, 40), 0.5))
PAGES = [Page(1, 200, 100, (Line(WORDS),)), Page(2, 300, 100, (), turned=90)]


def test_text_separates_pages_by_form_feed() -> None:
    assert as_text(PAGES) == '<R&D> "\x02é"\n\f\n'


def test_json_has_words_with_boxes() -> None:
    first, second = map(as_json, PAGES)
    assert first["lines"][0]["words"][0] == {
        "text": "<R&D>",
        "box": [10.4, 20, 80, 40],
        "confidence": 0.987,
    }
    assert (second["number"], second["turned"], second["lines"]) == (2, 90, [])


def test_hocr_is_valid_xml_with_boxes_and_confidences() -> None:
    root = ElementTree.fromstring(as_hocr(PAGES))
    pages = root.findall(f".//{XHTML}div[@class='ocr_page']")
    assert [page.get("title") for page in pages] == [
        "bbox 0 0 200 100; ppageno 0",
        "bbox 0 0 300 100; ppageno 1",
    ]
    words = pages[0].findall(f".//{XHTML}span[@class='ocrx_word']")
    assert [word.text for word in words] == ["<R&D>", '"é"']
    assert words[0].get("title") == "bbox 10 20 80 40; x_wconf 99"
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
