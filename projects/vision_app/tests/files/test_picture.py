"""A hostile picture ends the process that decodes it, not the app."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from vision_app.config import Config
from vision_app.files import picture
from vision_app.files.images import open_source
from vision_app.files.pixels import encode_png
from seedbed.errors import BadInput, TooLarge
from seedbed.safety.limited_process import LimitedProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated, as each one is decoded into all pixels."""
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def test_picture_that_takes_too_long_is_refused() -> None:
    process = LimitedProcess("vision_app.files.picture:open_picture", action="decode", hint="Hm.")
    limits = {"max_pixels": 5 * 10**7, "max_seconds": 0.2}
    with pytest.raises(BadInput, match=r"^slow takes longer than 0\.2 s to decode\. Hm\.$"):
        process.call(many_scans(7000, 50), name="slow", label="slow", page=0, **limits)


def test_jpeg_of_many_scans_is_refused_at_once() -> None:
    data = many_scans(100, 500)
    with pytest.raises(BadInput, match=r"^a\.jpg has 5\d\d scans; the maximum is 64\."):
        open_source(data, name="a.jpg", config=Config())
    film = b"\xff\xda" * 100  # as phones append it to a photograph
    usual = open_source(many_scans(100, 10) + film, config=Config())
    assert usual.first().shape == (100, 100, 3)


def test_errors_of_the_child_are_those_of_the_decoder() -> None:
    png = encode_png(np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(TooLarge, match=r"^a\.png has 30 × 20 pixels; the maximum is 0\.0001"):
        picture.decode(png, 0, name="a.png", max_pixels=100)
    with pytest.raises(BadInput, match=r"^a\.png is truncated or damaged\."):
        picture.decode(png[:40], 0, name="a.png", max_pixels=1000)


def test_picture_with_the_mark_of_a_pdf_in_its_comment_is_a_picture() -> None:
    file = io.BytesIO()
    Image.new("RGB", (30, 20)).save(file, "JPEG", comment=b"%PDF-1.7")
    assert open_source(file.getvalue(), name="a.jpg", config=Config()).first().shape == (20, 30, 3)
