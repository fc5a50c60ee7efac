"""Fine-tuning with torch: it learns, and its result runs without torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vision_app.classify.classifier import OWN_GRAPH, load_classifier, load_head
from vision_app.classify.model.image_model import GraphModel, load_image_model
from vision_app.classify.train import fine_tune
from vision_app.config import Config
from seedbed.errors import MissingExtra
from seedbed.settings import Settings


def draw_shapes(folder: Path, count: int, seed: int = 0) -> Path:
    """Discs and squares in random colours and places, `count` of each."""
    rng = np.random.default_rng(seed)
    for label in ("disc", "square"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = Image.new("RGB", (64, 64), tuple(int(c) for c in rng.integers(160, 256, 3)))
            x, y, size = (int(value) for value in (*rng.integers(8, 20, 2), rng.integers(22, 36)))
            draw = ImageDraw.Draw(image)
            shape = draw.ellipse if label == "disc" else draw.rectangle
            colour = tuple(int(c) for c in rng.integers(0, 120, 3))
            shape((x, y, x + size, y + size), fill=colour)
            image.save(folder / label / f"{number}.png")
    return folder


def test_without_torch_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"vision-app\[train\]"):
        fine_tune(tmp_path, tmp_path / "out", Config(), Settings())


@pytest.mark.slow
@pytest.mark.own_process
def test_the_torch_network_equals_the_openvino_graph() -> None:
    from vision_app.classify.model import torch_file
    from vision_app.classify.model.torch_network import Network, predict
    from seedbed.models.weights.catalog import MODELS
    from seedbed.models.weights.ensure import source_file

    square = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    square[64:160, 80:200] = (200, 30, 30)
    weights = torch_file.load(source_file(MODELS["efficientnet-lite0"]))
    logits, features = predict(Network(weights), square[None])
    expected = load_image_model().infer([square])
    assert logits == pytest.approx(expected[0], abs=1e-3)
    assert features == pytest.approx(expected[1], abs=1e-3)


@pytest.mark.slow
@pytest.mark.own_process
def test_new_images_are_classified_above_chance_without_torch(tmp_path: Path) -> None:
    folder, out = draw_shapes(tmp_path / "shapes", 5), tmp_path / "out"
    report = fine_tune(folder, out, Config(), Settings(), epochs=4)
    assert (report["images"], report["method"]) == (2, "fine-tuning")  # a fifth of each class
    # The graph's own logits are those of the head on its features.
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    tuned = load_head(out)
    logits, features = GraphModel(out / OWN_GRAPH, "own", tuned.labels).infer([image])
    assert tuned.logits(features) == pytest.approx(logits, abs=1e-3)
    # New images
    classifier = load_classifier(Config(classifier=f"path:{out}"), Settings())
    files = sorted(draw_shapes(tmp_path / "new", 10, seed=1).rglob("*.png"))
    predictions = classifier.classify([np.asarray(Image.open(file)) for file in files])
    correct = [p.labels[0].label == f.parent.name for p, f in zip(predictions, files, strict=True)]
    assert sum(correct) >= 16
    # ... without torch
    code = "import sys; sys.modules['torch'] = None; from vision_app.__main__ import main; main()"
    arguments = ["classify", str(files[0]), "--model", f"path:{out}"]
    command = [sys.executable, "-c", code, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "disc" in run.stdout
