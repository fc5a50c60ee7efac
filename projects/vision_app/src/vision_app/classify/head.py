"""A trained linear head on the features of an image model: load it, apply it, save it.

    head = load(Path("var/vision_app/classifiers/birds"))
    logits = head.logits(features)           # (n, d) → (n, classes)
    head.labels[logits[0].argmax()]

The folder contains head.json (labels, backbone, temperature) and head.safetensors (matrix, bias).
Neither can run code, so a folder from somebody else is safe to load. Training is left to `train`,
and features to `seedbed.models.image_model`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.errors import ConfigError, NotFound
from seedbed.files import write_bytes, write_text
from seedbed.guardrails import reason

Floats = npt.NDArray[np.float32]
_FORMAT = 1
OWN_GRAPH = "graph.xml"
"""Name of the backbone's OpenVINO graph, in the folder of a classifier that was fine-tuned."""
_RETRAIN = "Train it again: vision-app train FOLDER"


@dataclass(frozen=True)
class Head:
    """Logits are features @ weight.T + bias; dividing them by `temperature` calibrates them.

    >>> head = Head(("cat", "dog"), "efficientnet-lite0", 1.0, np.eye(2), np.zeros(2))
    >>> head.logits(np.array([[0.5, 2.0]], np.float32)).tolist()
    [[0.5, 2.0]]
    """

    labels: tuple[str, ...]
    backbone: str
    """Spec of the image model whose features the head reads, or OWN_GRAPH."""
    temperature: float
    weight: Floats
    """Shape (classes, d)."""
    bias: Floats
    """Shape (classes,)."""

    def logits(self, features: Floats) -> Floats:
        """Uncalibrated logits, (n, classes), of features (n, d)."""
        return np.asarray(features @ self.weight.T + self.bias, np.float32)

    def save(self, folder: Path) -> None:
        """Write the head's two files into an existing folder."""
        from safetensors.numpy import save

        tensors = {"weight": self.weight, "bias": self.bias}
        tensors = {name: np.ascontiguousarray(array, "f4") for name, array in tensors.items()}
        write_bytes(folder / "head.safetensors", save(tensors))
        about = {
            "format": _FORMAT,
            "labels": list(self.labels),
            "backbone": self.backbone,
            "temperature": self.temperature,
        }
        write_text(folder / "head.json", json.dumps(about, ensure_ascii=False, indent=2))


def load(folder: Path) -> Head:
    """The head in a folder that `train` wrote.

    Raises NotFound if there is none, and ConfigError if it is damaged.
    """
    if not (folder / "head.json").is_file():
        raise NotFound(
            f"{folder} is not a trained classifier: head.json is missing.",
            hint="Train one: vision-app train FOLDER",
        )
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        about = json.loads((folder / "head.json").read_text("utf-8"))
        tensors = load_file(folder / "head.safetensors")
        return _check(about, tensors)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ConfigError(
            f"The classifier in {folder} is damaged: {reason(error)}.", hint=_RETRAIN
        ) from None


def _check(about: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> Head:
    """The head of these parts. Raises ValueError, KeyError or TypeError."""
    if about["format"] != _FORMAT:
        raise ValueError(f"its format is {about['format']}, not {_FORMAT}")
    labels = tuple(str(label) for label in about["labels"])
    weight, bias, temperature = tensors["weight"], tensors["bias"], float(about["temperature"])
    if weight.ndim != 2 or bias.shape != (len(labels),) or len(weight) != len(labels):
        raise ValueError(f"{weight.shape} weights do not fit {len(labels)} labels")
    if not 0 < temperature < float("inf"):
        raise ValueError(f"its temperature is {temperature}")
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ValueError("its weights are not finite")
    return Head(labels, str(about["backbone"]), temperature, weight, bias)
