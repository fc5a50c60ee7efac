"""Decode untrusted pictures into RGB pixels, within limits; and encode pixels.

    pixels = decode(Path("photo.jpg").read_bytes(), name="photo.jpg")   # uint8 (height, width, 3)
    png = encode_png(pixels)
    message("What is it?", [pixels])             # for a vision-language model

Format and size are checked in the header, before any pixel takes memory. `images` calls
`open_picture` in a process of its own, which a hostile file may fill or crash.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
_STRIP = 256  # rows that are converted at once
_MAX_SCANS = 64  # of a JPEG; encoders write some ten, and each takes the time of a whole picture
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # of JPEG; the others occur within a scan
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_PHOTOMETRIC = 0x0106  # a tag of TIFF


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
    from PIL import ImageOps

    name = printable(name)
    # 1. Read the header: format and size.
    image = _open(data, name, max_pixels)
    with _damage(name):
        if page:
            image.seek(page)
            _check_size(image, name, max_pixels)
        # 2. Decode.
        image.load()
        # 3. Turn upright, and convert to RGB.
        with suppress(Exception):  # damaged EXIF may surround good pixels
            ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image)


def count_pages(data: bytes, *, name: str = "image", max_pixels: int = MAX_PIXELS) -> int:
    """The number of pages of a TIFF; 1 for other formats, an animation among them.

    Reads headers only, and raises the errors of `decode` for what they show.

    >>> count_pages(encode_png(np.zeros((2, 3, 3), np.uint8)))
    1
    """
    name = printable(name)
    image = _open(data, name, max_pixels)
    with _damage(name):
        return int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1


def open_picture(
    data: bytes, label: str, max_pixels: int, page: int = -1
) -> tuple[dict[str, Any], bytes]:
    """In the child process: the number of pages or, for a `page`, its pixels as RGB."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # `max_pixels` is the limit
    if page < 0:
        return {"pages": count_pages(data, name=label, max_pixels=max_pixels)}, b""
    decoded = decode(data, name=label, max_pixels=max_pixels, page=page)
    return {"shape": decoded.shape}, decoded.tobytes()


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
    from PIL import Image, UnidentifiedImageError

    try:
        if data[:2] in (b"P1", b"P2", b"P3"):  # PPM as text, which is decoded at 2 MB/s
            raise UnidentifiedImageError
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:  # whatever Pillow raises for damaged files
        problem, hint = _problem(data)
        raise BadInput(f"{name} {problem}.", hint=hint) from error
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


def _check_size(image: Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:g} million"
        raise TooLarge(
            f"{name} has {width:,} × {height:,} pixels; the maximum is {limit}.",
            hint="Scale it down.",
        )


def _problem(data: bytes) -> tuple[str, str]:
    """What is wrong with a file that cannot be opened as a picture, and the next step."""
    if not data:
        return "is empty (0 bytes)", "Save or upload it again."
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC:
        return "is an HEIC photo, which cannot be decoded here", "Save it as JPEG."
    return "is damaged, or not an image in a supported format", "Save it as PNG or JPEG."


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
    """The pixels of a decoded image as RGB, with transparency shown on white."""
    from PIL import Image as Pillow

    if image.mode.startswith(("I", "F")):  # 16 or 32 bits
        return np.repeat(_stretch(image)[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        page = Pillow.new("RGB", image.size, "white")
        page.paste(image, mask=image.getchannel("A"))
        image = page
    # In strips: of a whole picture, Pillow makes two more copies.
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP):
        strip = image.crop((0, top, width, min(height, top + _STRIP)))
        pixels[top : top + _STRIP] = np.asarray(strip.convert("RGB"))
    return pixels


def _range(image: Image) -> tuple[float, float]:
    """The values that become black and white."""
    values = np.asarray(image)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low == high:  # one colour: keep its brightness
        low, high = 0.0, 1.0 if values.dtype.kind == "f" else 65535.0
    # Pillow inverts "0 is white" in other modes, but not in this one.
    tags = getattr(image, "tag_v2", {})
    white_is_zero = image.mode == "I;16" and tags.get(_PHOTOMETRIC, 1) == 0
    return (high, low) if white_is_zero else (low, high)


def _stretch(image: Image) -> Pixels:
    """Grey from its lowest to its highest value as 8 bits, within 16 bytes a pixel."""
    low, high = _range(image)
    values = np.asarray(image).astype(np.float32)
    np.nan_to_num(values, copy=False)
    values -= low
    values *= 255 / (high - low)
    return np.clip(values, 0, 255, out=values).astype(np.uint8)
