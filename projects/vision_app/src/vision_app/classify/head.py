"""A trained linear head on the features of an image model: load it, apply it, save it.

    head = load(Path("var/vision_app/classifiers/birds"))
    logits = head.logits(features)           # (n, d) → (n, classes)
    head.labels[logits[0].argmax()]

The folder contains head.json (labels, backbone, temperature) and head.safetensors (matrix, bias).
Neither can run code, so a folder from an untrusted source is safe to load. Training is left to
`train`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seedbed.errors import ConfigError, NotFound
from seedbed.files import write_bytes, write_text
from seedbed.guardrails import reason

Floats = npt.NDArray[np.float32]
OWN_GRAPH = "graph.xml"  # the backbone, in the folder of a classifier that was fine-tuned


@dataclass(frozen=True)
class Head:
    """Logits are features @ weight.T + bias; dividing them by `temperature` calibrates them.

    >>> head = Head(("cat", "dog"), "efficientnet-lite0", 1.0, np.eye(2), np.zeros(2))
    >>> head.logits(np.array([[0.5, 2.0]], np.float32)).tolist()
    [[0.5, 2.0]]
    """

    labels: tuple[str, ...]
    backbone: str  # spec of the image model whose features the head reads, or OWN_GRAPH
    temperature: float
    weight: Floats  # (classes, d)
    bias: Floats  # (classes,)

    def logits(self, features: Floats) -> Floats:
        """Uncalibrated logits, (n, classes), of features (n, d)."""
        return np.asarray(features @ self.weight.T + self.bias, np.float32)

    def save(self, folder: Path) -> None:
        """Write the head's two files into an existing folder."""
        from safetensors.numpy import save

        weight, bias = (np.ascontiguousarray(array, "f4") for array in (self.weight, self.bias))
        write_bytes(folder / "head.safetensors", save({"weight": weight, "bias": bias}))
        about = {name: getattr(self, name) for name in ("labels", "backbone", "temperature")}
        write_text(folder / "head.json", json.dumps(about, ensure_ascii=False, indent=2))


def load(folder: Path) -> Head:
    """The head in a folder. Raises NotFound if there is none, and ConfigError for a damaged one."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not (folder / "head.json").is_file():
        hint = "Train one: vision-app train FOLDER"
        raise NotFound(f"{folder} is not a trained classifier: head.json is missing.", hint=hint)
    try:
        about = json.loads((folder / "head.json").read_text("utf-8"))
        tensors = load_file(folder / "head.safetensors")
        labels = tuple(about["labels"])
        head = Head(labels, about["backbone"], float(about["temperature"]), **tensors)
        if not len(head.weight) == len(head.bias) == len(labels):
            raise ValueError(f"{head.weight.shape} weights do not fit {len(labels)} labels")
        return head
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        hint = "Train it again: vision-app train FOLDER"
        raise ConfigError(f"{folder} is damaged: {reason(error)}.", hint=hint) from None
