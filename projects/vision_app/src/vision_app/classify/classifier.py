"""Classify images: the most likely labels, with confidences that are calibrated.

    classifier = load_classifier(Config(), Settings())
    [result] = classifier.classify([pixels])
    result["labels"][0]                            # {"label": "lion", "confidence": 0.93}

The classifier of `path:DIR` is a linear head on the features of another model, which `train` wrote:
head.safetensors, with the matrix, the bias, and as metadata the rest. It cannot run code, so one
from an untrusted source is safe to load. Decoding images is left to `files`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vision_app.classify.calibration import Floats, softmax
from vision_app.classify.image_model import ImageModel, load_image_model
from vision_app.config import Config
from vision_app.files.pixels import Pixels
from seedbed.errors import ConfigError, NotFound
from seedbed.files import write_bytes
from seedbed.safety.secrets import reason
from seedbed.settings import Settings

TEMPERATURES = {"efficientnet-lite0": 0.95}
"""Temperatures of models that bring none. This one has the lowest log loss on 150 crops and
distortions of 6 photographs, rounded towards 1, since ImageNet's validation set is not available
offline: 0.93, with a 95 % interval of 0.74 to 1.10. Measure it on images of your own with
`fit_temperature`. Models of the hub keep their confidences."""
PAGES = frozenset({"web site", "web site, website, internet site, site"})
"""ImageNet's class of screenshots, to which its models assign pages of text, invoices and receipts
too, with up to 0.6. As the label is wrong for most of them, it is never reported as sure."""


@dataclass(frozen=True)
class Head:
    """Logits are features @ weight.T + bias; dividing them by `temperature` calibrates them.

    >>> head = Head(("cat", "dog"), "efficientnet-lite0", 1.0, np.eye(2), np.zeros(2))
    >>> head.logits(np.array([[0.5, 2.0]], np.float32)).tolist()
    [[0.5, 2.0]]
    """

    labels: tuple[str, ...]
    backbone: str  # spec of the image model whose features the head reads
    temperature: float
    weight: Floats  # (classes, d)
    bias: Floats  # (classes,)

    def logits(self, features: Floats) -> Floats:
        """Uncalibrated logits, (n, classes), of features (n, d)."""
        return np.asarray(features @ self.weight.T + self.bias, np.float32)

    def save(self, folder: Path) -> None:
        """Write head.safetensors into an existing folder."""
        from safetensors.numpy import save

        weight, bias = (np.ascontiguousarray(array, "f4") for array in (self.weight, self.bias))
        about = {name: getattr(self, name) for name in ("labels", "backbone", "temperature")}
        tensors = save({"weight": weight, "bias": bias}, {"head": json.dumps(about)})
        write_bytes(folder / "head.safetensors", tensors)


def load_head(folder: Path) -> Head:
    """The head in a folder. Raises NotFound if there is none, and ConfigError for a damaged one."""
    from safetensors import SafetensorError, safe_open

    file = folder / "head.safetensors"
    hint = "Train it: vision-app train FOLDER"
    if not file.is_file():
        raise NotFound(f"{folder} is not a trained classifier: {file.name} is missing.", hint=hint)
    try:
        with safe_open(file, "np") as tensors:
            about = json.loads(tensors.metadata()["head"])
            weight, bias = tensors.get_tensor("weight"), tensors.get_tensor("bias")
        labels = tuple(about["labels"])
        if not len(weight) == len(bias) == len(labels):
            raise ValueError(f"{weight.shape} weights do not fit {len(labels)} labels")
        return Head(labels, about["backbone"], float(about["temperature"]), weight, bias)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ConfigError(f"{folder} is damaged: {reason(error)}.", hint=hint) from None


class Classifier:
    """An image model with calibrated confidences; safe to use from many threads.

    The logits are those of `head` if there is one, else those of the model, and are divided by
    `temperature`. A first label below `min_confidence`, or in PAGES, is reported as not sure.
    `name` identifies the weights, as a key for stored features; `labels` are in the order of the
    probabilities.
    """

    def __init__(
        self,
        model: ImageModel,
        temperature: float,
        min_confidence: float,
        head: Head | None = None,
    ) -> None:
        self.model, self.head = model, head
        self.temperature, self.min_confidence = temperature, min_confidence
        self.name, self.labels = model.name, model.labels
        if head is not None:
            digest = hashlib.sha256(head.weight.tobytes() + head.bias.tobytes()).hexdigest()
            self.name, self.labels = f"{model.name}+head-{digest[:10]}", head.labels

    def classify(self, images: Sequence[Pixels], k: int = 5) -> list[dict[str, Any]]:
        """{"labels": [{"label", "confidence"}], "sure"} of each image, with its `k` best labels."""
        results = []
        for row in self.infer(images)[0]:
            best = np.argsort(-row, kind="stable")[:k]
            labels = [
                {"label": self.labels[i], "confidence": round(float(row[i]), 4)} for i in best
            ]
            is_page = self.head is None and self.labels[best[0]] in PAGES
            sure = bool(row[best[0]] >= self.min_confidence) and not is_page
            results.append({"labels": labels, "sure": sure})
        return results

    def infer(self, images: Sequence[Pixels]) -> tuple[Floats, Floats]:
        """Calibrated probabilities (n, classes) and features (n, d) of n images."""
        logits, features = self.model.infer(images)
        if self.head is not None:
            logits = self.head.logits(features)
        return softmax(logits, self.temperature), features


def load_classifier(config: Config, settings: Settings) -> Classifier:
    """The classifier of VISION_CLASSIFIER: a name of the catalogue, `path:DIR` or `hf:ORG/REPO`.

    `path:DIR` is a folder that `vision-app train` wrote, or a model in the format of transformers.
    Raises ConfigError, NotFound, MissingExtra or WeightsError.
    """
    spec, least = config.classifier, config.min_confidence
    folder = Path(spec.removeprefix("path:")).expanduser()
    if not spec.startswith("path:") or (folder / "config.json").is_file():
        model = load_image_model(spec, settings=settings)
        return Classifier(model, TEMPERATURES.get(spec, 1.0), least)
    head = load_head(folder)
    model = load_image_model(head.backbone, settings=settings)
    return Classifier(model, head.temperature, least, head)
