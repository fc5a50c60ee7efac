"""How accuracy and calibration of a classifier change under distortions, and between slices.

    report = measure(Path("birds"), vision.classifier, Config())
    print(to_text(report))
    write_bytes(Path("curves.png"), plot(report))
    vision-app robustness birds --out curves.png       # the same from a shell

The folder has one sub-folder per class, named like a label of the classifier. A file `slices.csv`
in it, with the columns file and slice, assigns images to groups ("night,…", "camera B,…") that are
compared as well. Images that the classifier was trained on make it look better than it is.

The distortions are five of Hendrycks and Dietterich, 2019, https://arxiv.org/abs/1903.12261, on
images whose shorter side is 256 pixels. Drawing is done with Pillow, to need no plotting library.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vision_app.classify.calibration import calibration_error
from vision_app.classify.classifier import Classifier
from vision_app.classify.dataset import LabelledFolder, Pixels
from vision_app.classify.train import Progress, silent
from vision_app.config import Config
from seedbed.cli import table
from seedbed.errors import BadInput
from seedbed.evaluation import Figure, newcombe_interval
from seedbed.files import decode_utf8

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

T = TypeVar("T")
_SIDE = 256
_BATCH = 16
Answer = tuple[float, bool]
"""Confidence, and whether the label is right."""


# ── distortions ─────────────────────────────────────────────────────────────────────────────


def _blur(image: Picture, radius: float, _: np.random.Generator) -> Picture:
    from PIL import ImageFilter

    return image.filter(ImageFilter.GaussianBlur(radius))


def _noise(image: Picture, deviation: float, rng: np.random.Generator) -> Picture:
    from PIL import Image

    pixels = np.asarray(image)
    noisy = pixels + rng.normal(0, deviation, pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _jpeg(image: Picture, quality: float, _: np.random.Generator) -> Picture:
    from PIL import Image

    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(quality))
    return Image.open(file)


def _rotate(image: Picture, degrees: float, rng: np.random.Generator) -> Picture:
    from PIL import Image

    angle = degrees * rng.choice((-1, 1))
    return image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))


def _brightness(image: Picture, factor: float, rng: np.random.Generator) -> Picture:
    from PIL import ImageEnhance

    return ImageEnhance.Brightness(image).enhance(factor ** rng.choice((-1, 1)))


DISTORTIONS: Mapping[str, tuple[Callable[..., Picture], Sequence[float]]] = {
    "blur": (_blur, (1, 2, 4)),  # standard deviation in pixels
    "noise": (_noise, (20, 40, 70)),  # standard deviation, of 255
    "jpeg": (_jpeg, (30, 15, 5)),  # quality
    "rotation": (_rotate, (10, 25, 45)),  # degrees, to either side
    "brightness": (_brightness, (1.4, 2.0, 3.0)),  # times as bright or as dark
}
"""Function, and its parameter at severity 1, 2 and 3."""
CONDITIONS = [("none", 0), *((name, severity) for name in DISTORTIONS for severity in (1, 2, 3))]
"""Distortions with their severities; the first is the undistorted image."""


def distort(pixels: Pixels, name: str, severity: int, rng: np.random.Generator) -> Pixels:
    """An image with a distortion of severity 1 to 3; with 0 it is only scaled.

    >>> distort(np.zeros((64, 128, 3), np.uint8), "blur", 1, np.random.default_rng(0)).shape
    (256, 512, 3)
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = _SIDE / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image: Picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    if severity:
        function, parameters = DISTORTIONS[name]
        image = function(image, parameters[severity - 1], rng)
    return np.asarray(image)


# ── measuring ───────────────────────────────────────────────────────────────────────────────


