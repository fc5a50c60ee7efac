"""Open untrusted images, TIFFs and PDFs within limits; the only module that reads such files.

    source = open_source(Path("invoice.pdf"), config=Config())
    source.page_count, source.warnings
    for pixels in source.pages():        # uint8 (height, width, 3), one page in memory at a time
        ...

`open_source` reads headers only. Decoding images is left to `seedbed.models.images`, rendering PDF
pages to `pdf`, turning scanned pages to `ocr`, and downloads to `serve.fetch`.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vision_app.config import Config
from vision_app.files import pdf
from seedbed.errors import BadInput, NotFound, TooLarge
from seedbed.models import images
from seedbed.models.images import Pixels, printable


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
        total = pdf.count_pages(data, name=name)

        def decode(index: int) -> Pixels:
            return pdf.render(data, index, name=name, max_pixels=max_pixels)
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
