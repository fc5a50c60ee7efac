"""Files from anywhere: pages within the limits, or an error that says what to do next."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vision_app.config import Config
from vision_app.files import pdf
from vision_app.files.images import Source, open_source
from vision_app.files.pdf import count_pages, render
from seedbed.errors import BadInput, NotFound, TooLarge
from seedbed.safety.limited_process import LimitedProcess

MakePdf = Callable[..., bytes]
CONFIG = Config(_env_file=None)  # type: ignore[call-arg]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def open_bytes(data: bytes, name: str = "file", **limits: int) -> Source:
    return open_source(data, name=name, config=CONFIG.model_copy(update=limits))


# ── images ──────────────────────────────────────────────────────────────────────────────────


def test_image_file_is_opened_with_its_path_as_name(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(save(Image.new("RGB", (30, 20), "red"), "PNG"))
    source = open_source(path, config=CONFIG)
    assert (source.name, source.page_count, source.warnings) == (str(path), 1, ())
    assert np.all(source.first() == (255, 0, 0)) and source.first().shape == (20, 30, 3)
    assert open_source(path, name="a\x1b[2J.png", config=CONFIG).name == "a?[2J.png"
    assert open_source(path.read_bytes(), config=CONFIG).name == "image"


def test_frames_of_tiff_are_pages() -> None:
    frames = [Image.new("L", (8, 8), value) for value in range(25)]
    data = save(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    source = open_bytes(data, max_pages=3)
    assert [int(pixels[0, 0, 0]) for pixels in source.pages()] == [0, 1, 2]
    assert source.warnings == (
        "Only the first 3 pages were read. Set VISION_MAX_PAGES to read more.",
    )
    assert open_bytes(data, max_pages=25).warnings == ()


def test_megapixels_limit_images_before_they_are_decoded() -> None:
    data = save(Image.new("1", (2000, 1000)), "PNG")
    with pytest.raises(TooLarge, match=r"^file has 2,000 × 1,000 pixels; the maximum is 1 million"):
        open_bytes(data, max_megapixels=1)
    large = save(Image.new("1", (20_000, 10_000)), "PNG")  # above the limit of Pillow
    assert open_bytes(large, max_megapixels=200).page_count == 1


def test_picture_with_the_mark_of_a_pdf_in_its_comment_is_a_picture() -> None:
    data = save(Image.new("RGB", (30, 20)), "JPEG", comment=b"%PDF-1.7")
    assert open_bytes(data).first().shape == (20, 30, 3)


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated, as each one is decoded into all pixels."""
    data = save(Image.new("RGB", (side, side)), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


@on_linux
def test_picture_that_takes_too_long_is_refused() -> None:
    process = LimitedProcess("vision_app.files.pixels:open_picture", action="decode", hint="Hm.")
    limits = {"max_pixels": 5 * 10**7, "max_seconds": 0.2}
    with pytest.raises(BadInput, match=r"^slow takes longer than 0\.2 s to decode\. Hm\.$"):
        process.call(many_scans(7000, 50), name="slow", label="slow", page=0, **limits)


def test_jpeg_of_many_scans_is_refused_at_once() -> None:
    with pytest.raises(BadInput, match=r"^a\.jpg has 5\d\d scans; the maximum is 64\."):
        open_bytes(many_scans(100, 500), "a.jpg")
    film = b"\xff\xda" * 100  # as phones append it to a photograph
    assert open_bytes(many_scans(100, 10) + film).first().shape == (100, 100, 3)


# ── PDF ─────────────────────────────────────────────────────────────────────────────────────


def test_pdf_page_is_rendered_upright_on_white_for_ocr(make_pdf: MakePdf) -> None:
    pixels = open_bytes(make_pdf()).first()
    assert pixels.shape == (1988, 1406, 3)  # 170 dpi
    assert pixels.dtype == np.uint8 and pixels.flags.writeable
    rows, columns = np.nonzero(pixels[..., 0] < 128)
    assert rows.max() < 1988 / 4 and columns.max() < 1406 / 2  # "Hello" is in the upper left
    red = open_bytes(make_pdf("1 0 0 rg 0 0 600 900 re f")).first()
    assert red[500, 500].tolist() == [255, 0, 0]


def test_pdf_over_the_limit_of_pages_is_cut_with_a_warning(make_pdf: MakePdf) -> None:
    source = open_bytes(make_pdf(*[""] * 500, box="0 0 100 100"))
    assert source.warnings == (
        "Only the first 20 pages were read. Set VISION_MAX_PAGES to read more.",
    )
    assert len(list(source.pages())) == source.page_count == 20
    [warning] = open_bytes(make_pdf("", ""), max_pages=1).warnings
    assert warning.startswith("Only the first page was read.")


@pytest.mark.parametrize(
    "box", ["0 0 14400 14400", "0 0 100 14400", "0 0 1e30 1e30", "0 0 1 1", "0 0 0 0"]
)
def test_pdf_page_of_any_size_is_rendered_within_the_limit(make_pdf: MakePdf, box: str) -> None:
    height, width, _ = open_bytes(make_pdf(box=box), max_megapixels=1).first().shape
    assert height * width < 1_100_000 or box == "0 0 0 0"


def test_encrypted_or_damaged_pdf_is_refused(make_pdf: MakePdf) -> None:
    key = "x" * 32
    encrypt = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O ({key}) /U ({key}) /P -4 >>"
    with pytest.raises(BadInput, match=r"^a\.pdf is encrypted\. Save it without a password\.$"):
        open_bytes(make_pdf(trailer=f"{encrypt} /ID [(a) (b)]"), "a.pdf")
    for data in (make_pdf()[:60], b"%PDF-1.7\n", b"%PDF-" + bytes(5000)):
        with pytest.raises(BadInput, match=r"^a\.pdf is truncated or damaged\. Export it again"):
            open_bytes(data, "a.pdf")
    with pytest.raises(BadInput, match=r"^Page 3 of a\.pdf is truncated or damaged"):
        render(make_pdf(), 2, name="a.pdf", max_pixels=10_000)
    assert count_pages(b"\xef\xbb\xbf\n" + make_pdf(), name="after other bytes") == 1


@on_linux
def test_page_that_takes_too_long_is_refused(make_pdf: MakePdf) -> None:
    curves = make_pdf(b"0 0 m 90 90 l 10 90 80 10 1 1 c S\n" * 500_000)
    limits = {"max_pixels": 10**7, "max_seconds": 0.2}
    with pytest.raises(BadInput, match=r"^page takes longer than 0\.2 s to render\. Export its"):
        pdf._process.call(curves, name="page", label="", index=0, **limits)


# ── files ───────────────────────────────────────────────────────────────────────────────────


def test_large_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(10**12)  # takes no disk, and would not fit into memory
    with pytest.raises(TooLarge, match=r"large\.png is larger than 25 MB.*VISION_MAX_FILE_MB"):
        open_source(path, config=CONFIG)
    with pytest.raises(TooLarge, match="a is larger than 1 MB"):
        open_bytes(bytes(1_000_001), "a", max_file_mb=1)


def test_path_that_is_not_a_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.png does not exist\. Check the path"):
        open_source(tmp_path / "nothing.png", config=CONFIG)
    with pytest.raises(BadInput, match="is a folder"):
        open_source(tmp_path, config=CONFIG)
    for name in ("a\0b.png", "x" * 5000):
        with pytest.raises(BadInput, match="cannot be read") as caught:
            open_source(tmp_path / name, config=CONFIG)
        assert str(caught.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(BadInput, match="is not a regular file"):
        open_source(tmp_path / "pipe.png", config=CONFIG)
