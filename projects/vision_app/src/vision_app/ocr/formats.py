"""Pages as text, JSON and hOCR.

    as_text(pages), as_hocr(pages)      # str
    as_json(page)                       # plain data

hOCR is XHTML with the place of every word, which `hocr-tools` and `ocrmypdf` turn into searchable
PDFs: http://kba.github.io/hocr-spec/1.2/. Its boxes are pixels of the upright page; those of
`as_json` are pixels of the image as it was passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from vision_app.ocr.page import Box, Line, Page


def as_text(pages: Sequence[Page]) -> str:
    """The lines in reading order; pages are separated by a form feed, as in `pdftotext`.

    >>> as_text([Page(1, 100, 100, ())])
    '\\n'
    """
    return "\f".join(page.text + "\n" for page in pages)


def as_json(page: Page) -> dict[str, Any]:
    """The page as plain data: its lines and words with boxes and confidences.

    >>> as_json(Page(1, 100, 80, ()))["lines"]
    []
    """
    return {
        "number": page.number,
        "width": page.width,
        "height": page.height,
        "turned": page.turned,
        "skew": page.skew,
        "text": page.text,
        "lines": [
            {
                "text": line.text,
                "box": _round(page.to_input(line.box)),
                "confidence": round(line.confidence, 4),
                "words": [
                    {
                        "text": word.text,
                        "box": _round(page.to_input(word.box)),
                        "confidence": round(word.confidence, 4),
                    }
                    for word in line.words
                ],
            }
            for line in page.lines
        ],
    }


def as_hocr(pages: Sequence[Page], title: str = "") -> str:
    """One XHTML document with an `ocr_page` for each page, down to the words (`ocrx_word`)."""
    body = "\n".join(_hocr_page(page) for page in pages)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" \
"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
<head>
<title>{_escape(title)}</title>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8" />
<meta name="ocr-system" content="vision_app, RapidOCR, PP-OCRv6" />
<meta name="ocr-capabilities" content="ocr_page ocr_line ocrx_word ocrp_wconf" />
</head>
<body>
{body}
</body>
</html>
"""


def _hocr_page(page: Page) -> str:
    lines = "\n".join(
        _hocr_line(line, f"{page.number}_{n}") for n, line in enumerate(page.lines, 1)
    )
    title = f"bbox 0 0 {page.width} {page.height}; ppageno {page.number - 1}"
    return f'<div class="ocr_page" id="page_{page.number}" title="{title}">\n{lines}\n</div>'


def _hocr_line(line: Line, name: str) -> str:
    words = " ".join(
        f'<span class="ocrx_word" id="word_{name}_{n}" title="{_bbox(word.box)};'
        f' x_wconf {round(100 * word.confidence)}">{_escape(word.text)}</span>'
        for n, word in enumerate(line.words, 1)
    )
    return f'<span class="ocr_line" id="line_{name}" title="{_bbox(line.box)}">{words}</span>'


def _bbox(box: Box) -> str:
    return "bbox " + " ".join(str(max(0, round(value))) for value in box)


def _escape(text: str) -> str:
    """`text` for XML, which forbids most control characters."""
    return escape("".join(char for char in text if char.isprintable()))


def _round(box: Box) -> list[float]:
    return [round(value, 1) for value in box]
