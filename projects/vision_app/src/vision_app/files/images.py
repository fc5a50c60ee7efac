"""Find and open untrusted images, TIFFs and PDFs within limits; the only module that reads them.

    for path in find_files([Path("scans"), Path("photos/*.jpg")]):
        source = open_source(path, config=Config())
        source.page_count, source.warnings
        for pixels in source.pages():        # uint8 (height, width, 3), one page at a time
            ...

`open_source` reads headers only. Decoding images is left to `pixels`, rendering PDF pages to
`pdf`, and turning scanned pages to `ocr`. Pictures are decoded in a process of its own, since
decoders in C cannot be interrupted: a JPEG of 0.5 MB with 3,000 scans takes 48 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np

from vision_app.config import Config
from vision_app.files import pdf
from vision_app.files.pixels import Pixels, printable
from seedbed.errors import BadInput, NotFound, TooLarge
from seedbed.safety.limited_process import LimitedProcess

SUFFIXES = frozenset(
    ".avif .bmp .gif .jfif .jpeg .jpg .pbm .pdf .pgm .png .ppm .tif .tiff .webp".split()
)
"""Suffixes of the files that a folder is searched for; a file named itself may have any."""

MAX_SECONDS, MAX_WALL_SECONDS = 10.0, 60.0  # processor time; 50 million pixels take one or two
_BYTES_PER_PIXEL, _BYTES_FOR_MODULES = 16, 200_000_000
# How pictures begin, any of which may have "%PDF-" in a comment.
PICTURES = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Files, those in folders and their sub-folders, and those that match patterns, each once.

    In the order of the arguments, those of a folder sorted by path. Hidden files and folders are
    left out. Raises BadInput for a folder or a pattern without a file that could be an image; a
    missing file is left to the function that opens it, so that it fails alone.
    """
    files: dict[Path, None] = {}
    for path in paths:
        matches = [path]
        if path.is_dir():
            matches = [file for file in sorted(path.rglob("*")) if _is_candidate(file, path)]
            if not matches:
                raise BadInput(f"{path} contains no images.", hint="Name another folder.")
        elif not path.exists() and any(character in str(path) for character in "*?["):
            names = sorted(glob(str(path), recursive=True))  # noqa: PTH207  (absolute ones too)
            matches = [file for file in map(Path, names) if file.is_file()]
            if not matches:
                raise BadInput(f"No file matches {str(path)!r}.")
        files.update(dict.fromkeys(matches))
    return list(files)


def _is_candidate(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.suffix.lower() in SUFFIXES and file.is_file()


@dataclass(frozen=True)
class Source:
    """An image or document whose headers were checked.

    `page_count` is the number of pages that are read; `warnings` mentions pages that are left out.
    `decode` returns the page at an index from 0. Of a PDF, `find_words` returns the embedded text
    of a page as far as it can be trusted, and `find_xml` the embedded file.
    """

    name: str
    page_count: int
    warnings: tuple[str, ...]
    decode: Callable[[int], Pixels] = field(repr=False)
    find_words: Callable[[int], dict[str, Any]] = field(repr=False, default=lambda _: {})
    find_xml: Callable[[], bytes] = field(repr=False, default=bytes)

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
    max_pixels, max_pages = config.max_megapixels * 1_000_000, config.max_pages
    # 1. Check the size in bytes, then read the file.
    data = _read(source, name, config.max_file_mb)
    # 2. Count the pages, and check the size of the first in the header.
    embedded: dict[str, Any] = {}
    if b"%PDF-" in data[:1024] and not data.startswith(PICTURES):
        words = partial(pdf.find_words, data, name=name, max_pixels=max_pixels)
        embedded = {"find_words": words, "find_xml": partial(pdf.find_xml, data, name=name)}
        total = pdf.count_pages(data, name=name)

        def decode(index: int) -> Pixels:
            return pdf.render(data, index, name=name, max_pixels=max_pixels)
    else:
        arguments: dict[str, Any] = {"name": name, "label": name, "max_pixels": max_pixels}
        call = partial(_decoder(max_pixels).call, data, **arguments)
        total = call()[0]["pages"]

        def decode(index: int) -> Pixels:
            about, raw = call(page=index)
            return np.frombuffer(raw, np.uint8).reshape(about["shape"])

    # 3. Leave out the pages over the limit.
    if total <= max_pages:
        return Source(name, total, (), decode, **embedded)
    first = "page was" if max_pages == 1 else f"{max_pages} pages were"
    warning = f"Only the first {first} read. Set VISION_MAX_PAGES to read more."
    return Source(name, max_pages, (warning,), decode, **embedded)


@cache
def _decoder(max_pixels: int) -> LimitedProcess:
    return LimitedProcess(
        "vision_app.files.pixels:open_picture",
        action="decode",
        hint="Save it again, as PNG or JPEG.",
        max_seconds=MAX_SECONDS,
        max_wall_seconds=MAX_WALL_SECONDS,
        max_memory=_BYTES_FOR_MODULES + _BYTES_PER_PIXEL * max_pixels,
    )


def _read(source: Path | bytes, name: str, max_mb: int) -> bytes:
    hint = "Check the path."
    try:
        if isinstance(source, Path):
            size = source.stat().st_size
            if source.is_dir():
                raise BadInput(f"{name} is a folder.", hint=f"Name the files in it: {name}/*")
            if not source.is_file():  # reading a pipe or a device may never end
                raise BadInput(f"{name} is not a regular file.", hint="Choose an image or a PDF.")
        else:
            size = len(source)
        if size > max_mb * 1_000_000:
            hint = "Scale it down, or set VISION_MAX_FILE_MB."
            raise TooLarge(f"{name} is larger than {max_mb} MB.", hint=hint)
        return source.read_bytes() if isinstance(source, Path) else source
    except FileNotFoundError:
        raise NotFound(f"{name} does not exist.", hint=hint) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{name} cannot be read: {reason}.", hint=hint) from None
