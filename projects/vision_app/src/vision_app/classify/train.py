"""Teach the classifier your classes: features of a frozen backbone and a linear head, in seconds.

    result = train(Path("birds"), Path("var/vision_app/classifiers/birds"), Config(), Settings())
    result.accuracy.value, result.accuracy.low         # by cross-validation, with its interval
    vision-app train birds                             # the same from a shell
    vision-app classify crow.jpg --model path:var/vision_app/classifiers/birds

Adapting all weights is left to `fine_tune`, which needs torch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_app.classify import head
from vision_app.classify.calibration import calibration_error, fit_temperature, softmax
from vision_app.classify.dataset import LabelledFolder, Pixels
from vision_app.config import Config
from seedbed.errors import SeedbedError
from seedbed.evaluation import Figure, Report, log_to_mlflow
from seedbed.files import new_folder, write_text
from seedbed.models.image_model import ImageModel, load_image_model
from seedbed.settings import Settings

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int | None, str], None]

VIEWS = 3
"""The image itself and two random crops, which count as further images in training. With five
images per class, crops raised the accuracy by 1 to 3 points on three sets of 160 to 200 pictures;
mirrored images raised it no further, and would teach that left and right arrows are the same."""
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Values of scikit-learn's C that cross-validation chooses from. More is less regularization."""
_BATCH = 16  # images decoded at once


@dataclass(frozen=True)
class TrainingResult:
    """What training reports; `as_json` is also in report.json of the new folder.

    `confusion[i][j]` counts held-out images of class i that were classified as j.
    """

    folder: Path
    labels: tuple[str, ...]
    accuracy: Figure
    confusion: list[list[int]]
    calibration_error: float
    about: dict[str, Any]
    """Backbone, method, settings, and the time in seconds."""
    skipped: list[dict[str, str]]
    warnings: list[str]
    cases: list[dict[str, Any]]
    """Per held-out image: id, label, prediction, confidence, and correct (0 or 1)."""

    def as_json(self) -> dict[str, Any]:
        """The result as JSON objects, without the cases."""
        accuracy = self.accuracy
        return {
            "folder": str(self.folder),
            "labels": list(self.labels),
            "images": accuracy.n,
            "accuracy": accuracy.value,
            "interval": [accuracy.low, accuracy.high],
            "calibration_error": self.calibration_error,
            "confusion": self.confusion,
            **self.about,
            "skipped": self.skipped,
            "warnings": self.warnings,
        }

    def report(self) -> Report:
        """The result for MLflow."""
        figures = {
            "accuracy": self.accuracy,
            "calibration_error": Figure(self.calibration_error, self.accuracy.n),
        }
        about = {name: str(value) for name, value in self.about.items()}
        return Report(f"train {self.folder.name}", figures, self.cases, about)


def train(
    folder: Path, out: Path, config: Config, settings: Settings, progress: Progress | None = None
) -> TrainingResult:
    """Train a head on the images in `folder`, one sub-folder per class, and write it to `out`.

    Two readable images per class are the minimum. Images that cannot be read are skipped and
    listed. A classifier that is in `out` already is replaced when the new one is complete. Raises
    BadInput for a folder without usable classes, and the errors of `load_image_model`.
    """
    start = time.monotonic()
    # 1. Compute features of all images and of their random crops.
    images = LabelledFolder(folder, config)
    model = load_image_model(backbone(config), settings=settings)
    names, targets, features = embed(images, model, progress or silent)
    # 2. Choose the regularization by cross-validation, which also yields held-out logits.
    strength, logits = cross_validate(features, targets)
    # 3. Calibrate on the held-out logits, and train on all images.
    temperature = fit_temperature(logits, targets)
    weight, bias = fit(features, targets, strength)
    trained = head.Head(images.labels, model.name, temperature, weight, bias)
    # 4. Write the head and its report.
    about = {
        "method": "linear head",
        "backbone": model.name,
        "regularization": strength,
        "temperature": temperature,
        "seconds": round(time.monotonic() - start, 1),
    }
    result = evaluate(out, images, names, targets, logits / temperature, about)
    return save(result, trained)


def backbone(config: Config) -> str:
    """The image model to train on: that of the configured classifier."""
    if not config.classifier.startswith("path:"):
        return config.classifier
    folder = Path(config.classifier.removeprefix("path:"))
    name = head.load(folder).backbone if (folder / "head.json").exists() else config.classifier
    return "efficientnet-lite0" if name == head.OWN_GRAPH else name


