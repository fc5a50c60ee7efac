"""Hostile PDFs end the process that renders them, not the app."""

from __future__ import annotations

import sys
import threading
import zlib

import pytest

from vision_app.files.pdf import count_pages, render
from seedbed.errors import BadInput
from seedbed.safety.limited_process import LimitedProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")


def pdf(content: bytes) -> bytes:
    """A page of deflated `content`; PDFium finds the objects without a table of them."""
    stream = zlib.compress(content, 1)
    return (
        b"%%PDF-1.7\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n"
        b"2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 100 100] >> endobj\n"
        b"3 0 obj << /Type /Page /Parent 2 0 R /Contents 4 0 R >> endobj\n"
        b"4 0 obj << /Filter /FlateDecode /Length %d >> stream\n%s\nendstream endobj\n"
        b"trailer << /Root 1 0 R >>" % (len(stream), stream)
    )


RED = pdf(b"1 0 0 rg 0 0 100 100 re f")


HINT = "Export its pages as PNG."


def make_process(**limits: float) -> LimitedProcess:
    return LimitedProcess("vision_app.files.pdf:open_page", action="render", hint=HINT, **limits)


@pytest.mark.slow
def test_page_that_takes_too_long_is_refused() -> None:
    slow = pdf(b"0 0 m 90 90 l 10 90 80 10 1 1 c S\n" * 2_000_000)
    with pytest.raises(BadInput, match=r"^slow takes longer than 1 s to render\. Export its pages"):
        make_process(max_seconds=1.0).call(slow, name="slow", label="", index=0, max_pixels=10**7)


@pytest.mark.slow
def test_page_that_takes_too_much_memory_is_refused() -> None:
    large = pdf(bytes(500_000_000))
    assert len(large) < 5_000_000
    process = make_process(max_memory=400_000_000)
    with pytest.raises(BadInput, match=r"^large is damaged, or takes more than 400 MB to render"):
        process.call(large, name="large", label="", index=0, max_pixels=10_000)


def test_threads_get_the_pages_that_they_requested() -> None:
    documents = [pdf(b"%d 0 0 rg 0 0 100 100 re f" % (n % 2)) for n in range(8)]
    reds: dict[int, list[int]] = {n: [] for n in range(8)}

    def work(n: int) -> None:
        for _ in range(10):
            pixels = render(documents[n], 0, name="page", max_pixels=10_000)
            reds[n].append(int(pixels[50, 50, 0]))

    threads = [threading.Thread(target=work, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reds == {n: [255 * (n % 2)] * 10 for n in range(8)}


def test_pages_are_counted_and_damage_is_named() -> None:
    assert count_pages(RED, name="red") == 1
    with pytest.raises(BadInput, match=r"^red is truncated or damaged\. Export it again\.$"):
        count_pages(RED[:20], name="red")
    with pytest.raises(BadInput, match=r"^Page 3 of red is truncated or damaged"):
        render(RED, 2, name="red", max_pixels=10_000)
