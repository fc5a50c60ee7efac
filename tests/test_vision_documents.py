"""The generator of documents in benchmarks/vision_documents."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

GENERATOR = Path(__file__).parents[1] / "benchmarks/vision_documents/make_documents.py"


def make(split: str, out: Path, limit: int, seed: int = 0) -> list[dict[str, Any]]:
    command = [sys.executable, str(GENERATOR), "--split", split, "--out", str(out)]
    command += ["--limit", str(limit), "--seed", str(seed)]
    subprocess.run(command, check=True, timeout=120)
    return [json.loads(line) for line in (out / "truth.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module", params=["dev", pytest.param("more", marks=pytest.mark.slow)])
def documents(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    return folder, make(request.param, folder, 9)


def test_generator_prints_every_field_of_the_truth(documents: Any) -> None:
    _, rows = documents
    for truth in rows:
        fields, text = truth["fields"], truth["text"]
        assert (fields["vendor"] or "") in text.replace("\n", " ")
        assert (fields["invoice_number"] or "") in text
        digits = "".join(filter(str.isdigit, fields["total"] or ""))
        assert digits in "".join(filter(str.isdigit, text))


def test_generator_leaves_fields_out(documents: Any) -> None:
    _, rows = documents
    absent = [name for truth in rows for name, value in truth["fields"].items() if value is None]
    assert {"invoice_number", "currency"} <= set(absent)
    for truth in rows:
        if truth["fields"]["currency"] is None:
            assert not any(symbol in truth["text"] for symbol in ("€", "$", "£", "EUR", "USD"))


def test_generator_writes_pictures_of_all_kinds(documents: Any) -> None:
    folder, rows = documents
    assert {truth["kind"] for truth in rows} == {"clean", "degraded", "turned"}
    for truth in rows:
        with Image.open(folder / truth["file"]) as image:
            pixels = np.asarray(image.convert("L"))
        assert min(pixels.shape) > 300 and pixels.std() > 5


@pytest.mark.slow
def test_generator_depends_on_the_seed_alone(tmp_path: Path) -> None:
    first = make("dev", tmp_path / "a", 2)
    assert make("dev", tmp_path / "b", 2) == first
    assert make("dev", tmp_path / "c", 2, seed=1) != first
    for truth in first:
        name = truth["file"]
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
