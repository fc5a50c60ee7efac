"""Training a linear head: what it learns, reports and writes, and what it refuses."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vision_app.classify.classifier import load_head
from vision_app.classify.image_model import ImageModel
from vision_app.classify.train import embed, fit, held_out_logits, train
from vision_app.config import Config
from vision_app.files.pixels import encode_png
from seedbed.errors import BadInput, NotFound
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
    assert files == ["head.safetensors", "report.json"]
    assert json.loads((out / "report.json").read_text("utf-8")) == report
    assert load_head(out).temperature == report["temperature"]
    # ... unless the training fails
    for number in range(1, 5):
        (folder / "disc" / f"{number}.png").unlink()
    with pytest.raises(BadInput, match="Class 'disc' has 1 of the 2 usable images"):
        train(folder, out, Config(), Settings())
    assert load_head(out).labels == ("disc", "square")


class MeanColour(ImageModel):
    """An image model whose features are the mean colour."""

    name, labels, width = "mean-colour", ("any",), 3

    def infer_batch(self, images: Sequence[Any]) -> tuple[Any, Any]:
        features = np.array([image.mean((0, 1)) for image in images], np.float32)
        return np.zeros((len(images), 1), np.float32), features


def write(folder: Path, *names: str) -> Path:
    """An image for each name; those with the same last letter are the same."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode_png(np.full((8, 8, 3), ord(file.stem[-1]), np.uint8)))
    return folder


def test_embed_skips_what_it_cannot_use(tmp_path: Path) -> None:
    write(
        tmp_path, "cat/more/a.png", "cat/b.png", "dog/c.png", "dog/d.png", "dog/xa.png", ".x/e.png"
    )
    (tmp_path / "dog" / "last.png").write_text("not an image")
    images = embed(tmp_path, MeanColour(), Config())
    assert images.labels == ("cat", "dog") and images.targets.tolist() == [0, 0, 1, 1]
    assert images.features.shape == (4, 3, 3)  # each image and two crops
    assert images.features[:, 0, 0].tolist() == [ord(letter) for letter in "bacd"]
    last, copy = images.skipped
    assert last["file"] == "dog/last.png" and "not an image" in last["error"]
    assert copy == {"file": "dog/xa.png", "error": "Same image as cat/more/a.png."}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["photo.png"], "has no sub-folders; two are needed"),
        (["cat/a.png"], "has one sub-folder;"),
        (["cat/a.png", "dog/notes.txt"], "contains no images"),
        (["cat/a.png", "dog/b.png"], "'cat' has 1 of the 2 usable images it needs"),
        (["cat/a.png", "cat/b.png", "dog/a.png"], "'dog' has 0 .* Same image as cat/a"),
    ],
)
def test_folders_without_two_classes_are_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        embed(write(tmp_path, *names), MeanColour(), Config())
    with pytest.raises(NotFound, match="none does not exist"):
        embed(tmp_path / "none", MeanColour(), Config())


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
