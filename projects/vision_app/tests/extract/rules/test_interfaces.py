"""Fields by rules on the command line and over HTTP."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from vision_app.__main__ import main
from vision_app.config import Config
from vision_app.files.pixels import encode_png
from vision_app.files.samples import samples
from vision_app.ocr.page import Line, Page, Word
from vision_app.serve.api import create_app
from vision_app.vision import Vision
from seedbed.settings import Settings

INVOICE = next(sample.path for sample in samples() if sample.name == "invoice")
GRAY = np.full((40, 60, 3), 128, np.uint8)


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_DATA_DIR", str(tmp_path / "data"))


def extract(*arguments: str) -> None:
    with pytest.raises(SystemExit) as done:
        main(["extract", *arguments])
    assert not done.value.code


def test_extract_prints_fields_with_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    extract(str(INVOICE), "--json")
    result = json.loads(capsys.readouterr().out)
    assert result["fields"]["total"] == 669.0
    assert result["fields"]["order_number"] is None
    assert set(result["evidence"]["total"]) == {"text", "box", "page", "confidence"}
    assert "order_number" not in result["evidence"]


def test_extract_writes_csv_with_a_row_per_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gray = tmp_path / "gray.png"
    gray.write_bytes(encode_png(GRAY))
    extract(str(INVOICE), str(gray), "--csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["total"] for row in rows] == ["669.0", ""]


WORDS = (Word("Code", (0, 0, 20, 9), 0.9), Word("a" * 40, (25, 0, 60, 9), 0.9))
ONE_LINE = Page(1, 60, 40, (Line(WORDS),))


class OneLineVision(Vision):
    """The real extraction, from the same line of 40 letters in every picture."""

    @property
    def reader(self) -> Any:
        return SimpleNamespace(read=lambda *_: ONE_LINE)


@pytest.mark.timeout(60)
def test_extract_matches_patterns_of_a_schema_in_linear_time() -> None:
    app = create_app(OneLineVision(Config(), Settings()), Settings(api_keys=""))
    with TestClient(app) as client:

        def send(pattern: str) -> Any:
            schema = {"properties": {"code": {"type": "string", "pattern": pattern}}}
            files = {"file": ("a.png", encode_png(GRAY))}
            fields = {"schema": json.dumps(schema)}
            return client.post("/v1/extract", files=files, data=fields).json()

        assert send("^(([^!])+)+!$")["fields"] == {"code": None}
        assert send("^(([^!])+)+$")["fields"] == {"code": "a" * 40}
        message = send(r"(a)\1")["error"]["message"]
        assert "'code'" in message and "no look-around, back-references" in message
