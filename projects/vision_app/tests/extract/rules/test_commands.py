"""Fields by rules on the command line: JSON with evidence, CSV, and a schema of one's own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2
import pytest

from vision_app.__main__ import main
from vision_app.files.pixels import encode_png
from vision_app.files.samples import samples

INVOICE = str(next(sample.path for sample in samples() if sample.name == "invoice"))
XML = b"<CrossIndustryInvoice><GrandTotalAmount>119.00</GrandTotalAmount></CrossIndustryInvoice>"


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    assert not done.value.code


def test_extract_prints_evidence_and_csv(
    make_pdf: Callable[..., bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gray, bill = tmp_path / "gray.png", tmp_path / "bill.pdf"
    gray.write_bytes(encode_png(np.full((40, 60, 3), 128, np.uint8)))
    bill.write_bytes(make_pdf("BT /F 14 Tf 60 700 Td (Total: 669.00 EUR) Tj ET"))
    run("extract", INVOICE, "--json")
    result = json.loads(capsys.readouterr().out)
    assert (result["fields"]["total"], result["fields"]["order_number"]) == (669.0, None)
    assert set(result["evidence"]["total"]) == {"text", "box", "page", "confidence"}
    assert "order_number" not in result["evidence"]
    run("extract", str(bill), str(gray), "--csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["total"] for row in rows] == ["669.0", ""]


def test_schema_of_a_user_is_read_from_the_page_whatever_its_name(
    make_pdf: Callable[..., bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = "BT /F 14 Tf 60 700 Td (Bank account: DE12 6805 0101 0001 2345 67) Tj ET"
    document = pypdfium2.PdfDocument(make_pdf(page))
    document.new_attachment("factur-x.xml").set_data(XML)
    document.save(tmp_path / "a.pdf")
    path = tmp_path / "invoice.json"
    path.write_text('{"properties": {"iban": {"x-labels": ["Bank account"]}}}', "utf-8")
    run("extract", str(tmp_path / "a.pdf"), "--schema", str(path), "--json")
    fields = json.loads(capsys.readouterr().out)["fields"]
    assert fields == {"iban": "DE12 6805 0101 0001 2345 67"}
