"""Decode untrusted pictures into RGB pixels, within limits; and encode pixels.

    pixels = decode(Path("photo.jpg").read_bytes(), name="photo.jpg")   # uint8 (height, width, 3)
    png = encode_png(pixels)
    message("What is it?", [pixels])             # for a vision-language model

Format and size are checked in the header, before any pixel takes memory. A picture is converted in
strips: the peak is 7 bytes a pixel, 10 where EXIF turns it, 15 for WEBP. Limits of time and memory
are left to `picture`.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seedbed.errors import BadInput, SeedbedError, TooLarge

if TYPE_CHECKING:
    from langchain_core.messages import HumanMessage
    from PIL.Image import Image

Pixels = npt.NDArray[np.uint8]
"""An image: RGB, shape (height, width, 3)."""
MAX_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""Formats that are decoded. Pillow reads some forty more, with decoders that few people use."""
MAX_IMAGES = 8  # in one message
_MAX_NAME = 1000  # characters
_STRIP = 1_000_000  # pixels
_MAX_SCANS = 64  # of a JPEG; encoders write some ten, and each takes the time of a whole picture
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # of JPEG; the others occur within a scan
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
# Tags of EXIF and TIFF.
_ORIENTATION, _SUBFILE_TYPE, _PHOTOMETRIC = 0x0112, 0x00FE, 0x0106
_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {  # by the value of the EXIF orientation
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, 3),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


def decode(
    data: bytes, *, name: str = "image", max_pixels: int = MAX_PIXELS, page: int = 0
) -> Pixels:
    """The picture as RGB, upright by its EXIF tag, with transparency shown on white.

    Grey with more than 8 bits is stretched from its lowest to its highest value, since scanners
    and cameras often use 10 or 12 of 16 bits. An animation yields its first frame, a TIFF the one
    at position `page`, from 0. `name` is for errors. Raises TooLarge over `max_pixels`, and
    BadInput for anything but a whole picture in one of FORMATS.

    >>> decode(encode_png(np.zeros((2, 3, 3), np.uint8))).shape
    (2, 3, 3)
    """
    name = printable(name)
    # 1. Read the header: format and size.
    image = _open(data, name, max_pixels)
    with _damage(name):
        if page:
            image.seek(page)
            _check_size(image, name, max_pixels)
        # 2. Decode.
        image.load()
        # 3. Convert to RGB and turn upright.
        pixels = _rgb(image)
        turn = _UPRIGHT.get(_orientation(image))
        return np.ascontiguousarray(turn(pixels)) if turn else pixels


def find_pages(
    data: bytes, *, name: str = "image", max_pixels: int = MAX_PIXELS, limit: int = 1000
) -> list[int]:
    """Positions of a TIFF's pages for `decode`, at most `limit`; [0] for other formats.

    Smaller copies of a page are left out. Reads headers only, and raises the errors of `decode`
    for what they show.

    >>> find_pages(encode_png(np.zeros((2, 3, 3), np.uint8)))
    [0]
    """
    name = printable(name)
    image = _open(data, name, max_pixels)
    if image.format != "TIFF":
        return [0]
    pages: list[int] = []
    with _damage(name):
        for position in range(100 * limit):
            try:
                image.seek(position)
            except EOFError:
                break
            if not _tiff_tag(image, _SUBFILE_TYPE, 0) & 1:  # bit 0: a smaller copy
                pages.append(position)
            if len(pages) == limit:
                break
    return pages or [0]


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file of RGB pixels (height, width, 3) or grey ones (height, width).

    >>> encode_png(np.zeros((2, 3), np.uint8))[1:4]
    b'PNG'
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)  # several times as fast as 6
    return file.getvalue()


