"""Parse PDF: text by page, paragraphs rejoined from their lines, headings by size of type.

    parse_pdf(Path("manual.pdf").read_bytes(), Path("manual.pdf"))

Uses PDFium, which is not thread-safe, so one file is parsed at a time. Scanned pages have no text;
OCR is left to other tools.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rag_chatbot.read.decode import clean
from rag_chatbot.read.document import Document, DocumentBuilder
from seedbed.errors import BadInput, TooLarge

MAX_PAGES = 5000
HEADING_CHARS = 100
LARGER = 1.12  # times the size of the body text, from which on a line may be a heading
BULLET = re.compile(r"[•‣◦▪●○·*–-]\s|\(?\d{1,2}[.)]\s|\(?[a-z][.)]\s")
# Signs that PDFium puts where a word continues on the next line.
HYPHEN = re.compile(r"[\x02\ufffe\xad]\s*")
BOLD = re.compile(r"(.*(bold|black|heavy).*\n){2}")
MONO = re.compile(r"(.*(mono|courier|consol|typewriter|cmtt).*\n){2}")
# Titles that programs write into the metadata and people never read.
POOR_TITLE = re.compile(r"\.(docx?|indd|tex|dvi|pdf|qxd)\b|^untitled|anonymous", re.IGNORECASE)
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float  # of its first letter, in points
    style: str  # "bold", "mono" or ""
    base: float  # of the baseline, in points from the bottom of the page


def parse_pdf(data: bytes, _: Path) -> Document:
    """Raises BadInput if it is encrypted, damaged or without text, and TooLarge over MAX_PAGES."""
    import pypdfium2 as pdfium

    with _lock:
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
    return _document(pages, "" if _poor_title(title) else title)


def _poor_title(title: str) -> bool:
    return len(title) < 4 or bool(POOR_TITLE.search(title))


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
    x, y = ctypes.c_double(), ctypes.c_double()
    name, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    at = 0
    for part in text.split("\r\n"):
        words = part.strip()
        if words:
            lead = at + len(part) - len(part.lstrip())
            index = raw.FPDFText_GetCharIndexFromTextIndex(text_page, lead)
            raw.FPDFText_GetCharOrigin(text_page, index, ctypes.byref(x), ctypes.byref(y))
            size = abs(raw.FPDFText_GetFontSize(text_page, index))
            fonts = ""
            for letter in (
                lead,
                lead + len(words) - 1,
            ):  # its first word may be bold by itself
                place = raw.FPDFText_GetCharIndexFromTextIndex(text_page, letter)
                raw.FPDFText_GetFontInfo(text_page, place, name, len(name), flags)
                fonts += name.value.decode("latin-1").lower() + "\n"
            style = "mono" if MONO.match(fonts) else "bold" if BOLD.match(fonts) else ""
            lines.append(_Line(words, round(size, 1), style, y.value))
        at += len(part) + 2
    text_page.close()
    page.close()
    return lines


def _document(pages: list[list[_Line]], title: str) -> Document:
    """Paragraphs, headings and code of the lines of all pages."""
    # 1. Find running heads, the size of the body text, and up to five larger sizes.
    furniture = _repeated(pages)
    weight: Counter[tuple[float, str]] = Counter()
    for page in pages:
        for line in page:
            weight[line.size, line.style] += len(line.text)
    (body, body_style), _ = weight.most_common(1)[0]
    large = sorted({s for s, _ in weight if s > body * LARGER}, reverse=True)[:5]
    # 2. Join the lines of each page to paragraphs, and tell headings and code by their type.
    builder = DocumentBuilder()
    for number, page in enumerate(pages, 1):
        lines = [line for line in page if _mask(line.text) not in furniture]
        for group in _groups(lines):
            text, first = _join(group), group[0]
            bold = first.style == "bold" != body_style and len(group) == 1
            if first.style == "mono" != body_style:
                builder.add("code", text, 0, number)
            elif (first.size in large or bold) and _like_heading(text):
                level = 1 + (large.index(first.size) if first.size in large else len(large))
                builder.add("heading", " ".join(text.split()), level, number)
            else:
                builder.add("paragraph", text, 0, number)
    return builder.document(title or _first_large(pages, large))


def _first_large(pages: list[list[_Line]], large: list[float]) -> str:
    """The text in the largest type near the top of the first page, or an empty string."""
    top = [line for line in pages[0][:8] if line.size == large[0]] if large else []
    text = " ".join(line.text for line in top)
    return clean(text) if _like_heading(text or ".") else ""


def _like_heading(text: str) -> bool:
    return (
        len(text) <= HEADING_CHARS
        and bool(re.search(r"[^\W\d_]{2}", text))
        and text[-1] not in ".,;:!"
    )


def _groups(lines: list[_Line]) -> list[list[_Line]]:
    """Groups of lines that form a paragraph: same size and style, no gap, no new bullet."""
    steps = [a.base - b.base for a, b in pairwise(lines) if a.base > b.base + 1]
    step = sorted(steps)[len(steps) // 2] if steps else 0.0
    groups: list[list[_Line]] = []
    for line in lines:
        last = groups[-1][-1] if groups else None
        gap = last.base - line.base if last else 0.0
        if (
            last is None
            or abs(last.size - line.size) > 0.6
            or last.style != line.style
            or gap > step * 1.3
            or gap < -step * 2  # up again: the next column
            or BULLET.match(line.text)
        ):
            groups.append([line])
        else:
            groups[-1].append(line)
    return groups


def _join(group: list[_Line]) -> str:
    """Join lines to a paragraph. A break after a short line is kept; divided words are rejoined."""
    if group[0].style == "mono":
        return clean("\n".join(line.text for line in group))
    full = max(len(line.text) for line in group) * 0.6  # shorter lines were broken on purpose
    text = group[0].text
    for previous, line in pairwise(group):
        text += ("\n" if len(previous.text) < full else " ") + line.text
    return clean(HYPHEN.sub("", text))


def _mask(text: str) -> str:
    """The text with `#` for numbers, so that page numbers are equal on every page."""
    return re.sub(r"\d+", "#", text)


def _repeated(pages: list[list[_Line]]) -> set[str]:
    """First and last lines that most pages have in common: running heads, page numbers."""
    edges: Counter[str] = Counter()
    for page in pages:
        edges.update({_mask(line.text) for line in (*page[:2], *page[-2:])})
    return {text for text, n in edges.items() if n >= 3 and n > len(pages) * 0.5}
