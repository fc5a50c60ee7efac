"""Hooks for the tests of vision_app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_pdf() -> Callable[..., bytes]:
    """make_pdf(content, page="", count=1, box=…): a PDF of equal pages, in Helvetica as /F."""
    return write_pdf


def write_pdf(
    content: str | bytes = "BT /F 48 Tf 50 700 Td (Hello) Tj ET",
    page: str = "",
    *,
    count: int = 1,
    box: str = "0 0 595.28 841.89",
    trailer: str = "",
) -> bytes:
    """PDFium finds the objects without a table of them."""
    stream = content if isinstance(content, bytes) else content.encode("cp1252")
    font = "/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    kids = " ".join(f"{number + 4} 0 R" for number in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} /MediaBox [{box}] {font} >>".encode(),
        b"<< /Length %d >> stream\n%s\nendstream" % (len(stream), stream),
        *[f"<< /Type /Page /Parent 2 0 R /Contents 3 0 R {page} >>".encode()] * count,
    ]
    body = b"".join(b"%d 0 obj %s endobj\n" % item for item in enumerate(objects, 1))
    return b"%PDF-1.7\n" + body + f"trailer << /Root 1 0 R {trailer} >>".encode()


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Free the memory of the image model after the last test; it is opened again on use."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        from vision_app.classify import image_model

        image_model._efficientnet.cache_clear()