def embed(
    images: LabelledFolder, model: ImageModel, progress: Progress
) -> tuple[list[str], npt.NDArray[np.int64], Floats]:
    """Names (n), indices of labels (n), and features (n, VIEWS, d) of the images."""
    rng = np.random.default_rng(0)
    names: list[str] = []
    targets: list[int] = []
    batch: list[Pixels] = []
    features: list[Floats] = []

    def flush() -> None:
        features.append(model.infer(batch)[1].reshape(len(batch) // VIEWS, VIEWS, -1))
        batch.clear()

    for file, target, pixels in images:
        names.append(images.name(file))
        targets.append(target)
        batch += [pixels, *(random_crop(pixels, rng) for _ in range(VIEWS - 1))]
        if len(batch) >= _BATCH * VIEWS:
            flush()
        progress(len(names) + len(images.skipped), len(images), names[-1])
    images.require(targets)
    if batch:
        flush()
    return names, np.array(targets), np.concatenate(features)


def random_crop(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A part of an image with 75 to 95 % of its width and height."""
    shape = np.array(pixels.shape[:2])
    size = np.maximum(1, shape * rng.uniform(0.75, 0.95)).astype(int)
    top, left = rng.integers(0, shape - size + 1)
    return pixels[top : top + size[0], left : left + size[1]]


def fit(features: Floats, targets: npt.NDArray[np.int64], strength: float) -> tuple[Floats, Floats]:
    """Weight (classes, d) and bias (classes) of logistic regression on features (n, views, d)."""
    from sklearn.linear_model import LogisticRegression

    flat = features.reshape(-1, features.shape[-1])
    # Standardized, which the optimizer needs to converge; the constant keeps features that are
    # nearly always zero from being blown up.
    mean, scale = flat.mean(0), flat.std(0)
    scale = (scale + 0.1 * scale.mean() + 1e-9) * 8
    model = LogisticRegression(C=strength, max_iter=500)
    model.fit((flat - mean) / scale, np.repeat(targets, features.shape[1]))
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:  # two classes have one logit in scikit-learn
        weight, bias = np.vstack([0 * weight, weight]), np.array([0.0, bias[0]])
    weight = weight / scale
    return weight.astype(np.float32), (bias - weight @ mean).astype(np.float32)


def cross_validate(features: Floats, targets: npt.NDArray[np.int64]) -> tuple[float, Floats]:
    """The strength with the lowest held-out log loss, and its held-out logits (n, classes).

    Stratified, five folds or as many as the smallest class has images. The crops of an image are
    in its fold. As the same folds choose one of four strengths and measure it, the accuracy is
    slightly optimistic; the strengths differed by about one point in our measurements.
    """
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    count = min(5, int(np.bincount(targets).min()))
    folds = StratifiedKFold(count, shuffle=True, random_state=0)
    best: tuple[float, float, Floats] | None = None
    for strength in STRENGTHS:
        logits = np.empty((len(targets), targets.max() + 1), np.float32)
        for inside, outside in folds.split(features[:, 0], targets):
            weight, bias = fit(features[inside], targets[inside], strength)
            logits[outside] = features[outside, 0] @ weight.T + bias
        loss = log_loss(targets, softmax(logits), labels=range(logits.shape[1]))
        if best is None or loss < best[0]:
            best = loss, strength, logits
    assert best is not None
    return best[1], best[2]


def evaluate(
    out: Path,
    images: LabelledFolder,
    names: Sequence[str],
    targets: npt.NDArray[np.int64],
    logits: Floats,
    about: dict[str, Any],
) -> TrainingResult:
    """Accuracy, calibration and confusion of calibrated held-out logits (n, classes)."""
    probabilities = softmax(logits)
    predictions, confidences = probabilities.argmax(1), probabilities.max(1)
    correct = predictions == targets
    confusion = np.zeros((len(images.labels),) * 2, int)
    np.add.at(confusion, (targets, predictions), 1)
    cases = [
        {
            "id": name,
            "label": images.labels[target],
            "prediction": images.labels[prediction],
            "confidence": round(float(confidence), 4),
            "correct": int(target == prediction),
        }
        for name, target, prediction, confidence in zip(
            names, targets, predictions, confidences, strict=True
        )
    ]
    return TrainingResult(
        out,
        images.labels,
        Figure.share(int(correct.sum()), len(names)),
        confusion.tolist(),
        calibration_error(confidences, correct),
        about,
        images.skipped,
        images.warnings,
        cases,
    )


def save(result: TrainingResult, trained: head.Head, graph: Any = None) -> TrainingResult:
    """Write the folder of a trained classifier, and log it to MLflow if a server is configured.

    `graph` is the `openvino.Model` of a fine-tuned backbone.
    """
    with new_folder(result.folder) as scratch:
        trained.save(scratch)
        if graph is not None:
            import openvino as ov

            ov.save_model(graph, scratch / head.OWN_GRAPH, compress_to_fp16=False)
        report = {**result.as_json(), "cases": result.cases}
        write_text(scratch / "report.json", json.dumps(report, ensure_ascii=False, indent=2))
    try:
        log_to_mlflow(result.report(), "vision_app")
    except SeedbedError as error:  # the classifier is complete
        result.warnings.append(f"Not logged to MLflow: {error}")
    return result


def silent(done: int, total: int | None, text: str) -> None:
    """A `Progress` that reports nothing."""