def message_part(pixels: Pixels, side: int = 1568) -> dict[str, Any]:
    """An image as a part of a LangChain message: a JPEG of at most `side` pixels, in base64.

    The default is the longest side that vision-language models look at before they scale down.

    >>> message_part(np.zeros((40, 60, 3), np.uint8))["mime_type"]
    'image/jpeg'
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "image", "base64": data, "mime_type": "image/jpeg"}


def message(prompt: str, images: Sequence[Pixels]) -> HumanMessage:
    """A prompt with the first MAX_IMAGES images, for a vision-language model.

    >>> len(message("What is it?", [np.zeros((40, 60, 3), np.uint8)] * 9).content)
    9
    """
    from langchain_core.messages import HumanMessage

    content: list[str | dict[str, Any]] = [{"type": "text", "text": prompt}]
    return HumanMessage(content + [message_part(pixels) for pixels in images[:MAX_IMAGES]])


def printable(name: str) -> str:
    r"""A file name for messages: invisible characters, such as control codes, become "?".

    >>> printable("a\x1b[2J\n.png")
    'a?[2J?.png'
    """
    if len(name) > _MAX_NAME:
        name = f"{name[:_MAX_NAME]}…"
    return "".join(character if character.isprintable() else "?" for character in name)


# ── header ──────────────────────────────────────────────────────────────────────────────────


def _open(data: bytes, name: str, max_pixels: int) -> Image:
    """The image with its header read. Raises TooLarge or BadInput."""
    reader = _reader(data)
    if reader is None:
        problem, hint = _unsupported(data)
        raise BadInput(f"{name} {problem}.", hint=hint)
    with _damage(name):
        image: Image = reader(io.BytesIO(data), "")
    _check_size(image, name, max_pixels)
    if image.format == "JPEG" and (scans := _count_scans(data)) > _MAX_SCANS:
        hint = "Save it again, as PNG or JPEG."
        raise BadInput(f"{name} has {scans} scans; the maximum is {_MAX_SCANS}.", hint=hint)
    return image


def _count_scans(data: bytes) -> int:
    """Scans of a JPEG, up to the end of its picture: photographs may have a film behind it."""
    scans, position = 0, 2
    while (marker := _MARKER.search(data, position)) and marker[1] != b"\xd9":
        scans += marker[1] == b"\xda"
        start = marker.end()
        position = start + int.from_bytes(data[start : start + 2], "big")
    return scans


def _reader(data: bytes) -> Callable[..., Any] | None:
    """Pillow's reader for the magic number; None if it is not one of FORMATS.

    `Image.open` has a limit of pixels of its own, which is global to the process.
    """
    if _is_heic(data):  # whose magic number is AVIF's too
        return None
    if data[:2] in (b"P1", b"P2", b"P3"):  # PPM as text, which is decoded at 2 MB/s
        return None
    for read, accept in _readers():
        if accept(data[:16]) is True:  # a string is the reason why the decoder is missing
            return read
    return None


@cache
def _readers() -> list[tuple[Callable[..., Any], Callable[[bytes], bool | str]]]:
    from PIL import AvifImagePlugin, Image, TiffImagePlugin, WebPImagePlugin

    del AvifImagePlugin, TiffImagePlugin, WebPImagePlugin  # imported so that they register
    Image.preinit()  # the others
    # Pillow warns of damaged metadata; what matters here is the pixels.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    readers = (Image.OPEN.get(name) for name in FORMATS)
    return [(read, accept) for read, accept in filter(None, readers) if accept]


def _check_size(image: Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:g} million"
        raise TooLarge(
            f"{name} has {width:,} × {height:,} pixels; the maximum is {limit}.",
            hint="Scale it down.",
        )


def _unsupported(data: bytes) -> tuple[str, str]:
    """What is wrong with a file that is not a supported picture, and the next step."""
    start = data[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not data:
        return "is empty (0 bytes)", "Save or upload it again."
    if _is_heic(data):
        return "is an HEIC photo, which cannot be decoded here", "Save it as JPEG."
    if b"<svg" in start and start.startswith(b"<"):
        return "is an SVG drawing, which has no pixels", "Export it as PNG."
    if start.startswith(b"%pdf-"):
        return "is a PDF, not an image", "Export its pages as PNG."
    if start.startswith((b"<!doctype html", b"<html")):
        return "is a web page, not an image", "Download the image itself."
    if _is_text(data[:2048]):
        return "contains text, not an image", "Choose an image."
    return "is not an image in a supported format", "Save it as PNG or JPEG."


def _is_heic(data: bytes) -> bool:
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, 64, 4))}
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC and not brands & {b"avif", b"avis"}


def _is_text(start: bytes) -> bool:
    text = start.decode("utf-8", errors="ignore")  # the last character may be cut off
    return len(text.encode()) > len(start) - 4 and not set(text) & set(map(chr, range(9)))


@contextmanager
def _damage(name: str) -> Iterator[None]:
    """Turn what Pillow raises for damaged files, which can be any exception, into BadInput."""
    try:
        yield
    except (SeedbedError, MemoryError):
        raise
    except Exception as error:
        raise BadInput(
            f"{name} is truncated or damaged.", hint="Save or upload it again."
        ) from error


# ── pixels ──────────────────────────────────────────────────────────────────────────────────


def _rgb(image: Image) -> Pixels:
    """The pixels of a decoded image as RGB, converted strip by strip."""
    width, height = image.size
    deep = image.mode.startswith(("I", "F"))  # 16 or 32 bits
    low, high = _range(image) if deep else (0.0, 255.0)
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        part = pixels[top : top + rows]
        part[:] = _stretch(np.asarray(strip), low, high)[..., None] if deep else _on_white(strip)
    return pixels


def _range(image: Image) -> tuple[float, float]:
    """The values that become black and white."""
    values = np.asarray(image)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low == high:  # one colour: keep its brightness
        low, high = 0.0, 1.0 if values.dtype.kind == "f" else 65535.0
    # Pillow inverts "0 is white" in other modes, but not in this one.
    white_is_zero = image.mode == "I;16" and _tiff_tag(image, _PHOTOMETRIC, 1) == 0
    return (high, low) if white_is_zero else (low, high)


def _stretch(values: npt.NDArray[Any], low: float, high: float) -> Pixels:
    values = np.nan_to_num(values.astype(np.float64))
    return np.clip((values - low) * (255 / (high - low)), 0, 255).astype(np.uint8)


def _on_white(image: Image) -> npt.NDArray[Any]:
    from PIL import Image

    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _orientation(image: Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none, or it cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # whatever Pillow raises for damaged EXIF, which may surround good pixels
        return 1


def _tiff_tag(image: Image, tag: int, default: int) -> int:
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(tag, default))
