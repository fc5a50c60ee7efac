"""Render PDF pages in a process of its own, which a hostile file may fill or crash.

    count_pages(data, name="report.pdf")                              # 3
    render(data, 0, name="report.pdf", max_pixels=50_000_000)         # uint8 (height, width, 3)

PDFium is not thread-safe and cannot be interrupted; `LimitedProcess` limits its time and memory.
Limits of the file are left to `images`.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

from seedbed.errors import BadInput
from seedbed.safety.limited_process import LimitedProcess

if TYPE_CHECKING:
    import pypdfium2

    from vision_app.files.pixels import Pixels

DPI = 170
"""Resolution of a page. The long side of A4 is then 1,988 px; RapidOCR shrinks above 2,000."""
MIN_CHARACTERS, MAX_CHARACTERS = 30, 20_000  # of a page whose embedded text is used
MAX_WORDS = 3_000  # of such a page; what reads them takes time in the square of their number
MIN_HEIGHT, MIN_CONTRAST = 2, 30  # points, and levels of 255, of text that a person can see
MAX_GARBAGE = 0.01  # of its characters, that are not printable: a font without Unicode
MAX_PICTURES = 0.02  # of its area: a logo may have the name of the company
EMBEDDED = -2  # for an index: the embedded XML
_process = LimitedProcess(
    f"{__name__}:open_page",
    action="render",
    hint="Export its pages as PNG.",
    max_wall_seconds=90,  # on a busy machine; 30 of processor time
)


def count_pages(data: bytes, *, name: str) -> int:
    """Number of pages. Raises BadInput for a document that is encrypted, damaged or empty."""
    count = int(_process.call(data, name=name, label=name)[0]["pages"])
    if count == 0:
        raise BadInput(f"{name} has no pages.", hint="Export it again.")
    return count


def render(data: bytes, index: int, *, name: str, max_pixels: int) -> Pixels:
    """The page at `index`, from 0, on white; at DPI, or less where it would exceed `max_pixels`.

    Raises BadInput for a page that is damaged or takes too much time or memory.
    """
    import numpy as np

    name = f"Page {index + 1} of {name}"
    page, rows = _process.call(data, name=name, label=name, index=index, max_pixels=max_pixels)
    width, height = page["size"]
    padded = np.frombuffer(rows, np.uint8).reshape(height, page["row"])
    return np.ascontiguousarray(padded[:, : width * 3]).reshape(height, width, 3)


def find_words(data: bytes, index: int, *, name: str, max_pixels: int) -> dict[str, Any]:
    """The embedded text of a page: {"size", "words", "hidden"} in the pixels of `render`.

    Without words where OCR is better: on a page with pictures, which may have text, or hidden text,
    as in scans. `hidden` is the number of words that a reader of the page does not see.
    """
    name = f"Page {index + 1} of {name}"
    arguments = {"index": index, "max_pixels": max_pixels, "text": True}
    text: dict[str, Any] = _process.call(data, name=name, label=name, **arguments)[0]
    return text


def find_xml(data: bytes, *, name: str) -> bytes:
    """The XML file that is embedded in a document; empty if there is none."""
    return bytes(_process.call(data, name=name, label=name, index=EMBEDDED)[1])


def open_page(
    data: bytes, label: str, index: int = -1, max_pixels: int = 0, *, text: bool = False
) -> tuple[dict[str, Any], bytes]:
    """In the child process: the number of pages, for an `index` the rows of a page as RGB.

    For EMBEDDED, the embedded XML; with `text`, the words of the page instead of its picture.
    """
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(data)
        if index == EMBEDDED:
            files = [pdf.get_attachment(n) for n in range(min(pdf.count_attachments(), 20))]
            files = [file for file in files if file.get_name().lower().endswith(".xml")]
            return {}, bytes(files[0].get_data()) if files else b""
        if index < 0:
            return {"pages": len(pdf)}, b""
        pdf.init_forms()  # so that filled-in fields are drawn
        page = pdf[index]
        width, height = page.get_size()  # in points, 1/72 inch
        scale = min(DPI / 72, sqrt(max_pixels / (width * height)))
        if text:
            plain = pdf.get_formtype() == 0 and page.get_rotation() == 0  # nothing drawn elsewhere
            words = _words(page, scale) if plain else []
            visible = [word for word in words if word[4] - word[2] >= MIN_HEIGHT * scale]
            visible = _with_ink(page, scale, visible) if visible else []
            enough = sum(len(word[0]) for word in visible) >= MIN_CHARACTERS
            enough = enough and len(visible) <= MAX_WORDS
            size = [round(width * scale), round(height * scale)]
            hidden = len(words) - len(visible)
            return {"size": size, "words": visible if enough else [], "hidden": hidden}, b""
        bitmap = page.render(scale=scale, rev_byteorder=True)  # RGB
        about = {"size": [bitmap.width, bitmap.height], "row": bitmap.stride}
        rows = bytes(bitmap.buffer)
        pdf.close()
        return about, rows
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise BadInput(f"{label} is encrypted.", hint="Save it without a password.") from None
        raise BadInput(f"{label} is truncated or damaged.", hint="Export it again.") from None


def _words(page: pypdfium2.PdfPage, scale: float) -> list[list[Any]]:
    """Each word with its box in pixels; none if OCR is to be trusted more."""
    from pypdfium2 import raw

    pictures = 0.0
    for item in page.get_objects(max_depth=4):
        if item.type == raw.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = item.get_bounds()
            pictures += (right - left) * (top - bottom)
        elif item.type == raw.FPDF_PAGEOBJ_TEXT and raw.FPDFTextObj_GetTextRenderMode(item) == 3:
            return []  # hidden, as behind a scan
    origin, _, _, end = page.get_bbox()
    width, height = page.get_size()
    text = page.get_textpage()
    count = text.count_chars()
    if pictures > MAX_PICTURES * width * height or not MIN_CHARACTERS <= count <= MAX_CHARACTERS:
        return []
    words: list[list[Any]] = []
    garbage, open_word = 0, False
    for n in range(count):
        character = chr(raw.FPDFText_GetUnicode(text, n))
        if character.isspace() or not character.isprintable():
            garbage += not character.isspace() and character not in "\x02\xad"
            open_word = False
            continue
        x0, y0, x1, y1 = text.get_charbox(n, loose=True)
        box = [x * scale for x in (x0 - origin, end - y1, x1 - origin, end - y0)]
        if open_word and _is_next(words[-1][1:], box):
            last = words[-1]
            top, bottom = min(last[2], box[1]), max(last[4], box[3])
            words[-1] = [last[0] + character, last[1], top, box[2], bottom]
        else:
            words.append([character, *box])
        open_word = True
    return words if garbage <= MAX_GARBAGE * count else []


def _with_ink(page: pypdfium2.PdfPage, scale: float, words: list[list[Any]]) -> list[list[Any]]:
    """The words that leave ink on the page where they claim to be.

    White or transparent text leaves none, nor does text that is clipped, covered or off the page.
    Ink varies along a row of pixels: a rule that runs through the text does not.
    """
    pixels = page.render(scale=scale).to_numpy().astype("int16")

    def has_ink(word: list[Any]) -> bool:
        left, top, right, bottom = (max(0, round(x)) for x in word[1:])
        part = pixels[top:bottom, left:right]
        return part.size > 0 and int((part.max(1) - part.min(1)).max()) >= MIN_CONTRAST

    return [word for word in words if has_ink(word)]


def _is_next(word: list[float], box: list[float]) -> bool:
    """Whether a character follows a word in the same line, without a gap."""
    middle, height = (box[1] + box[3]) / 2, word[3] - word[1]
    return word[1] <= middle <= word[3] and -0.5 * height <= box[0] - word[2] < 0.25 * height
