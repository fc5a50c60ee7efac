"""Parse PDF: text by page, paragraphs rejoined from their lines, headings by font size.

    parse_pdf(Path("manual.pdf").read_bytes())

Scanned pages have no text; OCR is left to other tools.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rag_chatbot.read.decode import clean
from rag_chatbot.read.document import Document, DocumentBuilder
from seedbed.errors import BadInput, TooLarge

MAX_PAGES = 5000
EDGE_LINES = 2  # at the top and bottom of a page that may be a running header or footer
HEADING_CHARS = 100
LARGER = 1.12  # a line in type at least this much larger than the body text may be a heading
BULLET = re.compile(r"[•‣◦▪●○·*–-]\s|\(?\d{1,2}[.)]\s|\(?[a-z][.)]\s")
# Characters that PDFium inserts where a word continues on the next line.
HYPHEN = re.compile(r"[\x02\ufffe\xad]\s*")
# Titles that programs write into the metadata and people never read.
POOR_TITLE = re.compile(r"\.(docx?|indd|tex|dvi|pdf|qxd)\b|^untitled|anonymous", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a page: its text, and its font size and position in points."""

    text: str
    size: float
    base: float  # from the bottom of the page
    left: float
    right: float


def parse_pdf(data: bytes) -> Document:
    """Raises BadInput if it is encrypted, damaged or without text, TooLarge over MAX_PAGES."""
    import pypdfium2 as pdfium

    try:
        pdf = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise BadInput("The file is encrypted. Save it without a password.") from None
        raise BadInput("Not a PDF file, or a damaged or truncated one.") from None
    try:
        count = len(pdf)
        if count > MAX_PAGES:
            raise TooLarge(f"The file has {count} pages; the maximum is {MAX_PAGES}.")
        pages = [_page_lines(pdf, number) for number in range(count)]
        title = clean(pdf.get_metadata_value("Title") or "").strip()
    finally:
        pdf.close()
    if not any(pages):
        pages_text = "1 page" if count == 1 else f"{count} pages"
        raise BadInput(
            f"The {pages_text} contain no text, perhaps only scanned images.",
            hint="Run OCR on the file first, e.g. with ocrmypdf.",
        )
    return _document(pages, "" if len(title) < 4 or POOR_TITLE.search(title) else title)


def _page_lines(pdf: Any, number: int) -> list[_Line]:
    """Lines of a page in reading order. A page that cannot be read is empty; the others count."""
    import pypdfium2 as pdfium
    import pypdfium2.raw as raw

    try:
        page = pdf[number]
        text_page = page.get_textpage()
        text = text_page.get_text_range()
    except pdfium.PdfiumError:
        return []
    lines: list[_Line] = []
    box = [ctypes.c_double() for _ in range(4)]  # left, right, bottom, top
    sides = [ctypes.byref(side) for side in box]
    x, y = ctypes.c_double(), ctypes.c_double()
    at = 0
    for part in text.split("\r\n"):
        words = part.strip()
        if words:
            first = at + len(part) - len(part.lstrip())
            index = raw.FPDFText_GetCharIndexFromTextIndex(text_page, first)
            raw.FPDFText_GetCharOrigin(text_page, index, ctypes.byref(x), ctypes.byref(y))
            size = abs(raw.FPDFText_GetFontSize(text_page, index))
            last = raw.FPDFText_GetCharIndexFromTextIndex(text_page, first + len(words) - 1)
            raw.FPDFText_GetCharBox(text_page, last, *sides)
            lines.append(_Line(words, round(size, 1), y.value, x.value, box[1].value))
        at += len(part) + 2
    text_page.close()
    page.close()
    return lines


def _document(pages: list[list[_Line]], title: str) -> Document:
    """Paragraphs and headings of the lines of all pages."""
    # 1. Remove running headers and footers; find the body's font size, and up to five larger ones.
    pages = _without_running_heads(pages)
    weight: Counter[float] = Counter()
    for page in pages:
        for line in page:
            weight[line.size] += len(line.text)
    (body, _), *_ = weight.most_common(1) or [(0.0, 0)]
    large = sorted({size for size in weight if size > body * LARGER}, reverse=True)[:5]
    # 2. Join the lines of each page into paragraphs; a larger font makes a heading.
    builder = DocumentBuilder()
    for number, page in enumerate(pages, 1):
        for group in _groups(page):
            text, size = _join(group), group[0].size
            if size in large and _like_heading(text):
                level, text = 1 + large.index(size), " ".join(text.split())
                builder.add("heading", text, level, number)
                title = title or (text if level == number == 1 else "")
            else:
                builder.add("paragraph", text, 0, number)
    return builder.document(title)


def _like_heading(text: str) -> bool:
    return (
        len(text) <= HEADING_CHARS
        and bool(re.search(r"[^\W\d_]{2}", text))
        and text[-1] not in ".,;:!"
    )


def _groups(lines: list[_Line]) -> list[list[_Line]]:
    """Groups of lines that form a paragraph: same size, no gap, no new bullet."""
    steps = [a.base - b.base for a, b in pairwise(lines) if a.base > b.base + 1]
    step = sorted(steps)[len(steps) // 2] if steps else 0.0
    groups: list[list[_Line]] = []
    for line in lines:
        last = groups[-1][-1] if groups else None
        gap = last.base - line.base if last else 0.0
        if (
            last is None
            or abs(last.size - line.size) > 0.6
            or gap > step * 1.3
            or gap < -step * 2  # up again: the next column
            or BULLET.match(line.text)
        ):
            groups.append([line])
        else:
            groups[-1].append(line)
    return groups


def _join(group: list[_Line]) -> str:
    """Join lines into a paragraph. A break after a short line stays; divided words are rejoined."""
    edge = max(line.right for line in group)
    text = group[0].text
    for previous, line in pairwise(group):
        # Where the next word would have fitted into the line, the break was made on purpose.
        word = line.text.split(" ", 1)[0]
        width = (line.right - line.left) * (len(word) + 1) / max(1, len(line.text))
        text += ("\n" if previous.right + width < edge * 0.97 else " ") + line.text
    return clean(HYPHEN.sub("", text))


def _without_running_heads(pages: list[list[_Line]]) -> list[list[_Line]]:
    """The pages without what many of them begin or end with, apart from the numbers in it."""
    edges = [{*page[:EDGE_LINES], *page[-EDGE_LINES:]} for page in pages]
    # Left and right pages often differ.
    counts = Counter(text for edge in edges for text in {_mask(line.text) for line in edge})
    repeated = {text for text, n in counts.items() if n >= 3 and n > len(pages) * 0.25}
    return [
        [line for line in page if not (line in edge and _mask(line.text) in repeated)]
        for page, edge in zip(pages, edges, strict=True)
    ]


def _mask(text: str) -> str:
    """The text with `#` for numbers, so that page numbers are equal on every page."""
    return re.sub(r"\d+", "#", text)
