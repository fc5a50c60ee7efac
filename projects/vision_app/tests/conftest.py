"""Hooks for the tests of vision_app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

HELLO = "BT /F 48 Tf 50 700 Td (Hello) Tj ET"


@pytest.fixture(scope="session")
def make_pdf() -> Callable[..., bytes]:
    """make_pdf(*contents, page="", box=…, font="Helvetica"): a PDF of these pages."""
    return write_pdf


def write_pdf(
    *contents: str | bytes,
    page: str = "",
    box: str = "0 0 595.28 841.89",
    font: str = "Helvetica",
    trailer: str = "",
) -> bytes:
    """PDFium finds the objects without a table of them."""
    streams = [x if isinstance(x, bytes) else x.encode("cp1252") for x in contents or (HELLO,)]
    face = f"/Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding"
    total = len(streams)
    kids = " ".join(f"{3 + total + n} 0 R" for n in range(total))
    pages = f"/Kids [{kids}] /Count {total} /MediaBox [{box}]"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages {pages} /Resources << /Font << /F << {face} >> >> >> >>".encode(),
        *(b"<< /Length %d >> stream\n%s\nendstream" % (len(x), x) for x in streams),
        *(
            f"<< /Type /Page /Parent 2 0 R /Contents {3 + n} 0 R {page} >>".encode()
            for n in range(total)
        ),
    ]
    body = b"".join(b"%d 0 obj %s endobj\n" % item for item in enumerate(objects, 1))
    return b"%PDF-1.7\n" + body + f"trailer << /Root 1 0 R {trailer} >>".encode()


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Free the memory of the image model after the last test; it is opened again on use."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        from vision_app.classify import image_model

        image_model._efficientnet.cache_clear()
