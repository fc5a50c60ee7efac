"""Untrusted pictures: the right pixels from every mode, or a clear error within bounded memory."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vision_app.files.pixels import (
    FORMATS,
    Pixels,
    count_pages,
    decode,
    message_part,
)
from seedbed.errors import BadInput, SeedbedError, TooLarge

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
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


def ramp() -> Pixels:
    """Grey from 0 on the left to 255 on the right."""
    return np.tile(np.arange(256, dtype=np.uint8), (8, 1))


# ── formats and modes ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", FORMATS)
def test_decode_returns_pixels_of_every_format(kind: str) -> None:
    pixels = decode(save(corner(), kind))
    assert pixels.shape == (40, 60, 3) and pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous and pixels.flags.writeable
    assert np.abs(pixels[5, 5].astype(int) - RED).max() < 8
    assert np.abs(pixels[30, 50].astype(int) - WHITE).max() < 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_decode_turns_image_upright_by_exif(kind: str) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = save(corner(), kind, exif=exif)
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        assert np.array_equal(decode(data), np.asarray(upright.convert("RGB"))), orientation


def test_decode_ignores_damaged_exif() -> None:
    data = save(corner(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05garbage")
    assert decode(data).shape == (40, 60, 3)


DEEP: dict[str, tuple[npt.NDArray[Any], str, dict[str, Any]]] = {
    "10 of 16 bits": (ramp().astype("<u2") * 4, "TIFF", {}),
    "16 bits, big-endian": (ramp().astype(">u2") * 257, "TIFF", {}),
    "narrow range": (30_000 + ramp().astype("<u2"), "PNG", {}),
    "white is zero": (65535 - ramp().astype("<u2") * 257, "TIFF", {"tiffinfo": {262: 0}}),
    "32-bit integers": (ramp().astype(np.int32) * 100 - 5, "TIFF", {}),
    "32-bit floats": (ramp().astype(np.float32) * 100 - 5, "TIFF", {}),
}


@pytest.mark.parametrize(("values", "kind", "options"), DEEP.values(), ids=DEEP)
def test_decode_stretches_grey_of_many_bits_to_its_range(
    values: npt.NDArray[Any], kind: str, options: dict[str, Any]
) -> None:
    pixels = decode(save(Image.fromarray(values), kind, **options))
    assert np.abs(pixels.astype(int) - ramp()[..., None]).max() <= 1


def test_decode_ignores_infinite_values() -> None:
    values = np.vstack([ramp(), ramp()]).astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    pixels = decode(save(Image.fromarray(values), "TIFF"))[8:]
    assert np.abs(pixels.astype(int) - ramp()[..., None]).max() <= 1


@pytest.mark.parametrize("value", [0, 65535])
def test_decode_keeps_brightness_of_uniform_16_bit_image(value: int) -> None:
    pixels = decode(save(Image.new("I;16", (5, 5), value), "PNG"))
    assert np.all(pixels == value // 257)


def test_decode_converts_cmyk_palettes_and_one_bit() -> None:
    green = Image.new("CMYK", (8, 8), (255, 0, 255, 0))
    for kind in ("JPEG", "TIFF"):
        assert np.abs(decode(save(green, kind)).astype(int) - GREEN).max() < 8
    assert np.array_equal(decode(save(corner().quantize(4), "PNG")), np.asarray(corner()))
    assert np.all(decode(save(Image.new("1", (9, 9), 1), "TIFF", compression="group4")) == 255)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_decode_shows_transparency_on_white(mode: str) -> None:
    image = Image.new("RGBA", (4, 2), (0, 0, 0, 0))  # transparent black
    image.paste((0, 0, 0, 255), (0, 0, 2, 2))
    data = save(image.convert(mode), "TIFF" if mode == "PA" else "PNG")
    assert decode(data)[0, :, 0].tolist() == [0, 0, 255, 255]
    half = save(Image.new("RGBA", (1, 1), (0, 0, 0, 51)), "PNG")
    assert decode(half).ravel().tolist() == [204, 204, 204]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_decode_returns_first_frame_of_animation(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    data = save(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.abs(decode(data).astype(int) - RED).max() < 8
    assert count_pages(data) == 1


def test_pages_of_tiff_are_decoded_in_order() -> None:
    frames = [Image.new("L", (8 + n, 8), n) for n in range(5)]
    data = save(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert count_pages(data) == 5
    assert decode(data, page=3).shape == (8, 11, 3) and np.all(decode(data, page=3) == 3)
    with pytest.raises(TooLarge, match=r"12 × 8"):
        decode(data, page=4, max_pixels=90)


# ── bad input ───────────────────────────────────────────────────────────────────────────────

HEIC = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (HEIC, "HEIC photo"),
        (b"The quick brown fox.\n", "supported format"),
        (save(Image.new("RGB", (8, 8)), "ICO"), "supported format"),
        (b"P3 1 1 255\n0 0 0\n", "supported format"),  # takes seconds for a large one
        (save(Image.new("RGB", (8, 8)), "EPS"), "supported format"),  # would start Ghostscript
    ],
)
def test_decode_reports_what_is_not_a_picture(data: bytes, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as caught:
        decode(data, name="photo\x1b[31m\n.jpg")
    assert str(caught.value).startswith("photo?[31m?.jpg ") and str(caught.value).isprintable()
    assert caught.value.hint


@pytest.mark.parametrize("kind", FORMATS)
def test_decode_reports_truncated_file(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = save(Image.fromarray(noise), kind)
    for share in (0.01, 0.5, 0.9):
        with pytest.raises(BadInput, match=r"photo is (truncated or )?damaged"):
            decode(data[: max(16, int(len(data) * share))], name="photo")


def test_decode_refuses_image_over_the_limit_from_its_header() -> None:
    for kind in FORMATS:
        data = save(Image.new("RGB", (200, 100)), kind)
        assert decode(data, max_pixels=20_000).shape == (100, 200, 3)
        with pytest.raises(TooLarge, match="200 × 100 pixels; the maximum"):
            decode(data, max_pixels=19_999)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("mode", "limit"), [("RGB", 500e6), ("RGBA", 900e6), ("I;16", 900e6)])
def test_decode_takes_bounded_memory(mode: str, limit: float) -> None:
    """The largest image of the default limit, in a process of its own."""
    program = (
        "import sys\n"
        "from vision_app.files.pixels import decode\n"
        "decode(sys.stdin.buffer.read())\n"
        # Not `ru_maxrss`, which a new process inherits from the one that started it.
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    )
    data = save(Image.new(mode, (7_000, 7_000)), "PNG")
    run = subprocess.run(
        [sys.executable, "-c", program], input=data, capture_output=True, check=True
    )
    assert int(run.stdout) * 1024 < limit


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


def test_message_part_is_a_jpeg_scaled_to_the_side() -> None:
    part = message_part(np.full((300, 600, 3), WHITE, np.uint8), side=100)
    assert (part["type"], part["mime_type"]) == ("image", "image/jpeg")
    pixels = decode(base64.b64decode(part["base64"]))
    assert pixels.shape == (50, 100, 3) and np.abs(pixels.astype(int) - WHITE).max() < 8
