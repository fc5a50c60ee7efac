"""Untrusted pictures: the right pixels from every mode, or a clear error within bounded memory."""

from __future__ import annotations

import base64
import io
import struct
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vision_app.files.pixels import (
    FORMATS,
    Pixels,
    decode,
    encode_png,
    find_pages,
    message_part,
    printable,
)
from seedbed.errors import BadInput, SeedbedError, TooLarge

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def corner() -> Image.Image:
    """Red in the upper left corner of white: every turn and flip of it looks different."""
    image = Image.new("RGB", (60, 40), "white")
    image.paste("red", (0, 0, 30, 20))
    return image


def ramp(width: int = 256, height: int = 8) -> Pixels:
    """Grey from 0 on the left to 255 on the right."""
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))


def assert_is_ramp(pixels: Pixels) -> None:
    assert np.abs(pixels.astype(int) - ramp()[..., None]).max() <= 1


# ── formats and modes ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", FORMATS)
def test_decode_returns_pixels_of_every_format(kind: str) -> None:
    pixels = decode(save(corner(), kind))
    assert pixels.shape == (40, 60, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous and pixels.flags.writeable
    assert np.abs(pixels[5, 5].astype(int) - RED).max() < 8
    assert np.abs(pixels[30, 50].astype(int) - WHITE).max() < 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_turns_image_upright_by_exif(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = save(corner(), kind, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(decode(data), np.asarray(upright.convert("RGB")))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_decode_ignores_damaged_exif() -> None:
    data = save(corner(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05garbage")
    assert decode(data).shape == (40, 60, 3)


@pytest.mark.parametrize("highest", [255, 1023, 4095, 65535])
@pytest.mark.parametrize(("kind", "order"), [("PNG", "<"), ("TIFF", "<"), ("TIFF", ">")])
def test_decode_stretches_16_bit_grey_to_its_range(kind: str, order: str, highest: int) -> None:
    values = np.round(ramp() / 255.0 * highest).astype(f"{order}u2")
    assert_is_ramp(decode(save(Image.fromarray(values), kind)))


def test_decode_stretches_narrow_range_of_16_bit_grey() -> None:
    values = 30_000 + ramp().astype(np.uint16)
    assert_is_ramp(decode(save(Image.fromarray(values), "PNG")))


def test_decode_inverts_16_bit_grey_whose_white_is_zero() -> None:
    values = 65535 - ramp().astype(np.uint16) * 257
    assert_is_ramp(decode(save(Image.fromarray(values), "TIFF", tiffinfo={262: 0})))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_decode_stretches_32_bit_grey(kind: type) -> None:
    assert_is_ramp(decode(save(Image.fromarray(ramp().astype(kind) * 100 - 5), "TIFF")))


def test_decode_ignores_infinite_values() -> None:
    values = np.vstack([ramp(), ramp()]).astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    assert_is_ramp(decode(save(Image.fromarray(values), "TIFF"))[8:])


@pytest.mark.parametrize("value", [0, 65535])
def test_decode_keeps_brightness_of_uniform_16_bit_image(value: int) -> None:
    pixels = decode(save(Image.new("I;16", (5, 5), value), "PNG"))
    assert np.all(pixels == value // 257)


def test_decode_converts_cmyk() -> None:
    image = Image.new("CMYK", (8, 8), (255, 0, 255, 0))
    for kind in ("JPEG", "TIFF"):
        assert np.abs(decode(save(image, kind)).astype(int) - GREEN).max() < 8


def test_decode_converts_palette() -> None:
    data = save(corner().quantize(4), "PNG")
    assert np.array_equal(decode(data), np.asarray(corner()))


def test_decode_converts_one_bit_image() -> None:
    data = save(Image.new("1", (9, 9), 1), "TIFF", compression="group4")
    assert np.all(decode(data) == 255)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_decode_shows_transparency_on_white(mode: str) -> None:
    image = Image.new("RGBA", (4, 2), (0, 0, 0, 0))  # transparent black
    image.paste((0, 0, 0, 255), (0, 0, 2, 2))
    data = save(image.convert(mode), "TIFF" if mode == "PA" else "PNG")
    assert decode(data)[0, :, 0].tolist() == [0, 0, 255, 255]


def test_decode_shows_transparent_palette_entry_on_white() -> None:
    image = Image.new("P", (4, 2), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert np.all(decode(save(image, "GIF", transparency=1)) == 255)


def test_decode_shows_half_transparent_colour_on_white() -> None:
    data = save(Image.new("RGBA", (1, 1), (0, 0, 0, 51)), "PNG")
    assert decode(data).ravel().tolist() == [204, 204, 204]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_decode_returns_first_frame_of_animation(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    data = save(frames[0], kind, save_all=True, append_images=frames[1:])
    pixels = decode(data)
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels.astype(int) - RED).max() < 8
    assert find_pages(data) == [0]


@pytest.mark.parametrize("size", [(1, 1), (20_000, 3), (3, 20_000)])
def test_decode_accepts_extreme_sizes(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "lime")
    pixels = decode(save(image, "PNG"))
    assert pixels.shape == (size[1], size[0], 3)
    assert np.all(pixels == GREEN)


def test_decode_is_the_same_for_images_of_several_strips() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1001, 2100, 3), dtype=np.uint8)
    assert np.array_equal(decode(encode_png(noise)), noise)


# ── pages of a TIFF ─────────────────────────────────────────────────────────────────────────


def test_pages_of_tiff_are_decoded_in_order() -> None:
    frames = [Image.new("L", (8 + n, 8), n) for n in range(5)]
    data = save(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert find_pages(data) == [0, 1, 2, 3, 4]
    assert find_pages(data, limit=3) == [0, 1, 2]
    assert decode(data, page=3).shape == (8, 11, 3)
    assert np.all(decode(data, page=3) == 3)


def test_smaller_copies_in_tiff_are_no_pages() -> None:
    small = Image.new("L", (4, 4))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    data = save(Image.new("L", (8, 8)), "TIFF", save_all=True, append_images=[small, corner()])
    assert find_pages(data) == [0, 2]


def test_later_page_of_tiff_over_the_limit_is_refused() -> None:
    large = Image.new("1", (1000, 1000))
    data = save(Image.new("1", (8, 8)), "TIFF", save_all=True, append_images=[large])
    with pytest.raises(TooLarge, match=r"1,000 × 1,000"):
        decode(data, page=1, max_pixels=10_000)


# ── bad input ───────────────────────────────────────────────────────────────────────────────

HEIC = b"\0\0\0\x18ftyp%s\0\0\0\0mif1heic" + bytes(100)
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>'


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"The quick brown fox.\n" * 200, "contains text"),
        ("Grüße aus Zürich\n".encode() * 200, "contains text"),
        (b"x", "contains text"),
        (SVG, "SVG drawing"),
        (b"\xef\xbb\xbf<!-- made by hand -->\n<svg/>", "SVG drawing"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (HEIC % b"heic", "HEIC photo"),
        (HEIC % b"mif1", "HEIC photo"),
        (b"%PDF-1.7\n", "is a PDF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(100), "supported format"),
        (save(Image.new("RGB", (8, 8)), "ICO"), "supported format"),
        (b"P3 1 1 255\n0 0 0\n", "contains text"),  # takes seconds for a large one
        (save(Image.new("RGB", (8, 8)), "EPS"), "contains text"),  # which would start Ghostscript
    ],
)
def test_decode_reports_what_is_not_a_picture(data: bytes, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as caught:
        decode(data, name="photo.jpg")
    assert str(caught.value).startswith("photo.jpg ")
    assert caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_decode_reports_truncated_file(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = save(Image.fromarray(noise), kind)
    with pytest.raises(BadInput, match=r"photo is truncated or damaged\. Save or upload it again"):
        decode(data[: max(16, int(len(data) * share))], name="photo")


def one_bit_png(width: int, height: int) -> bytes:
    """A valid PNG of white, written without the pixels in memory."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    rows = zlib.compressobj()
    row = b"\0" + b"\xff" * ((width + 7) // 8)
    body = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_decode_refuses_huge_image_from_its_header() -> None:
    data = one_bit_png(30_000, 30_000)
    assert len(data) < 300_000
    with pytest.raises(TooLarge, match=r"30,000 × 30,000 pixels; the maximum is 50 million"):
        decode(data)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "GIF", "TIFF"])
def test_decode_refuses_image_over_the_limit(kind: str) -> None:
    data = save(Image.new("RGB", (200, 100)), kind)
    assert decode(data, max_pixels=20_000).shape == (100, 200, 3)
    with pytest.raises(TooLarge, match="200 × 100"):
        decode(data, max_pixels=19_999)


def test_decode_accepts_limit_above_that_of_pillow() -> None:
    assert Image.MAX_IMAGE_PIXELS == 89_478_485
    data = one_bit_png(20_000, 10_000)
    with pytest.raises(TooLarge, match="199"):
        decode(data, max_pixels=199_000_000)
    assert find_pages(data, max_pixels=200_000_000) == [0]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_decode_takes_bounded_memory() -> None:
    """The largest image of the default limit, in a process of its own."""
    program = (
        "import sys\n"
        "from vision_app.files.pixels import decode\n"
        "decode(sys.stdin.buffer.read())\n"
        # Not `ru_maxrss`, which a new process inherits from the one that started it.
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    )
    data = save(Image.new("RGB", (7_000, 7_000)), "PNG")
    run = subprocess.run(
        [sys.executable, "-c", program], input=data, capture_output=True, check=True
    )
    assert int(run.stdout) * 1024 < 500e6


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(data=st.binary(max_size=200), kind=st.sampled_from(FORMATS), at=st.integers(0, 400))
@settings(max_examples=150, deadline=None)
def test_decode_of_damaged_file_returns_pixels_or_raises_our_error(
    data: bytes, kind: str, at: int
) -> None:
    whole = save(corner(), kind)
    damaged = whole[:at] + data + whole[at + len(data) :]
    try:
        assert decode(damaged, max_pixels=1_000_000).ndim == 3
    except SeedbedError as error:
        assert "\n" not in str(error)


# ── names, output ───────────────────────────────────────────────────────────────────────────


def test_names_in_errors_are_printable() -> None:
    with pytest.raises(BadInput, match=r"^a\?\[31m\?b\.png is empty") as caught:
        decode(b"", name="a\x1b[31m\nb.png")
    assert str(caught.value).isprintable()
    assert printable("évian \u202egnp.exe") == "évian ?gnp.exe"  # right-to-left override
    assert len(printable("x" * 100_000)) < 1100


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_encode_png_keeps_every_pixel(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    decoded = decode(encode_png(pixels))
    assert np.array_equal(decoded, pixels if len(shape) == 3 else np.dstack([pixels] * 3))


def test_message_part_is_a_jpeg_scaled_to_the_side() -> None:
    part = message_part(np.full((300, 600, 3), WHITE, np.uint8), side=100)
    assert (part["type"], part["mime_type"]) == ("image", "image/jpeg")
    pixels = decode(base64.b64decode(part["base64"]))
    assert pixels.shape == (50, 100, 3)
    assert np.abs(pixels.astype(int) - WHITE).max() < 8
