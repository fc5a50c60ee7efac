"""Training a linear head: what it learns, reports and writes, and what it refuses."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from vision_app.classify import head
from vision_app.classify.dataset import LabelledFolder
from vision_app.classify.train import VIEWS, cross_validate, embed, fit, train
from vision_app.config import Config
from seedbed.errors import BadInput
from seedbed.evaluation import mlflow_client
from seedbed.settings import Settings


def draw_shapes(folder: Path, count: int, labels: Sequence[str] = ("disc", "square")) -> Path:
    """Discs, squares and crosses in random colours and places, `count` of each."""
    rng = np.random.default_rng(0)
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = Image.new("RGB", (64, 64), tuple(int(c) for c in rng.integers(160, 256, 3)))
            colour = tuple(int(c) for c in rng.integers(0, 120, 3))
            x, y, size = (int(value) for value in (*rng.integers(8, 20, 2), rng.integers(22, 36)))
            draw, box = ImageDraw.Draw(image), (x, y, x + size, y + size)
            if label == "disc":
                draw.ellipse(box, fill=colour)
            elif label == "square":
                draw.rectangle(box, fill=colour)
            else:
                draw.line((x, y, x + size, y + size), fill=colour, width=6)
                draw.line((x, y + size, x + size, y), fill=colour, width=6)
            image.save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = draw_shapes(tmp_path_factory.mktemp("shapes"), 5)
    (folder / "disc" / "notes.png").write_text("not an image")
    out = tmp_path_factory.mktemp("out") / "shapes"
    reports: list[tuple[int, int | None, str]] = []
    result = train(folder, out, Config(), Settings(), lambda *report: reports.append(report))
    return result, out, reports


def test_five_images_per_class_are_enough(trained: Any) -> None:
    result, _, _ = trained
    assert result.labels == ("disc", "square")
    assert result.accuracy.n == 10
    assert result.accuracy.value >= 0.8
    assert result.accuracy.low < result.accuracy.value


def test_the_report_counts_every_held_out_image_once(trained: Any) -> None:
    result, out, _ = trained
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert [sum(row) for row in report["confusion"]] == [5, 5]
    assert report["accuracy"] == sum(report["confusion"][i][i] for i in (0, 1)) / 10
    assert len({case["id"] for case in report["cases"]}) == 10
    assert sum(case["correct"] for case in report["cases"]) == round(result.accuracy.value * 10)
    assert report["skipped"][0]["file"] == "disc/notes.png"


def test_progress_ends_with_the_last_file(trained: Any) -> None:
    *_, (done, total, name) = trained[2]
    assert (done, total, name) == (11, 11, "square/4.png")


def test_the_head_in_the_folder_is_calibrated(trained: Any) -> None:
    result, out, _ = trained
    loaded = head.load(out)
    assert loaded.labels == result.labels
    assert loaded.backbone == "efficientnet-lite0"
    assert loaded.temperature == result.about["temperature"]


def test_training_again_replaces_the_folder(tmp_path: Path) -> None:
    folder, out = draw_shapes(tmp_path / "shapes", 2), tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("")
    train(folder, out, Config(), Settings())
    assert sorted(path.name for path in out.iterdir()) == [
        "head.json",
        "head.safetensors",
        "report.json",
    ]
    # ... and a failure leaves it as it is
    (folder / "disc" / "0.png").write_text("not an image")
    with pytest.raises(BadInput, match="'disc' has 1 readable image"):
        train(folder, out, Config(), Settings())
    assert head.load(out).labels == ("disc", "square")


class MeanColour:
    """An image model whose features are the mean colour."""

    name = "mean-colour"
    labels: tuple[str, ...] = ("any",)

    def infer(self, images: Any) -> tuple[Any, Any]:
        features = np.array([image.mean((0, 1)) for image in images], np.float32)
        return np.zeros((len(images), 1), np.float32), features


def test_embed_returns_each_image_and_its_crops(tmp_path: Path) -> None:
    images = LabelledFolder(draw_shapes(tmp_path, 9), Config())
    names, targets, features = embed(images, MeanColour(), lambda *_: None)
    assert features.shape == (18, VIEWS, 3)
    assert targets.tolist() == [0] * 9 + [1] * 9
    pixels = np.asarray(Image.open(tmp_path / names[-1]))
    assert features[-1, 0] == pytest.approx(pixels.mean((0, 1)))
    assert not np.allclose(features[:, 0], features[:, 1])


def clusters(count: int, classes: int, spread: float) -> tuple[Any, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(classes), count)
    features = np.eye(classes, 8)[targets][:, None] + rng.normal(0, spread, (len(targets), 2, 8))
    return features.astype(np.float32), targets


@pytest.mark.parametrize("classes", [2, 4])
def test_fit_separates_clusters(classes: int) -> None:
    features, targets = clusters(5, classes, 0.1)
    weight, bias = fit(features, targets, 1.0)
    assert weight.shape == (classes, 8)
    assert ((features[:, 0] @ weight.T + bias).argmax(1) == targets).all()


def test_crops_of_a_held_out_image_are_held_out_too() -> None:
    # With random labels and equal crops, an accuracy above chance would mean a leak.
    rng = np.random.default_rng(1)
    features = np.repeat(rng.normal(size=(60, 1, 40)), 3, axis=1).astype(np.float32)
    targets = np.repeat(np.arange(3), 20)
    _, logits = cross_validate(features, targets)
    assert (logits.argmax(1) == targets).mean() < 0.5


@pytest.mark.slow
def test_a_run_is_logged_to_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    folder = draw_shapes(tmp_path / "shapes", 2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    result = train(folder, tmp_path / "out", Config(), Settings())
    client = mlflow_client()
    experiment = client.get_experiment_by_name("vision_app")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["accuracy"] == result.accuracy.value
    assert run.data.params["method"] == "linear head"
    # ... and without a server, the classifier is written all the same
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    result = train(folder, tmp_path / "other", Config(), Settings())
    assert head.load(tmp_path / "other").labels == result.labels
    assert "Not logged to MLflow" in result.warnings[-1]
