"""Teach the classifier your classes: features of a frozen backbone and a linear head, in seconds.

    report = train(Path("birds"), Path("var/vision_app/classifiers/birds"), Config(), Settings())
    report["accuracy"], report["interval"]             # by cross-validation
    vision-app train birds                             # the same from a shell
    vision-app classify crow.jpg --model path:var/vision_app/classifiers/birds

The classifier then runs without scikit-learn, on the features of the backbone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vision_app.classify.calibration import (
    Floats,
    calibration_error,
    fit_temperature,
    softmax,
)
from vision_app.classify.classifier import Head
from vision_app.classify.image_model import ImageModel, load_image_model
from vision_app.config import Config
from vision_app.files.images import find_files, open_source
from vision_app.files.pixels import Pixels
from seedbed.cli import Progress
from seedbed.errors import BadInput, NotFound, SeedbedError
from seedbed.files import new_folder, write_text
from seedbed.runs.evaluation import Figure
from seedbed.settings import Settings

Json = dict[str, Any]
Targets = npt.NDArray[np.int64]

FILES = {"head.safetensors", "report.json"}  # of a trained classifier
MIN_IMAGES = 2  # of a class: one to train on, one to calibrate on
VIEWS = 3  # the image and two random crops, which raised the accuracy by 1 to 3 points


def train(
    folder: Path, out: Path, config: Config, settings: Settings, progress: Progress | None = None
) -> Json:
    """Train a head on the images in `folder`, one sub-folder per class, and write it to `out`.

    Returns the report, which is also in report.json; `confusion[i][j]` counts images of class i
    classified as j. Raises the errors of `embed` and `load_image_model`, and BadInput if
    `out` has other content than a trained classifier; `out` is then unchanged.
    """
    if out.exists() and (not out.is_dir() or not {path.name for path in out.iterdir()} <= FILES):
        message = f"{out} is not a classifier that vision-app trained, and is not replaced."
        raise BadInput(message, hint="Use --out with a new folder.")
    # 1. Compute features of all images and of their random crops.
    spec = "efficientnet-lite0" if config.classifier.startswith("path:") else config.classifier
    model = load_image_model(spec, settings=settings)
    images = embed(folder, model, config, progress)
    # 2. Calibrate on logits of held-out images, and train on all.
    targets = images.targets
    logits = held_out_logits(images.features, targets)
    temperature = fit_temperature(logits, targets)
    head = Head(images.labels, model.name, temperature, *fit(images.features, targets))
    # 3. Measure, on the held-out logits.
    probabilities = softmax(logits, temperature)
    predictions = probabilities.argmax(1)
    correct = predictions == targets
    accuracy = Figure.share(int(correct.sum()), len(targets))
    confusion = np.zeros((len(head.labels),) * 2, int)
    np.add.at(confusion, (targets, predictions), 1)
    report: Json = {
        "folder": str(out),
        "labels": list(head.labels),
        "images": accuracy.n,
        "accuracy": accuracy.value,
        "interval": [accuracy.low, accuracy.high],
        "calibration_error": calibration_error(probabilities.max(1), correct),
        "confusion": confusion.tolist(),
        "backbone": head.backbone,
        "temperature": temperature,
        "skipped": images.skipped,
    }
    # 4. Write the folder.
    with new_folder(out.resolve()) as scratch:
        head.save(scratch)
        write_text(scratch / "report.json", json.dumps(report, ensure_ascii=False, indent=2))
    return report


class Images(NamedTuple):
    """The images of a folder: features (n, VIEWS, d), and indices of labels (n,) as targets."""

    labels: tuple[str, ...]
    features: Floats
    targets: Targets
    skipped: list[dict[str, str]]
    """{"file", "error"} of what could not be used."""


def embed(
    folder: Path, model: ImageModel, config: Config, progress: Progress | None = None
) -> Images:
    """Compute the features of the images in a folder, whose sub-folders are the labels.

    Raises NotFound, or BadInput for fewer than two classes, or fewer than MIN_IMAGES of one. Hidden
    files and folders are left out.
    """
    # 1. List the classes and their files.
    if not folder.is_dir():
        raise NotFound(f"Folder {folder} does not exist.")
    classes = [path for path in sorted(folder.glob("[!.]*")) if path.is_dir()]
    if len(classes) < 2:
        hint = "Put the images of each class into a sub-folder with the name of the class."
        folders = "one sub-folder" if classes else "no sub-folders"
        raise BadInput(f"{folder} has {folders}; two are needed.", hint=hint)
    files = [(file, target) for target, path in enumerate(classes) for file in find_files([path])]
    # 2. Compute the features.
    rng, features, targets = np.random.default_rng(0), list[Floats](), list[int]()
    skipped, originals = list[dict[str, str]](), dict[bytes, str]()
    for number, (file, target) in enumerate(files, 1):
        name = file.relative_to(folder).as_posix()
        try:
            pixels = open_source(file, config=config).first()
            # Training images must not be among the held-out ones, also not in another format.
            digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
            if (original := originals.setdefault(digest, name)) != name:
                raise BadInput(f"Same image as {original}.")
            features.append(model.infer(list(random_views(pixels, rng)))[1])
            targets.append(target)
        except SeedbedError as error:
            skipped.append({"file": name, "error": str(error)})
        if progress:
            progress(number, len(files), name)
    # 3. Check that each class has enough of them.
    labels = tuple(path.name for path in classes)
    for place, label in enumerate(labels):
        if (count := targets.count(place)) < MIN_IMAGES:
            problems = [x["error"] for x in skipped if x["file"].startswith(f"{label}/")]
            needed = f"has {count} of the {MIN_IMAGES} usable images it needs."
            hint = "Add more, ideally five or more per class."
            raise BadInput(" ".join([f"Class {label!r}", needed, *problems[:1]]), hint=hint)
    return Images(labels, np.stack(features), np.array(targets), skipped)


def random_views(pixels: Pixels, rng: np.random.Generator) -> Iterator[Pixels]:
    """The image, and parts with 75 to 95 % of its width and height."""
    yield pixels
    for _ in range(VIEWS - 1):
        shape = np.array(pixels.shape[:2])
        size = np.maximum(1, shape * rng.uniform(0.75, 0.95)).astype(int)
        top, left = rng.integers(0, shape - size + 1)
        yield pixels[top : top + size[0], left : left + size[1]]


def fit(features: Floats, targets: Targets) -> tuple[Floats, Floats]:
    """Weight (classes, d) and bias (classes,) of logistic regression on features (n, views, d)."""
    from sklearn.linear_model import LogisticRegression

    flat = features.reshape(-1, features.shape[-1])
    # Standardized, which the optimizer needs to converge; the constant keeps features that are
    # nearly always zero from being blown up, and 8 sets the regularization.
    mean, scale = flat.mean(0), flat.std(0)
    scale = (scale + 0.1 * scale.mean() + 1e-9) * 8
    model = LogisticRegression(max_iter=500)
    model.fit((flat - mean) / scale, np.repeat(targets, features.shape[1]))
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:  # two classes have one logit in scikit-learn
        weight, bias = np.vstack([0 * weight, weight]), np.array([0.0, bias[0]])
    weight /= scale
    return weight.astype(np.float32), (bias - weight @ mean).astype(np.float32)


def held_out_logits(features: Floats, targets: Targets) -> Floats:
    """Logits (n, classes) of each image from a head that was not trained on it or its crops."""
    from sklearn.model_selection import StratifiedKFold

    logits = np.empty((len(targets), targets.max() + 1), np.float32)
    # A fifth of each class is held out at a time, or one image of the smallest.
    folds = StratifiedKFold(min(5, np.bincount(targets).min()), shuffle=True, random_state=0)
    for inside, outside in folds.split(targets, targets):
        weight, bias = fit(features[inside], targets[inside])
        logits[outside] = features[outside, 0] @ weight.T + bias
    return logits
