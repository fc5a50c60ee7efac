"""The robustness report: distortions, figures, slices and table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision_app.classify.classifier import Classifier
from vision_app.config import Config
from vision_app.evaluate.robustness import (
    CONDITIONS,
    DISTORTIONS,
    compare_slices,
    distort,
    measure,
    read_slices,
    to_text,
)
from vision_app.files.pixels import encode_png
from seedbed.errors import BadInput


class Brightness:
    """An image model that calls an image light from a mean of 128 on."""

    name = "brightness"
    labels: tuple[str, ...] = ("dark", "light")

    def infer(self, images: Sequence[Any]) -> tuple[Any, Any]:
        means = np.array([[image.mean()] for image in images], np.float32)
        return np.hstack([128 - means, means - 128]) / 8, means


CLASSIFIER = Classifier(Brightness(), 1.0, 0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for label, values in {"dark": range(78, 82), "light": range(178, 182)}.items():
        (folder / label).mkdir()
        for value in values:
            pixels = np.full((32, 48, 3), value, np.uint8)
            pixels[8:16, 8:16] += 20
            (folder / label / f"{value}.png").write_bytes(encode_png(pixels))
    (folder / "dark" / "notes.png").write_text("not an image")
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return measure(folder, CLASSIFIER, Config())


@pytest.mark.parametrize("name", DISTORTIONS)
def test_distortions_grow_with_the_severity(name: str) -> None:
    pixels = np.full((200, 300, 3), 90, np.uint8)
    pixels[50:150, 100:200] = (200, 120, 40)
    pixels[::10] = 60
    rng = np.random.default_rng(0)
    clean = distort(pixels, name, 0, rng).astype(float)
    changes = []
    for severity in (1, 2, 3):
        distorted = distort(pixels, name, severity, rng)
        assert distorted.shape == clean.shape == (256, 384, 3)
        assert distorted.dtype == np.uint8
        changes.append(np.abs(distorted - clean).mean())
    if name == "brightness":  # to either side, so that severities are comparable only within one
        changes = [distort(pixels, name, s, np.random.default_rng(1)).mean() for s in (1, 2, 3)]
        changes = [abs(change - clean.mean()) for change in changes]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_accuracy_falls_where_the_classifier_is_weak(report: dict[str, Any]) -> None:
    rows = {(row["distortion"], row["severity"]): row for row in report["conditions"]}
    assert list(rows) == CONDITIONS
    assert rows["none", 0]["accuracy"] == rows["blur", 3]["accuracy"] == 1
    assert rows["brightness", 3]["accuracy"] < 0.8
    assert rows["brightness", 3]["calibration_error"] > rows["none", 0]["calibration_error"]
    assert rows["none", 0]["n"] == 8
    assert rows["none", 0]["interval"] == pytest.approx([0.676, 1.0], abs=0.001)


def test_the_text_has_a_row_per_condition(report: dict[str, Any]) -> None:
    text = to_text(report)
    assert ["none", "0", "8", "100.0", "%", "68", "to", "100", "%"] in [
        line.split()[:9] for line in text.splitlines()
    ]
    assert "skipped: dark/notes.png: " in text
    assert report["images"] == 8


def test_a_folder_that_is_not_a_label_is_refused(tmp_path: Path) -> None:
    for label in ("dark", "lihgt"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.png").write_bytes(encode_png(np.zeros((4, 4, 3), np.uint8)))
    with pytest.raises(BadInput, match=r"no label 'lihgt'.*like its labels: dark, light"):
        measure(tmp_path, CLASSIFIER, Config())


def test_slices_are_compared_with_the_others() -> None:
    answers = [(0.9, True)] * 70 + [(0.9, True)] * 48 + [(0.9, False)] * 32 + [(0.9, False)]
    slices = [*["day"] * 70, *["night"] * 80, None]
    day, night = compare_slices(slices, answers)
    assert "difference" not in compare_slices(["day"], answers[:1])[0]
    assert (day["slice"], day["n"], day["accuracy"]) == ("day", 70, 1.0)
    assert night["accuracy"] == 0.6
    assert night["difference"] == pytest.approx(-0.4)
    low, high = night["difference_interval"]
    assert low < -0.4 < high < 0
    assert day["difference_interval"] == pytest.approx([-high, -low])


def test_slices_come_from_a_table_in_the_folder(folder: Path) -> None:
    table = folder / "slices.csv"
    table.write_text(
        "\ufefffile,slice\ndark/78.png,night\nlight/178.png,day\nnone.png,day\n", "utf-8"
    )
    try:
        report = measure(folder, CLASSIFIER, Config())
    finally:
        table.unlink()
    assert [(row["slice"], row["n"]) for row in report["slices"]] == [("day", 1), ("night", 1)]
    assert "none.png" in report["warnings"][0]
    assert "+0 (" in to_text(report)


def test_a_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "slices.csv").write_text("path,group\na.png,day\n")
    with pytest.raises(BadInput, match=r"not a table of slices.*file,slice"):
        read_slices(tmp_path / "slices.csv")
