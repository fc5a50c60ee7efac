"""Teach the classifier your classes: features of a frozen backbone and a linear head, in seconds.

    report = train(Path("birds"), Path("var/vision_app/classifiers/birds"), Config(), Settings())
    report["accuracy"], report["interval"]             # by cross-validation
    vision-app train birds                             # the same from a shell
    vision-app classify crow.jpg --model path:var/vision_app/classifiers/birds

The classifier then runs without scikit-learn, on the features of the backbone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_app.classify.calibration import calibration_error, fit_temperature, softmax
from vision_app.classify.classifier import Head
from vision_app.classify.dataset import LabelledFolder
from vision_app.classify.image_model import ImageModel, load_image_model
from vision_app.config import Config
from vision_app.files.pixels import Pixels
from seedbed.cli import Progress
from seedbed.errors import BadInput
from seedbed.files import new_folder, write_text
from seedbed.runs.evaluation import Figure
from seedbed.settings import Settings

Json = dict[str, Any]
Floats = npt.NDArray[np.float32]
Targets = npt.NDArray[np.int64]

FILES = {"head.json", "head.safetensors", "report.json"}  # of a trained classifier
VIEWS = 3  # the image and two random crops, which raised the accuracy by 1 to 3 points


def train(
    folder: Path, out: Path, config: Config, settings: Settings, progress: Progress | None = None
) -> Json:
    """Train a head on the images in `folder`, one sub-folder per class, and write it to `out`.

    Returns the report, which is also in report.json; `confusion[i][j]` counts images of class i
    classified as j. Raises the errors of `LabelledFolder` and `load_image_model`, and BadInput if
    `out` has other content than a trained classifier; `out` is then unchanged.
    """
    start = time.monotonic()
    check_replaceable(out)
    # 1. Compute features of all images and of their random crops.
    spec = "efficientnet-lite0" if config.classifier.startswith("path:") else config.classifier
    model = load_image_model(spec, settings=settings)
    images = LabelledFolder(folder, config)
    features = embed(images, model, progress)
    targets = np.array(images.targets)
    # 2. Calibrate on logits of held-out images, and train on all.
    logits = held_out_logits(features, targets)
    temperature = fit_temperature(logits, targets)
    head = Head(images.labels, model.name, temperature, *fit(features, targets))
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
        "seconds": round(time.monotonic() - start, 1),
        "skipped": images.skipped,
    }
    # 4. Write the folder.
    with new_folder(out.resolve()) as scratch:
        head.save(scratch)
        write_text(scratch / "report.json", json.dumps(report, ensure_ascii=False, indent=2))
    return report


def check_replaceable(out: Path) -> None:
    """Raise BadInput unless `out` is a new or empty folder, or just a trained classifier."""
    if out.exists() and (not out.is_dir() or not {path.name for path in out.iterdir()} <= FILES):
        message = f"{out} is not a classifier that vision-app trained, and is not replaced."
        raise BadInput(message, hint="Use --out with a new folder.")


def embed(images: LabelledFolder, model: ImageModel, progress: Progress | None) -> Floats:
    """Features (n, VIEWS, d) of the images and their crops."""
    rng = np.random.default_rng(0)
    features = []
    for batch in images.batches(progress):
        views = [view for pixels in batch for view in random_views(pixels, rng)]
        features.append(model.infer(views)[1].reshape(len(batch), VIEWS, -1))
    return np.concatenate(features)


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
