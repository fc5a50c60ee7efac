"""Fine-tuning with torch: it learns, and its result runs without torch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vision_app.classify import head
from vision_app.classify.classifier import load_classifier
from vision_app.classify.fine_tune import fine_tune, split
from vision_app.config import Config
from seedbed.errors import ConfigError, MissingExtra
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


def test_split_holds_out_a_fifth_of_each_class() -> None:
    targets = np.array([0] * 10 + [1] * 2 + [2] * 6)
    inside, outside = split(targets)
    assert np.bincount(targets[outside]).tolist() == [2, 1, 2]
    assert sorted([*inside, *outside]) == list(range(18))


def test_without_torch_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"vision-app\[train\]"):
        fine_tune(tmp_path, tmp_path / "out", Config(), Settings())


def test_models_of_the_hub_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only efficientnet-lite0 can"):
        fine_tune(tmp_path, tmp_path / "out", Config(classifier="hf:a/b"), Settings())


@pytest.mark.slow
def test_the_torch_network_equals_the_openvino_graph() -> None:
    import torch

    from vision_app.classify.torch_network import Network
    from seedbed.models import torch_file
    from seedbed.models.catalog import MODELS
    from seedbed.models.image_model import centre_square, load_image_model
    from seedbed.models.weights import source_file

    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    image[64:160, 80:200] = (200, 30, 30)
    network = Network(torch_file.load(source_file(MODELS["efficientnet-lite0"]))).eval()
    square = centre_square(image, 224).transpose(2, 0, 1)[None]
    with torch.inference_mode():
        logits, features = network(torch.tensor(square) / 127.5 - 1)
    expected = load_image_model().infer([image])
    assert logits.numpy() == pytest.approx(expected[0], abs=1e-3)
    assert features.numpy() == pytest.approx(expected[1], abs=1e-3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = draw_shapes(tmp_path_factory.mktemp("shapes"), 5)
    out = tmp_path_factory.mktemp("out") / "shapes"
    reports: list[str] = []

    def report(done: int, total: int | None, text: str) -> None:
        reports.append(f"{done}/{total} {text}")

    return fine_tune(folder, out, Config(), Settings(), report, epochs=4), out, reports


@pytest.mark.slow
def test_new_images_are_classified_above_chance(trained: Any, tmp_path: Path) -> None:
    result, out, reports = trained
    classifier = load_classifier(Config(classifier=f"path:{out}"), Settings())
    files = sorted(draw_shapes(tmp_path, 10, seed=1).rglob("*.png"))
    predictions = classifier.classify([np.asarray(Image.open(file)) for file in files])
    correct = [p.labels[0].label == f.parent.name for p, f in zip(predictions, files, strict=True)]
    assert sum(correct) >= 16
    assert result.accuracy.n == 2  # a fifth of each class
    assert reports[-1].startswith("4/4 epoch 4, loss 0.")


@pytest.mark.slow
def test_the_folder_contains_the_fine_tuned_graph(trained: Any) -> None:
    result, out, _ = trained
    loaded = head.load(out)
    assert loaded.backbone == head.OWN_GRAPH
    assert loaded.labels == result.labels == ("disc", "square")
    # ... whose own logits are those of the head on its features
    from seedbed.models.image_model import GraphModel

    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    logits, features = GraphModel(out / head.OWN_GRAPH, "own", loaded.labels).infer([image])
    assert loaded.logits(features) == pytest.approx(logits, abs=1e-3)


@pytest.mark.slow
def test_the_result_runs_without_torch(trained: Any) -> None:
    _, out, _ = trained
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from vision_app.classify.classifier import load_classifier\n"
        "from vision_app.config import Config\n"
        "from seedbed.settings import Settings\n"
        "classifier = load_classifier(Config(classifier='path:' + sys.argv[1]), Settings())\n"
        "print(classifier.classify([np.zeros((40, 40, 3), np.uint8)])[0].as_json())\n"
    )
    command = [sys.executable, "-c", code, str(out)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "disc" in run.stdout
