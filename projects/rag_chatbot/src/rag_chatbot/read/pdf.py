"""PDF text by page, with headings by size of type, paragraphs put together again.

Uses PDFium, which is one library for the whole process and not safe for threads: hence the lock.
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

from rag_chatbot.read.document import Document, Writer
from rag_chatbot.read.text import clean
from seedbed.errors import BadInput, TooLarge

MAX_PAGES = 5000
BULLET = re.compile(r"[•‣◦▪●○·*–-]\s|\(?\d{1,2}[.)]\s|\(?[a-z][.)]\s")
HYPHEN = re.compile(
    r"[\x02\ufffe\xad]\s*"
)  # PDFium's mark for a word that goes on in the next line
BOLD = re.compile(r"(.*(bold|black|heavy).*\n){2}")
MONO = re.compile(r"(.*(mono|courier|consol|typewriter|cmtt).*\n){2}")
POOR = re.compile(r"\.(docx?|indd|tex|dvi|pdf|qxd)\b|^untitled|anonymous", re.IGNORECASE)
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float  # of its first letter
    style: str  # "bold", "mono" or ""
    base: float  # points from the bottom of the page


def parse_pdf(data: bytes, _: Path) -> Document:
    import pypdfium2 as pdfium

    with _lock:
        try:
            pdf = pdfium.PdfDocument(data)
        except pdfium.PdfiumError as error:
            if "password" in str(error).lower():
                raise BadInput("It is encrypted: save it without a password.") from None
            raise BadInput("It is not a PDF file, or it is damaged or cut off.") from None
        try:
            count = len(pdf)
            if count > MAX_PAGES:
                raise TooLarge(f"It has {count} pages; {MAX_PAGES} are read at most.")
            pages = [_page_lines(pdf, number) for number in range(count)]
            title = clean(pdf.get_metadata_value("Title") or "").strip()
        finally:
            pdf.close()
    if not any(pages):
        pages_text = "1 page" if count == 1 else f"{count} pages"
        raise BadInput(
            f"There is no text in its {pages_text}: scanned images only?",
            hint="Run OCR on it first, e.g. ocrmypdf.",
        )
    return _document(pages, "" if _poor_title(title) else title)


def _poor_title(title: str) -> bool:
    return len(title) < 4 or bool(POOR.search(title))


def _page_lines(pdf: Any, number: int) -> list[_Line]:
    """Lines of text in reading order. A page that cannot be read is empty, not the end of all."""
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
            for letter in (lead, lead + len(words) - 1):  # a bold first word is no heading
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
    furniture = _repeated(pages)
    weight: Counter[tuple[float, str]] = Counter()
    for page in pages:
        for line in page:
            weight[line.size, line.style] += len(line.text)
    (body, body_style), _ = weight.most_common(1)[0]
    large = sorted({s for s, _ in weight if s > body * 1.12}, reverse=True)[:5]
    writer = Writer()
    for number, page in enumerate(pages, 1):
        kept = [line for line in page if _mask(line.text) not in furniture]
        for group in _groups(kept):
            text, first = _join(group), group[0]
            style = first.style if first.style != body_style else ""
            bold = style == "bold" and len(group) == 1
            if style == "mono":
                writer.add("code", text, 0, number)
            elif (first.size in large or bold) and _like_heading(text):
                level = 1 + (large.index(first.size) if first.size in large else len(large))
                writer.add("heading", " ".join(text.split()), level, number)
            else:
                writer.add("paragraph", text, 0, number)
    return writer.document(title or _first_large(pages, large))


def _first_large(pages: list[list[_Line]], large: list[float]) -> str:
    """What stands in the largest type near the top of the first page."""
    top = [line for line in pages[0][:8] if line.size == large[0]] if large else []
    text = " ".join(line.text for line in top)
    return clean(text) if _like_heading(text or ".") else ""


def _like_heading(text: str) -> bool:
    return len(text) <= 100 and bool(re.search(r"[^\W\d_]{2}", text)) and text[-1] not in ".,;:!"


def _groups(lines: list[_Line]) -> list[list[_Line]]:
    """Lines that belong together: same size, no gap, no new bullet."""
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
    """One paragraph: full lines flow together, short ones stay lines, divided words are joined."""
    if group[0].style == "mono":
        return clean("\n".join(line.text for line in group))
    full = max(len(line.text) for line in group) * 0.6
    text = group[0].text
    for previous, line in pairwise(group):
        text += ("\n" if len(previous.text) < full else " ") + line.text
    return clean(HYPHEN.sub("", text))


def _mask(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def _repeated(pages: list[list[_Line]]) -> set[str]:
    """First and last lines that stand on most pages: running heads, page numbers."""
    edges: Counter[str] = Counter()
    for page in pages:
        edges.update({_mask(line.text) for line in (*page[:2], *page[-2:])})
    return {text for text, n in edges.items() if n >= 3 and n > len(pages) * 0.5}