def measure(
    folder: Path, classifier: Classifier, config: Config, progress: Progress | None = None
) -> dict[str, Any]:
    """Accuracy, with interval, and expected calibration error under each distortion, as JSON.

    Contains also the differences between slices, and the images that could not be read. Raises
    BadInput for a class that the classifier does not know, and for a wrong slices.csv.
    """
    # 1. Match folders with labels.
    images = LabelledFolder(folder, config)
    indices = [_index(classifier, label) for label in images.labels]
    slices = read_slices(folder / "slices.csv")
    # 2. Classify every image under every condition.
    report, rng = progress or silent, np.random.default_rng(0)
    answers: dict[tuple[str, int], list[Answer]] = {condition: [] for condition in CONDITIONS}
    names: list[str] = []
    targets: list[int] = []
    for batch in batched(images, _BATCH):
        truth = [indices[target] for _, target, _ in batch]
        for condition in CONDITIONS:
            distorted = [distort(pixels, *condition, rng) for _, _, pixels in batch]
            answers[condition] += _classify(classifier, distorted, truth)
        names += [images.name(file) for file, _, _ in batch]
        targets += [target for _, target, _ in batch]
        report(len(names) + len(images.skipped), len(images), names[-1])
    images.require(targets, 1)
    # 3. Compute the figures.
    warnings = list(images.warnings)
    if absent := sorted(set(slices) - set(names)):
        warnings.append(f"slices.csv names files without a readable image: {', '.join(absent[:3])}")
    return {
        "folder": str(folder),
        "classifier": classifier.name,
        "images": len(names),
        "conditions": [
            {"distortion": name, "severity": severity, **_figures(answers[name, severity])}
            for name, severity in CONDITIONS
        ],
        "slices": compare_slices([slices.get(name) for name in names], answers[CONDITIONS[0]]),
        "skipped": images.skipped,
        "warnings": warnings,
    }


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items; the last one may be shorter.

    >>> list(batched("abc", 2))
    [['a', 'b'], ['c']]
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _index(classifier: Classifier, label: str) -> int:
    try:
        return classifier.labels.index(label)
    except ValueError:
        examples = ", ".join(classifier.labels[:3])
        raise BadInput(
            f"The classifier {classifier.name} has no label {label!r}.",
            hint=f"Name the sub-folders like its labels: {examples}, …",
        ) from None


def _classify(
    classifier: Classifier, images: Sequence[Pixels], truth: Sequence[int]
) -> list[Answer]:
    probabilities = classifier.probabilities(images)
    correct = probabilities.argmax(1) == np.array(truth)
    return list(zip(probabilities.max(1).tolist(), correct.tolist(), strict=True))


def _figures(answers: Sequence[Answer]) -> dict[str, Any]:
    correct = [right for _, right in answers]
    accuracy = Figure.share(sum(correct), len(correct))
    return {
        "n": accuracy.n,
        "accuracy": accuracy.value,
        "interval": [accuracy.low, accuracy.high],
        "calibration_error": calibration_error([value for value, _ in answers], correct),
    }


# ── slices ──────────────────────────────────────────────────────────────────────────────────


def read_slices(path: Path) -> dict[str, str]:
    """The slice of each file of a CSV with the columns file and slice; {} if there is none.

    Files are relative to the folder of the CSV. Raises BadInput for other columns.
    """
    if not path.is_file():
        return {}
    rows = csv.DictReader(io.StringIO(decode_utf8(path.read_bytes()).removeprefix("\ufeff")))
    if not {"file", "slice"} <= set(rows.fieldnames or ()):
        raise BadInput(
            f"{path} has the columns {', '.join(rows.fieldnames or ()) or 'of an empty file'}.",
            hint="Its first line must contain: file,slice",
        )
    return {row["file"]: row["slice"] for row in rows if row["file"] and row["slice"]}


