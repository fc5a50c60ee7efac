"""Classify images: the most likely labels, with confidences that are calibrated.

    classifier = load_classifier(Config(), Settings())
    [prediction] = classifier.classify([pixels])
    prediction.labels[0].label, prediction.labels[0].confidence, prediction.sure

Decoding images is left to `images`, training a head on classes of your own to `train`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_app.classify import head
from vision_app.classify.calibration import softmax
from vision_app.config import Config
from vision_app.ocr.page import Pixels
from seedbed.models.image_model import GraphModel, ImageModel, load_image_model
from seedbed.settings import Settings

Floats = npt.NDArray[np.float32]

TEMPERATURES = {"efficientnet-lite0": 0.95}
"""Temperatures of models that bring none. ImageNet's validation set is not available offline, so
this one is based on no more than 150 crops and distortions of 6 photographs. Their log loss is
lowest at 0.93, with a 95 % interval over photographs of 0.74 to 1.10; 0.95 is that, rounded towards
1. Mean confidence and accuracy on them are both 0.51, the expected calibration error is 0.08.
Measure again on images of your own with `fit_temperature`. Models of the hub keep their
confidences."""
PAGES = frozenset({"web site", "web site, website, internet site, site"})
"""ImageNet's class of screenshots, to which its models assign pages of text, invoices and receipts
too, with up to 0.6. As the label is wrong for most of them, it is never reported as sure."""


@dataclass(frozen=True)
class Label:
    """A label with its calibrated confidence, 0 to 1."""

    label: str
    confidence: float


@dataclass(frozen=True)
class Prediction:
    """The most likely labels, best first; `sure` if the first is confident enough to be shown."""

    labels: tuple[Label, ...]
    sure: bool

    def as_json(self) -> dict[str, Any]:
        """{"labels": [{"label", "confidence"}], "sure"}, with four decimals."""
        labels = [
            {"label": label.label, "confidence": round(label.confidence, 4)}
            for label in self.labels
        ]
        return {"labels": labels, "sure": self.sure}


class Classifier:
    """An image model with calibrated confidences; safe to use from many threads.

    Logits are divided by `temperature`. A first label below `min_confidence`, or in `never_sure`,
    is reported as not sure.

        Classifier(load_image_model(), temperature=0.95, min_confidence=0.5)
    """

    def __init__(
        self,
        model: ImageModel,
        temperature: float,
        min_confidence: float,
        never_sure: frozenset[str] = frozenset(),
    ) -> None:
        self.model, self.temperature = model, temperature
        self.min_confidence, self.never_sure = min_confidence, never_sure

    @property
    def name(self) -> str:
        """Identifies the weights, as a key for stored features."""
        return self.model.name

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in the order of the probabilities."""
        return self.model.labels

    def classify(self, images: Sequence[Pixels], k: int = 5) -> list[Prediction]:
        """The `k` most likely labels of each image."""
        return [self.prediction(row, k) for row in self.probabilities(images)]

    def prediction(self, probabilities: Floats, k: int = 5) -> Prediction:
        """The `k` most likely labels of one image's probabilities (classes,)."""
        best = np.argsort(-probabilities, kind="stable")[:k]
        labels = tuple(Label(self.labels[index], float(probabilities[index])) for index in best)
        top = self.labels[int(probabilities.argmax())]
        confident = float(probabilities.max()) >= self.min_confidence
        return Prediction(labels, bool(confident and top not in self.never_sure))

    def probabilities(self, images: Sequence[Pixels]) -> Floats:
        """Calibrated probabilities (n, classes) of n images."""
        return self.infer(images)[0]

    def features(self, images: Sequence[Pixels]) -> Floats:
        """Features (n, d) of n images, not normalised."""
        return self.infer(images)[1]

    def infer(self, images: Sequence[Pixels]) -> tuple[Floats, Floats]:
        """`probabilities` and `features` of n images at the price of one of them."""
        logits, features = self.model.infer(images)
        return softmax(logits, self.temperature), features


class _HeadModel:
    """A trained head on the features of another model, as an `ImageModel`."""

    def __init__(self, trained: head.Head, backbone: ImageModel) -> None:
        digest = hashlib.sha256(trained.weight.tobytes() + trained.bias.tobytes()).hexdigest()
        self.name, self.labels = f"{backbone.name}+head-{digest[:10]}", trained.labels
        self._head, self._backbone = trained, backbone

    def infer(self, images: Sequence[Pixels]) -> tuple[Floats, Floats]:
        features = self._backbone.infer(images)[1]
        return self._head.logits(features), features


def load_classifier(config: Config, settings: Settings) -> Classifier:
    """The classifier of VISION_CLASSIFIER: a name of the catalogue, `path:DIR` or `hf:ORG/REPO`.

    `path:DIR` is a folder that `vision-app train` wrote, or a model in the format of transformers.
    Raises ConfigError, NotFound, MissingExtra or WeightsError.
    """
    spec, least = config.classifier, config.min_confidence
    folder = Path(spec.removeprefix("path:")).expanduser()
    if spec.startswith("path:") and not (folder / "config.json").is_file():
        trained = head.load(folder)
        backbone = _load_backbone(trained, folder, settings)
        return Classifier(_HeadModel(trained, backbone), trained.temperature, least)
    model = load_image_model(spec, settings=settings)
    return Classifier(model, TEMPERATURES.get(spec, 1.0), least, PAGES)


def _load_backbone(trained: head.Head, folder: Path, settings: Settings) -> ImageModel:
    if trained.backbone != head.OWN_GRAPH:
        return load_image_model(trained.backbone, settings=settings)
    graph = folder / head.OWN_GRAPH
    digest = hashlib.sha256(graph.with_suffix(".bin").read_bytes()).hexdigest()
    return GraphModel(graph, f"own-{digest[:10]}", trained.labels)
