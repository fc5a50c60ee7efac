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
    from vision_app.files.pixels import Pixels

DPI = 170
"""Resolution of a page. The long side of A4 is then 1,988 px; RapidOCR shrinks above 2,000."""
EMBEDDED = -2  # for an index: the embedded XML
_process = LimitedProcess(f"{__name__}:open_page", action="render", hint="Export its pages as PNG.")


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


def find_xml(data: bytes, *, name: str) -> bytes:
    """The XML file that is embedded in a document; empty if there is none."""
    return bytes(_process.call(data, name=name, label=name, index=EMBEDDED)[1])


def open_page(
    data: bytes, label: str, index: int = -1, max_pixels: int = 0
) -> tuple[dict[str, Any], bytes]:
    """In the child process: the number of pages, for an `index` the rows of a page as RGB.

    For EMBEDDED, the embedded XML.
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
        bitmap = page.render(scale=scale, rev_byteorder=True)  # RGB
        about = {"size": [bitmap.width, bitmap.height], "row": bitmap.stride}
        rows = bytes(bitmap.buffer)
        pdf.close()
        return about, rows
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise BadInput(f"{label} is encrypted.", hint="Save it without a password.") from None
        raise BadInput(f"{label} is truncated or damaged.", hint="Export it again.") from None