def compare_slices(slices: Sequence[str | None], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Figures of each slice, and the difference of its accuracy to that of all other slices.

    An interval that excludes 0 is weak evidence if there are many slices: at 95 %, one in twenty
    does so by chance.
    """
    result = []
    for name in sorted({name for name in slices if name is not None}):
        inside = [answer for value, answer in zip(slices, answers, strict=True) if value == name]
        others = [
            answer
            for value, answer in zip(slices, answers, strict=True)
            if value not in (name, None)
        ]
        figures = {"slice": name, **_figures(inside)}
        if others:
            groups = [(sum(right for _, right in group), len(group)) for group in (inside, others)]
            figures["difference"] = figures["accuracy"] - groups[1][0] / groups[1][1]
            figures["difference_interval"] = list(newcombe_interval(groups[0], groups[1]))
        result.append(figures)
    return result


# ── showing ─────────────────────────────────────────────────────────────────────────────────


def to_text(report: Mapping[str, Any]) -> str:
    """The report as tables for a terminal."""
    header = ("distortion", "severity", "accuracy", "95 % interval", "calibration error")
    rows = [(row["distortion"], row["severity"], *_cells(row)) for row in report["conditions"]]
    blocks = [f"{report['classifier']}, {report['images']} images", table(header, rows)]
    if report["slices"]:
        blocks.append(
            table(
                ("slice", "n", "accuracy", "95 % interval", "calibration error", "difference"),
                [
                    (row["slice"], row["n"], *_cells(row), _difference(row))
                    for row in report["slices"]
                ],
            )
        )
    problems = [f"skipped: {item['file']}: {item['error']}" for item in report["skipped"]]
    problems += [f"warning: {warning}" for warning in report["warnings"]]
    return "\n\n".join([*blocks, *["\n".join(problems)] * bool(problems)])


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str]:
    low, high = row["interval"]
    accuracy, error = row["accuracy"], row["calibration_error"]
    return f"{accuracy * 100:.1f} %", f"{low * 100:.0f} to {high * 100:.0f} %", f"{error:.3f}"


def _difference(row: Mapping[str, Any]) -> str:
    if "difference" not in row:
        return "–"
    low, high = (value * 100 for value in row["difference_interval"])
    return f"{row['difference'] * 100:+.0f} ({low:+.0f} to {high:+.0f}) points"


_COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed")
_PANEL, _MARGIN_PX, _GAP = 480, 90, 40  # pixels


def plot(report: Mapping[str, Any]) -> bytes:
    """A PNG with accuracy and calibration error over the severity, a line per distortion."""
    from PIL import Image, ImageDraw

    width, height = 2 * _PANEL + _GAP, _PANEL - 60
    image = Image.new("RGB", (width * 2, height * 2), "white")  # reduced at the end: smooth lines
    draw = ImageDraw.Draw(image)
    _panel(draw, report, "accuracy", "Accuracy", 0)
    _panel(draw, report, "calibration_error", "Expected calibration error", _PANEL + _GAP)
    file = io.BytesIO()
    image.resize((width, height), Image.Resampling.LANCZOS).save(file, "PNG")
    return file.getvalue()


def _panel(draw: Any, report: Mapping[str, Any], measure: str, title: str, left: int) -> None:
    """Draw one chart at twice the size, whose left edge is at `left`."""
    from PIL import ImageFont

    font = ImageFont.load_default(size=26)
    values = {(row["distortion"], row["severity"]): row[measure] for row in report["conditions"]}
    top_value = 1.0 if measure == "accuracy" else max(0.1, *values.values())

    def place(severity: float, value: float) -> tuple[float, float]:
        x = left + 60 + severity * (_PANEL - 60 - _MARGIN_PX) / 3
        return 2 * x, 2 * (_PANEL - 110 - value / top_value * (_PANEL - 170))

    draw.text((2 * (left + 60), 20), title, "black", font)
    for step in range(5):
        value = top_value * step / 4
        draw.line((place(0, value), place(3, value)), "#e5e7eb", 2)
        x, y = place(0, value)
        draw.text((x - 12, y), f"{value:.2f}", "#374151", font, anchor="rm")
    for severity in range(4):
        x, y = place(severity, 0)
        draw.text((x, y + 14), str(severity), "#374151", font, anchor="ma")
    draw.text((place(1.5, 0)[0], place(0, 0)[1] + 50), "severity", "#374151", font, anchor="ma")
    last = -1e9
    ends = sorted(DISTORTIONS, key=lambda name: place(3, values[name, 3])[1])
    for colour, name in zip(_COLOURS, DISTORTIONS, strict=True):
        line = [values["none", 0], *(values[name, severity] for severity in (1, 2, 3))]
        points = [place(severity, value) for severity, value in enumerate(line)]
        draw.line(points, colour, 5, joint="curve")
        for x, y in points:
            draw.ellipse((x - 7, y - 7, x + 7, y + 7), colour)
    for name in ends:  # labels from top to bottom, moved apart where lines end close together
        x, y = place(3, values[name, 3])
        last = max(y, last + 30)
        colour = _COLOURS[list(DISTORTIONS).index(name)]
        draw.text((x + 16, last), name, colour, font, anchor="lm")
