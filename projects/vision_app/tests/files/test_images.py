"""Files from anywhere: pages within the limits, or an error that says what to do next."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vision_app.config import Config
from vision_app.files.images import Source, open_source
from seedbed.errors import BadInput, NotFound, TooLarge

CONFIG = Config(_env_file=None)  # type: ignore[call-arg]
A4 = "0 0 595.28 841.89"
HELLO = b"BT /F 48 Tf 50 700 Td (Hello) Tj ET"


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pdf(count: int = 1, content: bytes = HELLO, box: str = A4, trailer: str = "") -> bytes:
    """A PDF of equal pages."""
    kids = " ".join(f"{number + 5} 0 R" for number in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} /MediaBox [{box}] >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        *[b"<< /Type /Page /Parent 2 0 R /Contents 3 0 R /Resources << /Font << /F 4 0 R >> >> >>"]
        * count,
    ]
    data, offsets = b"%PDF-1.7\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{len(data)}\n%%EOF"
    return data + b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (size, table, end.encode())


def open_bytes(data: bytes, name: str = "file", **limits: int) -> Source:
    return open_source(data, name=name, config=CONFIG.model_copy(update=limits))


# ── images ──────────────────────────────────────────────────────────────────────────────────


def test_image_file_is_opened_with_its_path_as_name(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(save(Image.new("RGB", (30, 20), "red"), "PNG"))
    source = open_source(path, config=CONFIG)
    assert (source.name, source.page_count, source.warnings) == (str(path), 1, ())
    assert source.first().shape == (20, 30, 3)
    assert np.all(source.first() == (255, 0, 0))
    assert len(list(source.pages())) == 1


def test_name_replaces_path_and_is_printable(tmp_path: Path) -> None:
    path = tmp_path / "upload.tmp"
    path.write_bytes(save(Image.new("RGB", (3, 2)), "PNG"))
    assert open_source(path, name="a\x1b[2J.png", config=CONFIG).name == "a?[2J.png"


def test_image_in_memory_needs_no_name() -> None:
    source = open_source(save(Image.new("RGB", (3, 2)), "PNG"), config=CONFIG)
    assert source.name == "image"


def test_frames_of_tiff_are_pages() -> None:
    frames = [Image.new("L", (8, 8), value) for value in range(25)]
    data = save(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    source = open_bytes(data, max_pages=3)
    assert source.page_count == 3
    assert [int(pixels[0, 0, 0]) for pixels in source.pages()] == [0, 1, 2]
    assert source.warnings == (
        "Only the first 3 pages were read. Set VISION_MAX_PAGES to read more.",
    )
    assert open_bytes(data, max_pages=25).warnings == ()


def test_megapixels_limit_images_before_they_are_decoded() -> None:
    data = save(Image.new("1", (2000, 1000)), "PNG")
    with pytest.raises(TooLarge, match=r"^file has 2,000 × 1,000 pixels; the maximum is 1 million"):
        open_bytes(data, max_megapixels=1)


# ── PDF ─────────────────────────────────────────────────────────────────────────────────────


def test_pdf_page_is_rendered_upright_on_white_for_ocr() -> None:
    source = open_bytes(pdf())
    pixels = source.first()
    assert pixels.shape == (1988, 1406, 3)  # 170 dpi
    assert pixels.dtype == np.uint8 and pixels.flags.writeable
    rows, columns = np.nonzero(pixels[..., 0] < 128)
    assert rows.max() < 1988 / 4  # "Hello" is in the upper left quarter
    assert columns.max() < 1406 / 2
    assert np.all(pixels[1000:] == 255)


def test_pdf_colours_are_rgb() -> None:
    pixels = open_bytes(pdf(content=b"1 0 0 rg 0 0 600 900 re f")).first()
    assert pixels[500, 500].tolist() == [255, 0, 0]


def test_pdf_with_500_pages_is_cut_with_a_warning() -> None:
    source = open_bytes(pdf(500, box="0 0 100 100"))
    assert source.page_count == 20
    assert source.warnings == (
        "Only the first 20 pages were read. Set VISION_MAX_PAGES to read more.",
    )
    assert len(list(source.pages())) == 20


def test_pdf_with_one_page_over_the_limit_is_cut_with_a_warning() -> None:
    source = open_bytes(pdf(2), max_pages=1)
    assert source.warnings == ("Only the first page was read. Set VISION_MAX_PAGES to read more.",)


@pytest.mark.parametrize("box", ["0 0 14400 14400", "0 0 100 14400", "0 0 1e30 1e30"])
def test_large_pdf_page_is_rendered_at_lower_resolution(box: str) -> None:
    height, width, _ = open_bytes(pdf(box=box), max_megapixels=1).first().shape
    assert height * width < 1_100_000


@pytest.mark.parametrize("box", ["0 0 1 1", "0 0 0 0"])
def test_small_pdf_page_is_rendered(box: str) -> None:
    assert open_bytes(pdf(box=box)).first().ndim == 3


def test_pdf_after_other_bytes_is_recognized() -> None:
    assert open_bytes(b"\xef\xbb\xbf\n" + pdf()).page_count == 1


def test_pdfs_are_rendered_from_many_threads() -> None:
    """PDFium crashes the process when two threads use it at once."""
    source = open_bytes(pdf(box="0 0 50 50"))
    sums: list[int] = []
    threads = [
        threading.Thread(target=lambda: sums.extend(int(source.first().sum()) for _ in range(20)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sums) == 160
    assert len(set(sums)) == 1


def test_encrypted_pdf_is_refused() -> None:
    key = "x" * 32
    encrypt = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O ({key}) /U ({key}) /P -4 >>"
    with pytest.raises(BadInput, match=r"^a\.pdf is encrypted\. Save it without a password\.$"):
        open_bytes(pdf(trailer=f"{encrypt} /ID [(a) (b)]"), "a.pdf")


@pytest.mark.parametrize("data", [pdf()[:200], b"%PDF-1.7\n", b"%PDF-" + bytes(5000)])
def test_damaged_pdf_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"^a\.pdf is truncated or damaged\. Export it again\.$"):
        open_bytes(data, "a.pdf")


# ── files ───────────────────────────────────────────────────────────────────────────────────


def test_large_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(10**12)  # takes no disk, and would not fit into memory
    with pytest.raises(TooLarge, match=r"large\.png is larger than 25 MB.*VISION_MAX_FILE_MB"):
        open_source(path, config=CONFIG)


def test_large_upload_is_refused() -> None:
    with pytest.raises(TooLarge, match="a is larger than 1 MB"):
        open_bytes(bytes(1_000_001), "a", max_file_mb=1)


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.png does not exist\. Check the path"):
        open_source(tmp_path / "nothing.png", config=CONFIG)


def test_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder"):
        open_source(tmp_path, config=CONFIG)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(BadInput, match="is not a regular file"):
        open_source(tmp_path / "pipe.png", config=CONFIG)


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 5000])
def test_impossible_path_is_reported(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be read") as caught:
        open_source(tmp_path / name, config=CONFIG)
    assert str(caught.value).isprintable()


def test_file_without_permission_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    with pytest.raises(BadInput, match="Permission denied"):
        open_source(path, config=CONFIG)
