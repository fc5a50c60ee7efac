"""How accuracy and calibration of a classifier change under distortions, and between slices.

    report = measure(Path("birds"), vision.classifier, Config())
    print(to_text(report))
    vision-app robustness birds --json      # the same from a shell

The folder has one sub-folder per class, named like a label of the classifier. A file `slices.csv`
in it, with the columns file and slice, assigns images to groups that are compared as well. Images
that the classifier was trained on make it look better than it is.

The distortions are five of Hendrycks and Dietterich, 2019, https://arxiv.org/abs/1903.12261, on
images whose shorter side is 256 pixels.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vision_app.classify.calibration import calibration_error
from vision_app.classify.classifier import Classifier
from vision_app.classify.dataset import LabelledFolder
from vision_app.config import Config
from vision_app.files.pixels import Pixels
from seedbed.cli import Progress, table
from seedbed.errors import BadInput
from seedbed.runs.evaluation import Figure, newcombe_interval

Answer = tuple[float, bool]  # confidence, and whether the label is right
DISTORTIONS: Mapping[str, Sequence[float]] = {
    "blur": (1, 2, 4),  # standard deviation in pixels
    "noise": (20, 40, 70),  # standard deviation, of 255
    "jpeg": (30, 15, 5),  # quality
    "rotation": (10, 25, 45),  # degrees, to either side
    "brightness": (1.4, 2.0, 3.0),  # times as bright or as dark
}
"""The parameter of each distortion at severity 1, 2 and 3."""
CONDITIONS = [("none", 0), *((name, severity) for name in DISTORTIONS for severity in (1, 2, 3))]
"""Distortions with their severities; the first is the undistorted image."""


def distort(pixels: Pixels, name: str, severity: int, rng: np.random.Generator) -> Pixels:
    """An image with a distortion of severity 1 to 3; with 0 it is only scaled.

    >>> distort(np.zeros((64, 128, 3), np.uint8), "blur", 1, np.random.default_rng(0)).shape
    (256, 512, 3)
    """
    from PIL import Image, ImageEnhance, ImageFilter, ImageOps

    image: Any = ImageOps.cover(Image.fromarray(pixels), (256, 256))
    if not severity:
        return np.asarray(image)
    amount, sign = DISTORTIONS[name][severity - 1], rng.choice((-1, 1))
    if name == "blur":
        image = image.filter(ImageFilter.GaussianBlur(amount))
    elif name == "noise":
        image = (image + rng.normal(0, amount, (*image.size[::-1], 3))).clip(0, 255)
    elif name == "jpeg":
        image.save(file := io.BytesIO(), "JPEG", quality=amount)
        image = Image.open(file)
    elif name == "rotation":
        image = image.rotate(sign * amount, Image.Resampling.BICUBIC, fillcolor=(128,) * 3)
    else:
        image = ImageEnhance.Brightness(image).enhance(amount**sign)
    return np.asarray(image, np.uint8)


def measure(
    folder: Path, classifier: Classifier, config: Config, progress: Progress | None = None
) -> dict[str, Any]:
    """Accuracy and expected calibration error under each distortion and of each slice, as JSON.

    Raises BadInput for a class that the classifier does not know, and for a wrong slices.csv.
    """
    # 1. Match folders with labels.
    images = LabelledFolder(folder, config)
    if unknown := set(images.labels) - set(classifier.labels):
        hint = f"Name the sub-folders like its labels: {', '.join(classifier.labels[:3])}, …"
        raise BadInput(f"{classifier.name} has no label {min(unknown)!r}.", hint=hint)
    indices = np.array([classifier.labels.index(label) for label in images.labels])
    path = folder / "slices.csv"
    slices = read_slices(path) if path.is_file() else {}
    # 2. Classify every image under every condition.
    rng = np.random.default_rng(0)
    answers: dict[tuple[str, int], list[Answer]] = {condition: [] for condition in CONDITIONS}
    for batch in images.batches(progress, minimum=1):
        truth = indices[images.targets[-len(batch) :]]
        for condition in CONDITIONS:
            rows = classifier.probabilities([distort(pixels, *condition, rng) for pixels in batch])
            correct = rows.argmax(1) == truth
            answers[condition] += zip(rows.max(1).tolist(), correct.tolist(), strict=True)
    # 3. Compute the figures.
    absent = sorted(set(slices) - set(images.names))
    return {
        "folder": str(folder),
        "classifier": classifier.name,
        "images": len(images.names),
        "conditions": [
            {"distortion": name, "severity": severity, **_figures(answers[name, severity])}
            for name, severity in CONDITIONS
        ],
        "slices": compare_slices([slices.get(name) for name in images.names], answers["none", 0]),
        "skipped": images.skipped,
        "warnings": [f"No readable image, but in slices.csv: {name}" for name in absent],
    }


def _figures(answers: Sequence[Answer]) -> dict[str, Any]:
    confidences, correct = zip(*answers, strict=True)
    accuracy = Figure.share(sum(correct), len(correct))
    return {
        "n": accuracy.n,
        "accuracy": accuracy.value,
        "interval": [accuracy.low, accuracy.high],
        "calibration_error": calibration_error(confidences, correct),
    }


def read_slices(path: Path) -> dict[str, str]:
    """The slice of each file, whose path is relative to the folder of the CSV."""
    try:
        rows = csv.DictReader(path.read_text("utf-8-sig").splitlines())
        return {row["file"]: row["slice"] for row in rows if row["slice"]}
    except (KeyError, UnicodeDecodeError):
        hint = "It must be UTF-8, and its first line must be: file,slice"
        raise BadInput(f"{path} is not a table of slices.", hint=hint) from None


def compare_slices(slices: Sequence[str | None], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Figures of each slice, and the difference of its accuracy to that of all other slices.

    Of many slices, one in twenty has a 95 % interval that excludes 0 by chance.
    """
    groups: dict[str, list[Answer]] = {}
    for name, answer in zip(slices, answers, strict=True):
        if name is not None:
            groups.setdefault(name, []).append(answer)
    result = []
    for name, inside in sorted(groups.items()):
        row = {"slice": name, **_figures(inside)}
        if others := [answer for x, group in groups.items() if x != name for answer in group]:
            a, b = ((sum(right for _, right in group), len(group)) for group in (inside, others))
            row["difference"] = a[0] / a[1] - b[0] / b[1]
            row["difference_interval"] = list(newcombe_interval(a, b))
        result.append(row)
    return result


def to_text(report: Mapping[str, Any]) -> str:
    """The report as tables for a terminal."""
    header = ("n", "accuracy", "95 % interval", "calibration error")
    rows = [(row["distortion"], row["severity"], *_cells(row)) for row in report["conditions"]]
    blocks = [report["classifier"], table(("distortion", "severity", *header), rows)]
    rows = []
    for row in report["slices"]:
        difference = None
        if "difference" in row:
            value, low, high = (100 * x for x in (row["difference"], *row["difference_interval"]))
            difference = f"{value:+.0f} ({low:+.0f} to {high:+.0f})"
        rows.append((row["slice"], *_cells(row), difference))
    blocks += [table(("slice", *header, "difference in points"), rows)] if rows else []
    blocks += [f"skipped: {item['file']}: {item['error']}" for item in report["skipped"]]
    return "\n\n".join([*blocks, *(f"warning: {warning}" for warning in report["warnings"])])


def _cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    interval = " to ".join(f"{value * 100:.0f}" for value in row["interval"]) + " %"
    return row["n"], f"{row['accuracy'] * 100:.1f} %", interval, round(row["calibration_error"], 3)
