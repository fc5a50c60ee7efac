"""Open untrusted images, TIFFs and PDFs within limits; the only module that reads such files.

    source = open_source(Path("invoice.pdf"), config=Config())
    source.page_count, source.warnings
    for pixels in source.pages():        # uint8 (height, width, 3), one page in memory at a time
        ...

`open_source` reads headers only. Pillow decodes images (in `seedbed.images`), PDFium renders PDF
pages. Turning scanned pages is left to `ocr`, downloads to `serve.fetch`.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

from vision_app.config import Config
from seedbed import images
from seedbed.errors import BadInput, NotFound, TooLarge
from seedbed.images import Pixels, printable

DPI = 170
"""Resolution of PDF pages. The long side of A4 is then 1,988 px; RapidOCR shrinks above 2,000."""
# PDFium is not thread-safe. Reentrant, since the garbage collector may close its objects anywhere.
_pdfium = threading.RLock()


@dataclass(frozen=True)
class Source:
    """An image or document whose headers were checked.

    `page_count` is the number of pages that are read; `warnings` mentions pages that are left out.
    `decode` returns the page at an index from 0.
    """

    name: str
    page_count: int
    warnings: tuple[str, ...]
    decode: Callable[[int], Pixels] = field(repr=False)

    def pages(self) -> Iterator[Pixels]:
        """Decode the pages one by one. Raises BadInput for damage, TooLarge for too many pixels."""
        return map(self.decode, range(self.page_count))

    def first(self) -> Pixels:
        """The first page."""
        return self.decode(0)


def open_source(source: Path | bytes, *, name: str = "", config: Config) -> Source:
    """Check a file, or its content, without decoding it; `name` replaces its path in messages.

    Raises NotFound for a missing file, TooLarge over the limits of `config`, and BadInput for what
    is neither an image nor a PDF, or is encrypted or damaged.

        open_source(b"...", name="upload.png", config=Config()).first().shape    # (480, 640, 3)
    """
    name = printable(name or ("image" if isinstance(source, bytes) else str(source)))
    max_pixels = config.max_megapixels * 1_000_000
    # 1. Check the size in bytes, then read the file.
    data = _read(source, name, config.max_file_mb)
    # 2. Count the pages, and check the size of the first in the header.
    if b"%PDF-" in data[:1024]:
        total = _count_pdf_pages(data, name)
        positions = list(range(min(total, config.max_pages)))

        def decode(index: int) -> Pixels:
            return _render(data, name, positions[index], max_pixels)
    else:
        limit = config.max_pages + 1  # one more tells that there are more
        positions = images.find_pages(data, name=name, max_pixels=max_pixels, limit=limit)
        total = len(positions)

        def decode(index: int) -> Pixels:
            page = positions[index]
            return images.decode(data, name=name, max_pixels=max_pixels, page=page)

    # 3. Leave out the pages over the limit.
    warnings = [_left_out(config.max_pages)] if total > config.max_pages else []
    return Source(name, min(total, config.max_pages), tuple(warnings), decode)


def _left_out(max_pages: int) -> str:
    pages = "page was" if max_pages == 1 else f"{max_pages} pages were"
    return f"Only the first {pages} read. Set VISION_MAX_PAGES to read more."


def _read(source: Path | bytes, name: str, max_mb: int) -> bytes:
    limit = max_mb * 1_000_000
    too_large = TooLarge(
        f"{name} is larger than {max_mb} MB.", hint="Scale it down, or set VISION_MAX_FILE_MB."
    )
    if isinstance(source, bytes):
        if len(source) > limit:
            raise too_large
        return source
    try:
        status = source.stat()
        if stat.S_ISDIR(status.st_mode):
            raise BadInput(f"{name} is a folder.", hint=f"Name the files in it: {name}/*")
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
            raise BadInput(f"{name} is not a regular file.", hint="Choose an image or a PDF.")
        if status.st_size > limit:
            raise too_large
        return source.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{name} does not exist.", hint="Check the path.") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{name} cannot be read: {reason}.", hint="Check the path.") from None


# ── PDF ─────────────────────────────────────────────────────────────────────────────────────


def _count_pdf_pages(data: bytes, name: str) -> int:
    with _open_pdf(data, name) as pdf:
        count = len(pdf)
    if count == 0:
        raise BadInput(f"{name} has no pages.", hint="Export it again.")
    return count


def _render(data: bytes, name: str, index: int, max_pixels: int) -> Pixels:
    """The page at `index` on white, at DPI, or less where it would exceed `max_pixels`."""
    with _open_pdf(data, f"Page {index + 1} of {name}") as pdf:
        pdf.init_forms()  # draws what was filled in
        page = pdf[index]
        try:
            width, height = page.get_size()  # in points, 1/72 inch
            scale = min(DPI / 72, sqrt(max_pixels / (width * height)))
            bitmap = page.render(scale=scale, rev_byteorder=True)  # RGB
            try:
                return bitmap.to_numpy()[..., :3].copy()
            finally:
                bitmap.close()
        finally:
            page.close()


@contextmanager
def _open_pdf(data: bytes, name: str) -> Iterator[Any]:
    """The document, for this thread alone; opened for each page, so that no page leaves one open.

    Raises BadInput for a document that is encrypted, and for PDFium's errors inside the block.
    """
    import pypdfium2

    with _pdfium:
        try:
            pdf = pypdfium2.PdfDocument(data)
            try:
                yield pdf
            finally:
                pdf.close()
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                raise BadInput(
                    f"{name} is encrypted.", hint="Save it without a password."
                ) from None
            raise BadInput(f"{name} is truncated or damaged.", hint="Export it again.") from None
