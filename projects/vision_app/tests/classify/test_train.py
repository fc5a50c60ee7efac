"""Training a linear head: what it learns, reports and writes, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vision_app.classify.classifier import load_head
from vision_app.classify.train import fit, held_out_logits, train
from vision_app.config import Config
from seedbed.errors import BadInput
from seedbed.settings import Settings


def draw_shapes(folder: Path, count: int) -> Path:
    """Discs and squares in random colours and places, `count` of each."""
    rng = np.random.default_rng(0)
    for label in ("disc", "square"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = Image.new("RGB", (64, 64), tuple(int(c) for c in rng.integers(160, 256, 3)))
            draw, colour = ImageDraw.Draw(image), tuple(int(c) for c in rng.integers(0, 120, 3))
            x, y, size = (int(value) for value in (*rng.integers(8, 20, 2), rng.integers(22, 36)))
            shape = draw.ellipse if label == "disc" else draw.rectangle
            shape((x, y, x + size, y + size), fill=colour)
            image.save(folder / label / f"{number}.png")
    return folder


def test_five_images_per_class_are_enough(tmp_path: Path) -> None:
    folder, out = draw_shapes(tmp_path / "shapes", 5), tmp_path / "out"
    (folder / "disc" / "notes.png").write_text("not an image")
    out.mkdir()
    (out / "report.json").write_text("old")
    report = train(folder, out, Config(), Settings())
    assert report["labels"] == ["disc", "square"]
    assert report["images"] == 10
    assert report["accuracy"] >= 0.8
    assert report["interval"][0] < report["accuracy"]
    assert [sum(row) for row in report["confusion"]] == [5, 5]
    assert report["accuracy"] == sum(report["confusion"][i][i] for i in (0, 1)) / 10
    assert report["skipped"][0]["file"] == "disc/notes.png"
    # ... and the new folder replaces the old one
    files = sorted(path.name for path in out.iterdir())
    assert files == ["head.json", "head.safetensors", "report.json"]
    assert json.loads((out / "report.json").read_text("utf-8")) == report
    assert load_head(out).temperature == report["temperature"]
    # ... unless the training fails
    for number in range(1, 5):
        (folder / "disc" / f"{number}.png").unlink()
    with pytest.raises(BadInput, match="Class 'disc' has 1 of the 2 usable images"):
        train(folder, out, Config(), Settings())
    assert load_head(out).labels == ("disc", "square")


@pytest.mark.parametrize("classes", [2, 4])
def test_fit_separates_clusters(classes: int) -> None:
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(classes), 5)
    features = np.eye(classes, 8)[targets][:, None] + rng.normal(0, 0.1, (len(targets), 2, 8))
    weight, bias = fit(features.astype(np.float32), targets)
    assert weight.shape == (classes, 8)
    assert ((features[:, 0] @ weight.T + bias).argmax(1) == targets).all()


def test_crops_of_a_held_out_image_are_held_out_too() -> None:
    # With random labels and equal crops, an accuracy above chance would mean a leak.
    rng = np.random.default_rng(1)
    features = np.repeat(rng.normal(size=(60, 1, 40)), 3, axis=1).astype(np.float32)
    targets = np.repeat(np.arange(3), 20)
    assert (held_out_logits(features, targets).argmax(1) == targets).mean() < 0.5
